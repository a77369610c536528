"""Marks of keys: by them one finds the batches that have a row, without reading all batches.

A mark is the first four bytes of a digest of a table and of a key in it, as text. A processed
manifest has the marks of its keys, or of a large table their range. Each thousandth one has the
index of its stretch, the thousand manifests up to it: their marks in order, each with how many
batches before the last of the stretch it is. Different keys may share a mark, so a batch that is
found may not have the key; one that is not found has it not.
"""

import base64
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

STRETCH = 1_000  # batches of an index
MOST_MARKS = 1_000  # of a batch: 5 kB in its manifest

_MARK, _PLACE = 4, 2  # bytes
_ENTRY = _MARK + _PLACE


def mark(table: str, key: str) -> bytes:
    """Return the mark of a key of a source table, by its id."""
    return hashlib.blake2b(f"{table}\0{key}".encode(), digest_size=_MARK).digest()


def snapshot_mark(target: str) -> bytes:
    """Return the mark of batches that replace a target table, by its id, as a whole."""
    return mark(f"replaced {target}", "")  # no id has a blank


def joined(marks: Iterable[bytes]) -> str:
    """Return marks as a text of a manifest."""
    return base64.b64encode(b"".join(sorted(set(marks)))).decode()


def separate(text: str) -> Iterator[bytes]:
    """Yield the marks of a manifest; raise ValueError for another text."""
    yield from _cut(base64.b64decode(text, validate=True), _MARK)


def index(last: int, marks: Mapping[int, Iterable[bytes]]) -> str:
    """Return the index of the stretch up to the batch `last`, from the marks of its batches."""
    entries = [
        each + (last - batch).to_bytes(_PLACE) for batch, some in marks.items() for each in some
    ]
    return base64.b64encode(b"".join(sorted(entries))).decode()


def found(last: int, text: str, wanted: bytes) -> list[int]:
    """Return the batches with a mark by the index of the stretch up to `last`, in order."""
    entries = base64.b64decode(text, validate=True)

    def entry(number: int) -> bytes:
        return entries[number * _ENTRY : (number + 1) * _ENTRY]

    number = bisect_left(range(len(entries) // _ENTRY), wanted, key=entry)
    batches = []
    while (each := entry(number))[:_MARK] == wanted:
        batches.append(last - int.from_bytes(each[_MARK:]))
        number += 1
    return batches[::-1]


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
