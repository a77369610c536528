"""Make target rows from a few handwritten rows, for `etl.testing`."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa

from etl import (
    BigInteger,
    Calendar,
    Column,
    DeclarationError,
    Integer,
    Numeric,
    Pipeline,
    SmallInteger,
    Table,
    Timestamp,
    UnixTime,
)
from etl import mapping as declared
from functions.common.carried import UNFIT
from functions.common.errors import PipelineCodeError
from functions.common.keys import Key, keys_of
from functions.transform import checks
from functions.transform.cells import checked
from functions.transform.making import made_columns, make
from functions.transform.values import convert, form

Rows = Sequence[Mapping[str, Any]]


def made_of_texts(
    mapping: declared.Mapping, calendar: Calendar | None, rows: Rows, nulls: Collection[str] = ()
) -> tuple[list[dict[str, Any]], dict[Key, str]]:
    """Return the target rows made from rows of a file or of events, and why others are refused.

    `nulls` are texts that stand for NULL. Refused rows are identified by their key, or without one
    by their position among the rows.
    """
    table = mapping.main
    cells = as_cells(table, rows, nulls)
    converted, wrong = checked(table, cells, calendar)
    fit = make(mapping, checks.without(converted, wrong), {})
    keys: list[Key | None] = [None] * len(rows)
    if table.keys:
        exact = keys_of(converted, table.keys).to_pylist()
        as_written = keys_of(cells, table.keys).to_pylist()
        keys = [text if key is None else key for key, text in zip(exact, as_written, strict=True)]
    named = ((keys[position], position, reason) for position, reason in wrong.items())
    refused = {position if key is None else key: reason for key, position, reason in named}
    return [_as_python(mapping, row) for row in fit.to_pylist()], refused


def made(
    mapping: declared.Mapping, calendar: Calendar | None, rows: Mapping[Table, Rows]
) -> tuple[list[dict[str, Any]], dict[Key, str]]:
    """Return the target rows made from rows of tables, and why others are refused, by key."""
    tables = {table: carried(table, some) for table, some in rows.items()}
    main = tables[mapping.main]
    joined = checks.joined_in(mapping, calendar, tables.__getitem__)
    converted = convert(mapping.main, main)
    wrong = checks.reasons(mapping.main, main, converted, checks.Surroundings(calendar, joined))
    partners = dict(chain.from_iterable(each.by_parameter() for each in joined))
    fit = make(mapping, checks.without(converted, wrong), partners)
    keys = keys_of(main, mapping.main.keys).to_pylist()
    refused = {keys[position]: reason for position, reason in wrong.items()}
    return [_as_python(mapping, row) for row in fit.to_pylist()], refused


def _as_python(mapping: declared.Mapping, row: dict[str, Any]) -> dict[str, Any]:
    """Return a target row with decimals for the numerics that are carried as text."""
    columns = mapping.target.columns or mapping.main.columns
    return {
        name: Decimal(value)
        if isinstance(columns.get(name), Numeric) and isinstance(value, str)
        else value
        for name, value in row.items()
    }


def mistake_in(mapping: declared.Mapping) -> str | None:
    """Return how a function's result for no rows differs from the declaration, None if not."""
    target = mapping.target
    if target.make is None:
        unknown = [name for name in target.columns or () if name not in mapping.main.columns]
        return f"{target}: {mapping.main} has no column {unknown[0]}" if unknown else None
    tables = [mapping.main, *(_join(mapping, name).table for name in target.parameters[1:])]
    try:
        made_columns(target, [(table, convert(table, carried(table, ()))) for table in tables])
    except PipelineCodeError as error:
        return str(error)
    return None


def try_all(pipeline: Pipeline) -> str:
    """Call each row function without rows; raise DeclarationError for the first with a mistake."""
    mappings = [each for source in pipeline.sources for each in pipeline.mappings(source.name)]
    for mapping in mappings:
        if mistake := mistake_in(mapping):
            raise DeclarationError(mistake)
    return f"{len(mappings)} target tables can be made"


def _join(mapping: declared.Mapping, parameter: str) -> declared.Join:
    return next(join for join in mapping.joins if join.parameter == parameter)


def carried(table: Table, rows: Rows) -> pa.Table:
    """Return rows as extract writes them; a column that is not given is NULL."""
    _require_known(table, rows)
    columns = {
        name: _column(table, name, column, [row.get(name) for row in rows])
        for name, column in table.columns.items()
    }
    return pa.table({**columns, UNFIT: pa.nulls(len(rows), pa.string())})


def as_cells(table: Table, rows: Rows, nulls: Collection[str]) -> pa.Table:
    """Return rows as those of files and events are in the lake: as text."""
    _require_known(table, rows)
    columns = {name: [_cell(row.get(name)) for row in rows] for name in table.columns}
    return pa.table(
        {
            name: pa.array([None if cell in nulls else cell for cell in cells], pa.string())
            for name, cells in columns.items()
        }
    )


def _require_known(table: Table, rows: Rows) -> None:
    for row in rows:
        if unknown := [name for name in row if name not in table.columns]:
            raise DeclarationError(
                f"{table} has no column {unknown[0]}: declare it, or leave it out"
            )


def _cell(value: Any) -> str | None:
    """Return a value as in a file."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case bytes():
            return rf"\x{value.hex()}"
        case dict() | list():
            return json.dumps(value)
    return str(value)


def _column(table: Table, name: str, column: Column, values: list[Any]) -> pa.Array:
    try:
        return pa.array([_written(column, value) for value in values], _kind(column))
    except (pa.ArrowException, OverflowError, ValueError) as error:
        kind = type(column).__name__
        raise DeclarationError(
            f"{table}: a value that was given for {name} is none of {kind}: give one, or its text"
        ) from error


def _kind(column: Column) -> pa.DataType:
    """Return the type in which extract writes values of a column."""
    if isinstance(column, SmallInteger | Integer | BigInteger | UnixTime):
        return pa.int64()
    kind = form(column)
    if pa.types.is_date(kind) or pa.types.is_decimal(kind):
        return pa.string()
    return pa.float64() if pa.types.is_floating(kind) else kind


def _written(column: Column, value: Any) -> Any:
    """Return a value in the type in which extract writes it: text or a timestamp."""
    if isinstance(column, Timestamp) and isinstance(value, str):
        return datetime.fromisoformat(value)
    if value is None or _kind(column) != pa.string():
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date) or isinstance(column, Numeric):
        return str(value)
    return value
