"""The bytes of a file as text in UTF-8: expanded if it is compressed, decoded if it is not UTF-8.

A piece is never more than a few megabytes, whatever the file expands to.
"""

import codecs
import zlib
from collections.abc import Iterator
from itertools import chain

from functions.common.errors import UnusableFileError

PIECE_BYTES = 4 << 20
EXPANDED_AT_MOST = 20 << 30  # the most that a zip bomb may write
TOO_LARGE = f"it has more than {EXPANDED_AT_MOST >> 30} GB: split it"

_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = 31  # for zlib: a window of 2**15, and the head and the checksum of gzip
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text of a file in UTF-8, without a byte order mark, in pieces.

    A byte order mark says the encoding; `encoding` is that of a file without one. Bytes that are no
    character stay as they are, and are found in their cell. Raises UnusableFileError for a file
    that cannot be expanded or decoded.
    """
    start, rest = _peeked(_limited(expanded(pieces)), 3)
    for mark, marked in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            start, encoding = start[len(mark) :], marked
            break
    text = chain([start], rest)
    name = codecs.lookup(encoding).name
    return text if name in ("utf-8", "utf-8-sig", "ascii") else _transcoded(text, name)


def _peeked(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, at least `size` where there are so many, and what is left."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= size:
            break
    return start, pieces


def expanded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield bytes, expanded if they are gzip; raise UnusableFileError if they are damaged."""
    start, rest = _peeked(pieces, len(_GZIP))
    whole = chain([start], rest)
    return _unzipped(whole) if start.startswith(_GZIP) else whole


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


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > EXPANDED_AT_MOST:
            raise UnusableFileError(TOO_LARGE)
        yield piece


def _transcoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text in UTF-8; what is no character becomes bytes that are not UTF-8 either."""
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
