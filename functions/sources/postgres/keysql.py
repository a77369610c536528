"""The key of a row in SQL: the value that `functions.common.keys.keys_of` makes of its columns.

Text is compared byte by byte, whatever the collation of its column. Other values become text by the
output function of their type, as in COPY: a cast may call a function defined in the source.
"""

from collections.abc import Mapping

import pyarrow as pa
from pg8000.native import identifier

BUCKETS = 1 << 16
FIRST_BUCKET, LAST_BUCKET = -BUCKETS // 2, BUCKETS // 2 - 1
HASH_SHIFT = 48
"""The upper 16 of the 64 bits of a hash are its key's bucket."""


def is_integer(columns: Mapping[str, pa.DataType]) -> bool:
    """Return whether the key of some columns is an integer."""
    [kind, *others] = columns.values()
    return not others and bool(pa.types.is_integer(kind))


def key_sql(columns: Mapping[str, pa.DataType]) -> str:
    """Return the SQL of a row's key: an integer or text, NULL where one of the columns is.

    `columns` are the Arrow types of the key's columns, by their names in the source.
    """
    if len(columns) > 1:
        return " || ',' || ".join(_escaped(_text(*column)) for column in columns.items())
    [(name, kind)] = columns.items()
    return str(identifier(name)) if is_integer(columns) else _text(name, kind)


def text_sql(columns: Mapping[str, pa.DataType]) -> str:
    """Return the SQL of a row's key as text, also for an integer."""
    key = key_sql(columns)
    return f'{key}::text COLLATE "C"' if is_integer(columns) else key


def hash_of(key: str) -> str:
    """Return the SQL of the hash of a key that is text."""
    return f"hashtextextended({key}, 0)"


def hashed(key: str, table: str, *more: str) -> str:
    """Return a subquery with `key`, its `hash`, and `more` expressions of each row.

    OFFSET 0 keeps the planner from merging it into the query, so each value is computed once.
    """
    selected = ", ".join([f"{key} AS key", *more])
    keyed = f"SELECT {selected} FROM {table} OFFSET 0"
    return f"(SELECT *, {hash_of('key')} AS hash FROM ({keyed}) AS keyed OFFSET 0)"


def _text(name: str, kind: pa.DataType) -> str:
    column = identifier(name)
    if pa.types.is_timestamp(kind):
        # Arrow holds neither other years nor infinity.
        text = f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"
        there = f"{column} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"
    elif pa.types.is_boolean(kind):
        text, there = f"CASE WHEN {column} THEN 'true' ELSE 'false' END", f"{column} IS NOT NULL"
    else:
        text, there = f"concat({column})", f"{column} IS NOT NULL"
    return f'CASE WHEN {there} THEN {text} COLLATE "C" END'


def _escaped(text: str) -> str:
    return rf"replace(replace({text}, '\', '\\'), ',', '\,')"
