"""Marks of the rows in quarantine: what a batch compares with them instead of reading the rows.

A mark is of a key, that of a row or of a parent that it refers to: an integer is its own mark, a
text has its CRC. Equal keys have equal marks, so rows without a mark of the batch have nothing to
do with it; those of an equal mark are read. A million rows have some 2 MB of marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.keys import keys_of

_SEPARATOR = "\n"

Marks = Mapping[tuple[str, ...], pa.Array]
"""The distinct marks of rows, by the columns of the keys."""


def marks_of(keys: pa.Array) -> pa.Array:
    """Return the marks of keys, in the form of `functions.common.keys`; NULL for NULL."""
    if pa.types.is_integer(keys.type):
        return keys.cast(pa.int64())
    texts = (None if key is None else crc32(key.encode()) for key in keys.to_pylist())
    return pa.array(texts, pa.int64())


def marks_in(rows: pa.Table, by: Iterable[Sequence[str]]) -> Marks:
    """Return the marks of rows by the columns of some keys."""
    found = {columns: marks_of(keys_of(rows, columns)) for columns in dict.fromkeys(map(tuple, by))}
    return {columns: pc.unique(marks).drop_null().sort() for columns, marks in found.items()}


def name_of(columns: Sequence[str]) -> str:
    """Return the column in which the marks by a key are."""
    return _SEPARATOR.join(columns)


def as_table(marks: Marks) -> pa.Table:
    """Return marks as the rows of an object: a column for each key, padded with NULL."""
    longest = max(map(len, marks.values()), default=0)
    return pa.table(
        {
            name_of(columns): pa.concat_arrays([each, pa.nulls(longest - len(each), pa.int64())])
            for columns, each in marks.items()
        }
    )


def from_table(rows: pa.Table) -> Marks:
    """Return the marks that `as_table` made rows of."""
    return {
        tuple(name.split(_SEPARATOR)): rows[name].combine_chunks().drop_null()
        for name in rows.column_names
    }


def in_common(marks: pa.Array, some: pa.Array) -> pa.Array:
    """Return those of many marks that are among some."""
    return marks.filter(pc.is_in(marks, some))
