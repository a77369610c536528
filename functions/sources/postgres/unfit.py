"""Values that Arrow cannot hold: NaN, infinity, years outside 1 to 9999, text that is not UTF-8.

The last may be in a SQL_ASCII database. They are carried as text in `_unfit`, a JSON object
{column: text}, so that no row stops a batch. As they are rare, rows are first parsed as if there
were none, and a block that has some is parsed again. Beside them are the server's notes of values
that it omitted: see `large`.

"""

from functools import reduce

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.carried import UNFIT
from functions.common.copy import read_csv

# PostgreSQL's text of NaN and infinity, and of stamps outside the years 1 to 9999.
_UNFIT_TEXT = r"^NaN$|^-?infinity$| BC$|^\d{5,}-"


def parse(block: bytes, schema: pa.Schema, *, has_notes: bool = False) -> list[pa.RecordBatch]:
    """Parse whole rows of PostgreSQL's CSV as `schema`.

    The text has column `_unfit` only if the server adds notes. Raises pa.ArrowInvalid for a value
    of another type.
    """
    place = schema.get_field_index(UNFIT)
    carried = schema.remove(place)
    sent = schema if has_notes else carried
    try:
        parsed = [(rows, _notes(rows)) for rows in read_csv(block, sent)]
    except pa.ArrowInvalid:
        parsed = [_separated(rows, carried) for rows in read_csv(block, _with_bytes(sent))]
    return [rows.select(carried.names).add_column(place, UNFIT, unfit) for rows, unfit in parsed]


def _notes(rows: pa.RecordBatch) -> pa.Array:
    return rows[UNFIT] if UNFIT in rows.schema.names else pa.nulls(rows.num_rows, pa.string())


def _is_doubtful(kind: pa.DataType) -> bool:
    """Return whether PostgreSQL has values that an Arrow type cannot hold."""
    return bool(
        pa.types.is_decimal(kind) or pa.types.is_timestamp(kind) or pa.types.is_string(kind)
    )


def _with_bytes(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        [
            field.with_type(pa.binary())
            if field.name != UNFIT and _is_doubtful(field.type)
            else field
            for field in schema
        ]
    )


def _separated(rows: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, pa.Array]:
    """Return rows in `schema`, with NULL for unfit values, and the JSON objects of these."""
    columns, unfit = [], {}
    for field in schema:
        column = rows[field.name]
        if pa.types.is_string(field.type):
            fit, unfit[field.name] = _texts(column)
            columns.append(fit)
        elif _is_doubtful(field.type):
            texts = column.cast(pa.string())
            is_unfit = pc.match_substring_regex(texts, _UNFIT_TEXT)
            unfit[field.name] = pc.if_else(is_unfit, texts, None)
            columns.append(pc.if_else(is_unfit, None, texts).cast(field.type))
        else:
            columns.append(column)
    return pa.record_batch(columns, schema=schema), _objects(unfit, _notes(rows))


def _texts(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return a column of bytes as text, and what is not UTF-8 in readable form."""
    try:
        return column.cast(pa.string()), pa.nulls(len(column), pa.string())
    except pa.ArrowInvalid:
        fit, unfit = zip(*map(_fit_and_unfit, column.to_pylist()), strict=True)
        return pa.array(fit, pa.string()), pa.array(unfit, pa.string())


def _fit_and_unfit(text: bytes | None) -> tuple[str | None, str | None]:
    """Return text, or its bytes in readable form: `\\xe9` for one that is not UTF-8."""
    if text is None:
        return None, None
    try:
        return text.decode(), None
    except UnicodeDecodeError:
        # A literal backslash is doubled, so that escaped bytes can be distinguished from text.
        return None, text.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def _objects(unfit: dict[str, pa.Array], notes: pa.Array) -> pa.Array:
    """Return, by row, the JSON object of its values and notes; NULL for a row that has none."""
    columns = {**unfit, UNFIT: notes}
    has_any = reduce(pc.or_, [column.is_valid() for column in columns.values()])
    found = pa.record_batch(columns).filter(has_any).to_pylist()
    objects = pa.array([_object(row) for row in found], pa.string())
    return pc.replace_with_mask(pa.nulls(len(has_any), pa.string()), has_any, objects)


def _object(row: dict[str, str | None]) -> str:
    noted = msgspec.json.decode(row.pop(UNFIT) or "{}", type=dict[str, int])
    texts = {column: text for column, text in row.items() if text is not None}
    return msgspec.json.encode(texts | noted).decode()
