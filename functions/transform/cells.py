"""Rows of files as they are in the lake: cells of text, and whether they make a row of a table."""

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

    Whoever reads a file knows of some rows that they are `_wrong`; these have no cells.
    """
    converted = texts.convert(table, rows)
    around = checks.Surroundings(calendar)
    refused = checks.reasons(table, rows, converted, around, words_for)
    if WRONG in rows.column_names and rows[WRONG].null_count < rows.num_rows:
        positions = pc.indices_nonzero(rows[WRONG].is_valid())
        why = zip(positions.to_pylist(), rows[WRONG].take(positions).to_pylist(), strict=True)
        refused = dict(sorted((refused | dict(why)).items()))
    return converted, refused
