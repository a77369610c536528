r"""The key of a row as a single value, whatever its columns, for sets of keys.

A key of one integer column is that integer. Any other is text: that of its column, or the texts of
several columns, separated by commas. Commas and backslashes within a text are escaped by a
backslash, so that different keys stay different.

    (7, 'a,b') -> "7,a\,b"
"""

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

Key = int | str

# Text in PostgreSQL has no NUL, so these are unambiguous while a key is split.
_BACKSLASH, _COMMA = "\0b", "\0c"
_PLAIN_SCALE = 6  # Arrow writes decimals with more digits after the point as 1E-7


def keys_of(rows: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Array:
    """Return the keys of rows, as int64 or as text; NULL where one of the columns is."""
    if len(columns) == 1 and pa.types.is_integer((column := _whole(rows[columns[0]])).type):
        return column.cast(pa.int64())
    texts = [_text(_whole(rows[name])) for name in columns]
    if len(texts) == 1:
        return texts[0]
    return pc.binary_join_element_wise(*map(_escaped, texts), ",")


def columns_of(keys: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    """Return the columns from which `keys_of` made keys, with the names and types of a schema.

    Raises pa.ArrowInvalid for a key that is not one of these types.
    """
    texts = [keys] if len(schema) == 1 else _split(keys, len(schema))
    columns = [_typed(text, field.type) for text, field in zip(texts, schema, strict=True)]
    return pa.record_batch(columns, schema=schema)


def none_of(integer: bool) -> pa.Array:
    """Return an empty array of the type that integer keys have, or all others."""
    return pa.array([], pa.int64() if integer else pa.string())


def arrays_of(keys: Collection[Key]) -> list[pa.Array]:
    """Return keys as arrays, integers and texts apart; without any there is no array."""
    kinds = {int: pa.int64(), str: pa.string()}
    found = [
        pa.array([key for key in keys if isinstance(key, kind)], kinds[kind]) for kind in kinds
    ]
    return [each for each in found if len(each)]


def is_among(keys: pa.Array, some: pa.Array | Collection[Key]) -> pa.Array:
    """Return which keys are among `some`; NULL never is, and a number never equals a text."""
    if not isinstance(some, pa.Array):
        kind = int if pa.types.is_integer(keys.type) else str
        some = pa.array([key for key in some if isinstance(key, kind)], keys.type)
    if some.type != keys.type:
        return pa.repeat(pa.scalar(False), len(keys))
    return pc.is_in(keys, some.drop_null())


def as_type(keys: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return keys as another type, integer or text; NULL for a text that is not an integer."""
    if keys.type == kind or pa.types.is_string(kind):
        return keys.cast(kind)
    is_number = pc.match_substring_regex(keys, r"^-?\d{1,18}$")
    return pc.if_else(is_number, keys, None).cast(kind)


def spoken(key: Key, columns: int) -> str:
    """Return a key of `columns` columns as people read it."""
    if columns == 1:
        return str(key)
    parts = _split(pa.array([str(key)]), columns)
    return ", ".join(part[0].as_py() for part in parts)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _text(column: pa.Array) -> pa.Array:
    """Return values as PostgreSQL writes them, but timestamps with all six decimal places."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))
    elif pa.types.is_decimal(column.type) and column.type.scale > _PLAIN_SCALE:
        plain = [None if value is None else f"{value:f}" for value in column.to_pylist()]
        return pa.array(plain, pa.string())
    return column.cast(pa.string())


def _escaped(texts: pa.Array) -> pa.Array:
    return pc.replace_substring(pc.replace_substring(texts, "\\", r"\\"), ",", r"\,")


def _split(keys: pa.Array, columns: int) -> list[pa.Array]:
    """Split keys into the texts of their columns."""
    coded = pc.replace_substring(pc.replace_substring(keys, r"\\", _BACKSLASH), r"\,", _COMMA)
    parts = pc.split_pattern(coded, ",")
    if not pc.all(pc.equal(pc.list_value_length(parts), columns), min_count=0).as_py():
        raise pa.ArrowInvalid(f"a key is not one of {columns} columns")
    texts = [pc.list_element(parts, place) for place in range(columns)]
    return [
        pc.replace_substring(pc.replace_substring(text, _COMMA, ","), _BACKSLASH, "\\")
        for text in texts
    ]


def _typed(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values as a type, from integers or from texts as `_text` makes them."""
    if pa.types.is_timestamp(kind):
        texts = texts.cast(pa.timestamp("us"))
    return texts.cast(kind)
