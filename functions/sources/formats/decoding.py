"""Decode the bytes of a file to UTF-8, expanding gzip.

A piece has a few megabytes at most, whatever the file expands to.
"""

import codecs
from collections.abc import Iterator
from itertools import chain

from functions.common.errors import UnusableFileError
from functions.common.gunzip import expanded, peeked

EXPANDED_AT_MOST = 20 << 30  # the most that a zip bomb may write
TOO_LARGE = f"it has more than {EXPANDED_AT_MOST >> 30} GB: split it"

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text of a file in UTF-8, without a byte order mark, in pieces.

    A byte order mark gives the encoding; `encoding` is for files without one. Invalid bytes stay as
    they are, and are reported for their cell. Raises UnusableFileError for a file that cannot be
    expanded or decoded.
    """
    start, rest = peeked(_limited(expanded(pieces)), 3)
    for mark, marked in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            start, encoding = start[len(mark) :], marked
            break
    text = chain([start], rest)
    name = codecs.lookup(encoding).name
    return text if name in ("utf-8", "utf-8-sig", "ascii") else _transcoded(text, name)


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > EXPANDED_AT_MOST:
            raise UnusableFileError(TOO_LARGE)
        yield piece


def _transcoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text in UTF-8; invalid bytes become bytes that are not UTF-8 either."""
    errors = "surrogatepass" if encoding.startswith("utf") else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode("utf-8", errors)
        yield decoder.decode(b"", final=True).encode("utf-8", errors)
    except UnicodeError:
        raise UnusableFileError(
            f"it is not text in {encoding}: declare the encoding it has"
        ) from None
