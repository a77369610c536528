"""The rows of a source table in the lake, which may be older than today's declaration."""

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from etl import Column, Table
from functions.common.carried import UNFIT, is_carried, missing
from functions.common.errors import CorruptLogError
from functions.common.manifests import TableCapture
from functions.common.objects import DataFile
from functions.transform import texts
from functions.transform.values import by_distinct_value, form


def require_columns(table: Table, rows: pa.Table) -> None:
    """Raise CorruptLogError for rows that extract would not have written."""
    if column := missing(rows.schema, table):
        raise CorruptLogError(
            f"rows of {table.name} in the ingestion bucket have no column {column}: which version "
            "of extract wrote them?"
        )
    for key in table.keys:
        if rows[key].null_count:
            raise CorruptLogError(f"rows of {table.name} in the ingestion bucket have no {key}")


def tombstones_of(table: Table, capture: TableCapture) -> list[DataFile]:
    """Return the objects with the keys of deleted rows, none if they are of another key than today.

    Which rows these were cannot be said by today's key: the rows are gone.
    """
    return capture.tombstones if set(capture.key) == set(table.keys) else []


def as_declared(table: Table, rows: pa.Table) -> pa.Table:
    """Return rows of a batch that may be older than the declaration, with all of its columns.

    Columns that such a row lacks are NULL. A value that does not fit today's type goes to `_unfit`,
    as text.
    """
    if UNFIT not in rows.column_names:
        rows = rows.append_column(UNFIT, pa.nulls(rows.num_rows, pa.string()))
    for name, column in table.columns.items():
        place = rows.schema.get_field_index(name)
        if place < 0:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, form(column)))
        elif not is_carried(column, rows.schema.field(place).type):
            older = rows[name]
            rows = rows.set_column(place, name, _recast(older, column))
            rows = _with_unfit(rows, name, older)
    return rows


def _recast(values: pa.ChunkedArray, column: Column) -> pa.Array | pa.ChunkedArray:
    """Return values of a column in its type of today, NULL where they do not fit."""
    if pa.types.is_string(values.type):
        return texts.reading(column)(values)
    try:
        return values.cast(form(column))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return by_distinct_value(
            values, lambda value: _as(value, values.type, column), form(column)
        )


def _as(value: Any, kind: pa.DataType, column: Column) -> Any:
    try:
        return pa.scalar(value, kind).cast(form(column)).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _with_unfit(rows: pa.Table, name: str, older: pa.ChunkedArray) -> pa.Table:
    """Return rows with the `older` values of a column that do not fit noted in `_unfit`."""
    positions = pc.indices_nonzero(pc.and_(rows[name].is_null(), older.is_valid())).to_pylist()
    if not positions:
        return rows
    noted = rows[UNFIT].to_pylist()
    for position in positions:
        known = msgspec.json.decode(noted[position]) if noted[position] else {}
        lost = {name: str(older[position].as_py())}
        noted[position] = msgspec.json.encode(known | lost).decode()
    place = rows.schema.get_field_index(UNFIT)
    return rows.set_column(place, UNFIT, pa.array(noted, pa.string()))
