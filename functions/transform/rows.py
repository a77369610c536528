"""The rows of a source table as they are in the lake: written under today's declaration or not."""

import pyarrow as pa

from etl import Column, Table
from functions.common.carried import UNFIT, is_carried, missing
from functions.common.errors import LogCorrupted
from functions.transform.values import form


def require_columns(table: Table, rows: pa.Table) -> None:
    """Raise LogCorrupted for rows that extract would not have written."""
    if column := missing(rows.schema, table):
        raise LogCorrupted(
            f"rows of {table.name} in the ingestion bucket have no column {column}: which version "
            "of extract wrote them?"
        )
    for key in table.keys:
        if rows[key].null_count:
            raise LogCorrupted(f"rows of {table.name} in the ingestion bucket have no {key}")


def as_declared(table: Table, rows: pa.Table) -> pa.Table:
    """Return rows of a batch that may be older than the declaration, with all of its columns.

    What a row of that time has no value for is NULL.
    """
    for name, column in table.columns.items():
        place = rows.schema.get_field_index(name)
        if place < 0:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, form(column)))
        elif not is_carried(column, rows.schema.field(place).type):
            rows = rows.set_column(place, name, _recast(rows[name], column))
    if UNFIT not in rows.column_names:
        rows = rows.append_column(UNFIT, pa.nulls(rows.num_rows, pa.string()))
    return rows


def _recast(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Return values of a column that has another type now."""
    try:
        return values.cast(form(column))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(values), form(column))])
