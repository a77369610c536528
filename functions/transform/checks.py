"""Say in words why a row of the source cannot be a row of the warehouse.

It changes nothing: what becomes of a row is decided by whoever asks. Work is done by column; only
rows that are wrong cost a line of Python each.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.totesys import CALENDAR, JOINS, Family, Table
from functions.transform.values import (
    Convert,
    amounts,
    conversion,
    convert,
    currency_codes,
    dates,
    integers,
    prices,
)

NULLABLE = {
    "address": {"address_line_2", "district"},
    "transaction": {"sales_order_id", "purchase_order_id"},
}
"""The only columns, by source table, that may be NULL in the warehouse."""

INEXACT: dict[Convert, str] = {
    dates: "{} '{}' is not a date",
    currency_codes: "{} '{}' is not in ISO 4217",
    prices: "{} {} does not fit numeric(10,2)",
    amounts: "{} {} is not a number",
    integers: "{} {} does not fit integer",
}
"""What to say of a column and a value in it that its conversion makes NULL."""

UNFIT: dict[Family, str] = {
    "numeric": "is not a number",
    "timestamp": "is out of range",
    "date": "is not a date",
    "text": "is not valid UTF-8",
}
"""What to say of a column and a value in it that its type in Parquet cannot hold."""

OUTSIDE = f"is outside the calendar, {CALENDAR[0]} to {CALENDAR[1]}"

Say = Callable[[int, Any], str]


@dataclass(frozen=True)
class Partners:
    """The rows of the table that joins in, converted, and, by key, what is wrong with some of them.

    `keys` are those that they have in the source, in 64 bits.
    """

    table: Table
    rows: pa.Table
    keys: pa.ChunkedArray
    wrong: Mapping[int, str]


class _Findings:
    """What is wrong with rows, by position, in the order in which it was found."""

    def __init__(self) -> None:
        self._found: defaultdict[int, list[str]] = defaultdict(list)

    def add(self, values: pa.ChunkedArray, wrong: pa.ChunkedArray, say: Say) -> None:
        """Note what there is to say of the position and the value, wherever `wrong` is true."""
        positions = pc.indices_nonzero(wrong)
        found = zip(positions.to_pylist(), values.take(positions).to_pylist(), strict=True)
        for position, value in found:
            self._found[position].append(say(position, value))

    def reasons(self) -> dict[int, str]:
        return {position: "; ".join(found) for position, found in sorted(self._found.items())}


def partners(table: Table, rows: pa.Table) -> Partners:
    """Return the rows of a table that joins in, converted and checked."""
    converted = convert(table, rows)
    keys = rows[table.key].cast(pa.int64())
    wrong = reasons(table, rows, converted, None, {})
    return Partners(
        table, converted, keys, {keys[position].as_py(): why for position, why in wrong.items()}
    )


def reasons(
    table: Table,
    rows: pa.Table,
    converted: pa.Table,
    joined: Partners | None,
    absent: Mapping[str, Collection[int]],
) -> dict[int, str]:
    """Return, by position in order, why rows cannot be in the warehouse; the others are fit.

    `rows` have the columns that the star needs and `_unfit`, the values that Arrow cannot hold;
    `converted` are the same rows as `values.convert` returns them; `absent` are keys, by table,
    that the warehouse cannot have yet.
    """
    findings = _Findings()
    unfit = _unfit_values(rows["_unfit"])
    for column, family in table.columns.items():
        if converted[column].null_count:
            nullable = column in NULLABLE.get(table.name, ())
            noted = [position for position, texts in unfit.items() if column in texts]
            wrong = _without_value(rows[column], converted[column], noted, nullable=nullable)
            findings.add(rows[column], wrong, _say_what_is_wrong(column, family, unfit))
    for column in table.calendar_columns:
        outside = _outside_calendar(converted[column])
        findings.add(rows[column], outside, lambda *_, name=column: f"{name} {OUTSIDE}")
    if joined is not None:
        _check_partner(findings, rows, table, joined)
    for column, parent in table.parents.items():
        _check_parent(findings, rows[column], parent, absent.get(parent, ()))
    return findings.reasons()


def _unfit_values(texts: pa.ChunkedArray) -> dict[int, dict[str, str | int]]:
    positions = pc.indices_nonzero(texts.is_valid())
    found = zip(positions.to_pylist(), texts.take(positions).to_pylist(), strict=True)
    return {
        position: msgspec.json.decode(text, type=dict[str, str | int]) for position, text in found
    }


def _without_value(
    values: pa.ChunkedArray, converted: pa.ChunkedArray, noted: list[int], *, nullable: bool
) -> pa.ChunkedArray:
    """Return where the warehouse has no value; if `nullable`, only where the source has one.

    `noted` are the positions of values that the source has and that could not be carried.
    """
    missing = converted.is_null()
    if not nullable:
        return missing
    given = values.is_valid()
    if noted:
        given = pc.or_(given, pc.is_in(pa.array(range(len(values))), pa.array(noted, pa.int64())))
    return pc.and_(missing, given)


def _outside_calendar(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return where dates or stamps are of a day that the calendar cannot have."""
    first, last = CALENDAR
    days = values.cast(pa.date32())
    return pc.or_(pc.less(days, first), pc.greater(days, last))


def _say_what_is_wrong(
    column: str, family: Family, unfit: Mapping[int, Mapping[str, str | int]]
) -> Say:
    inexact = INEXACT.get(conversion(column, family), "")

    def say(position: int, value: Any) -> str:
        if value is not None:
            return inexact.format(column, value)
        match unfit.get(position, {}).get(column):
            case int(at_most):
                return f"{column} is larger than {at_most:,} bytes"
            case str(text):
                return f"{column} {text} {UNFIT[family]}"
        return f"has no {column}"

    return say


def _check_partner(findings: _Findings, rows: pa.Table, table: Table, joined: Partners) -> None:
    parent = joined.table.name
    column = next(
        join.column for join in JOINS if (join.child, join.parent) == (table.name, parent)
    )
    keys = rows[column]
    missing = pc.and_not(keys.is_valid(), _is_in(keys, joined.keys))
    findings.add(keys, missing, lambda _, key: f"{parent} {key} is missing")
    wrong = _is_in(keys, pa.array(list(joined.wrong), pa.int64()))
    findings.add(keys, wrong, lambda _, key: f"{parent} {key} {joined.wrong[key]}")


def _check_parent(
    findings: _Findings, keys: pa.ChunkedArray, parent: str, absent: Collection[int]
) -> None:
    if absent:
        waits = _is_in(keys, pa.array(list(absent), pa.int64()))
        findings.add(keys, waits, lambda _, key: f"waits for {parent} {key}")


def _is_in(keys: pa.ChunkedArray, some: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """Return where keys, of whatever integer type, are among some in 64 bits; NULL never is."""
    return pc.is_in(keys.cast(pa.int64()), some)
