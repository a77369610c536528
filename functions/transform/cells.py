"""Convert and check rows of files, whose cells are text in the lake."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from etl import Calendar, Table
from functions.common.carried import WRONG
from functions.transform import checks, texts
from functions.transform.wording import words_for


def with_all_columns(table: Table, rows: pa.Table) -> pa.Table:
    """Return rows with NULL in the columns that were not declared yet when they were written."""
    for name in table.columns:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    return rows


def checked(
    table: Table, rows: pa.Table, calendar: Calendar | None
) -> tuple[pa.Table, Mapping[int, str]]:
    """Return the converted columns of rows, and by position why rows are refused, in order.

    The reader of a file marks some rows as `_wrong`; these may lack cells.
    """
    converted = texts.convert(table, rows)
    around = checks.Surroundings(calendar)
    refused = checks.reasons(table, rows, converted, around, words_for)
    if WRONG in rows.column_names and rows[WRONG].null_count < rows.num_rows:
        refused = dict(sorted((refused | _wrong(table, rows, converted)).items()))
    return converted, refused


def _wrong(table: Table, rows: pa.Table, converted: pa.Table) -> dict[int, str]:
    """Return by position why rows are wrong, including the faults of the cells that they have."""
    positions = pc.indices_nonzero(rows[WRONG].is_valid())
    found = (some.take(positions).to_pylist() for some in (rows, converted))
    return {
        position: "; ".join(
            [
                cells[WRONG],
                *(
                    words_for(name, column, cells[name])
                    for name, column in table.columns.items()
                    if cells[name] is not None and values[name] is None
                ),
            ]
        )
        for position, cells, values in zip(positions.to_pylist(), *found, strict=True)
    }
