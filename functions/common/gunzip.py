"""Bytes that may be compressed by gzip, expanded piece by piece."""

import zlib
from collections.abc import Iterator
from itertools import chain

from functions.common.errors import UnusableFileError

PIECE_BYTES = 4 << 20  # whatever a piece expands to

_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = 31  # for zlib: a window of 2**15, and the head and the checksum of gzip


def expanded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield bytes, expanded if they are gzip; raise UnusableFileError if they are damaged."""
    start, rest = peeked(pieces, len(_GZIP))
    whole = chain([start], rest)
    return _unzipped(whole) if start.startswith(_GZIP) else whole


def peeked(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, at least `size` where there are so many, and what is left."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= size:
            break
    return start, pieces


def _unzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the data of a gzip file, member after member; zeros may follow the last."""
    member = zlib.decompressobj(_GZIP_FORMAT)
    try:
        for piece in pieces:
            left = piece
            while left:
                if member.eof:
                    if not (left := left.lstrip(b"\0")):
                        break
                    member = zlib.decompressobj(_GZIP_FORMAT)
                yield member.decompress(left, PIECE_BYTES)
                left = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error:
        raise UnusableFileError("it is damaged: it cannot be expanded by gzip") from None
    if not member.eof:
        raise UnusableFileError("it is cut off: gzip's data end before they should")
