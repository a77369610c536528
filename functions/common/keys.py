"""The keys of rows, of whatever columns, as one value each: what sets of keys are made of.

A key of one integer column is that integer. Any other is text: that of its column, or, for several
columns, the texts one after the other, each after its length in bytes, so that no two keys meet.

    (7, 'b') -> "1:71:b"
"""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

Key = int | str

_PART = re.compile(rb"(\d+):")


def keys_of(rows: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Return the keys of rows, as int64 or as text; NULL where one of the columns is."""
    if len(columns) == 1 and pa.types.is_integer((column := _whole(rows[columns[0]])).type):
        return column.cast(pa.int64())
    texts = [_text(_whole(rows[name])) for name in columns]
    if len(texts) == 1:
        return texts[0]
    parts = [
        part
        for text in texts
        for part in (pc.cast(pc.binary_length(text), pa.string()), pa.scalar(":"), text)
    ]
    return pc.binary_join_element_wise(*parts, "")


def none_of(integer: bool) -> pa.Array:
    """Return no keys, of the type that keys of an integer column have, or of any others."""
    return pa.array([], pa.int64() if integer else pa.string())


def spoken(key: Key, columns: int) -> str:
    """Return a key of so many columns as a person reads it."""
    if columns == 1:
        return str(key)
    rest, parts = str(key).encode(), []
    while head := _PART.match(rest):
        end = head.end() + int(head[1])
        parts.append(rest[head.end() : end].decode())
        rest = rest[end:]
    return ", ".join(parts)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _text(column: pa.Array) -> pa.Array:
    """Return values as PostgreSQL writes them, but for stamps, which have all six digits."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))
    return column.cast(pa.string())
