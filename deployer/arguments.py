"""Numbers on the command line."""

import argparse

SMALLEST_SCALE = 0.01  # about 110 orders; a shop without any cannot trade


def port(text: str) -> int:
    """Read the number of a port."""
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def scale(text: str) -> float:
    """Read the size of a sample."""
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not SMALLEST_SCALE <= size <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {SMALLEST_SCALE} to 1000")
    return size
