"""Check rows of the source, and give the reasons why some cannot be in a target table.

No row is changed here: the caller decides what happens to it. Checks work by column; only wrong
rows are handled one by one.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from etl import (
    BigInteger,
    Boolean,
    Calendar,
    Column,
    Date,
    Double,
    Integer,
    IsoDate,
    Numeric,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    UnixTime,
)
from etl import mapping as declared
from etl.mapping import Join
from etl.pipeline import Wait
from functions.common.carried import UNFIT
from functions.common.keys import Key, is_among, keys_of, spoken
from functions.transform.values import convert

_SQL_NAMES: dict[type[Column], str] = {
    SmallInteger: "smallint",
    Integer: "integer",
    Real: "real",
    UnixTime: "timestamp with time zone",
}

Say = Callable[[int, Any], str]
Words = Callable[[str, Column, Any], str]


@dataclass(frozen=True)
class Partners:
    """The rows joined under a parameter: those that are fit, converted.

    `keys` are the keys of all of them in the source, `wrong` the reasons of unfit ones by key, and
    `joined` the rows that they join with in turn.
    """

    join: Join
    rows: pa.Table
    keys: pa.Array
    wrong: Mapping[Key, str]
    joined: "Sequence[Partners]"

    def by_parameter(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield the fit rows under this parameter, and under those of the joins below it."""
        yield self.join.parameter, self.rows
        for each in self.joined:
            yield from each.by_parameter()


@dataclass(frozen=True)
class Surroundings:
    """The context that a row's fitness depends on beside its own values.

    `joined` are the joined rows; `absent` are the keys, by table id, that the target cannot have
    yet.
    """

    calendar: Calendar | None = None
    joined: Sequence[Partners] = ()
    waits: Sequence[Wait] = ()
    absent: Mapping[str, Collection[Key]] = field(default_factory=dict)


NOTHING_ELSE = Surroundings()


class _Findings:
    """The faults of rows, by position, in the order in which they are found."""

    def __init__(self) -> None:
        self._found: defaultdict[int, list[str]] = defaultdict(list)

    def add(self, values: pa.Array | pa.ChunkedArray, wrong: pa.ChunkedArray, say: Say) -> None:
        """Add the reason for the position and the value, wherever `wrong` is true."""
        positions = pc.indices_nonzero(wrong)
        found = zip(positions.to_pylist(), values.take(positions).to_pylist(), strict=True)
        for position, value in found:
            self._found[position].append(say(position, value))

    def reasons(self) -> dict[int, str]:
        return {position: "; ".join(found) for position, found in sorted(self._found.items())}


def partners(join: Join, rows: pa.Table, around: Surroundings = NOTHING_ELSE) -> Partners:
    """Return the rows of a table joined under a parameter, converted and checked."""
    converted = convert(join.table, rows)
    keys = keys_of(rows, join.table.keys)
    wrong = reasons(join.table, rows, converted, around)
    by_key = {keys[position].as_py(): why for position, why in wrong.items()}
    return Partners(join, without(converted, wrong), keys, by_key, around.joined)


def joined_in(
    mapping: declared.Mapping, calendar: Calendar | None, rows_of: Callable[[Table], pa.Table]
) -> list[Partners]:
    """Return the rows that those of a mapping's main table join with, at any depth."""
    rows = cache(rows_of)

    def with_rows_under(parameter: str) -> list[Partners]:
        return [
            partners(
                join,
                rows(join.table),
                Surroundings(calendar, with_rows_under(join.parameter)),
            )
            for join in mapping.joins
            if join.child == parameter
        ]

    return with_rows_under(mapping.parameter)


def without(rows: pa.Table, positions: Collection[int]) -> pa.Table:
    """Return rows without those at some positions."""
    if not positions:
        return rows
    unwanted = pa.array(list(positions), pa.int64())
    return rows.filter(pc.invert(pc.is_in(pa.array(range(rows.num_rows)), unwanted)))


def reasons(
    table: Table,
    rows: pa.Table,
    converted: pa.Table,
    around: Surroundings = NOTHING_ELSE,
    words: Words | None = None,
) -> dict[int, str]:
    """Return, by position in order, why rows cannot be in the target; the others are fit.

    `rows` have the declared columns and, if they are those of a database, `_unfit`, the values that
    Arrow cannot hold; `converted` are the same rows with the values that the target can have.
    `words` returns the fault of a value; the default is for values of a database.
    """
    findings = _Findings()
    unfit = _unfit_values(rows[UNFIT]) if UNFIT in rows.column_names else {}
    for name, column in table.columns.items():
        if converted[name].null_count:
            noted = [position for position, texts in unfit.items() if name in texts]
            wrong = _without_value(rows[name], converted[name], noted, nullable=column.nullable)
            say = _say_what_is_wrong(name, column, unfit, words or _inexact)
            findings.add(rows[name], wrong, say)
    if around.calendar is not None:
        _check_calendar(findings, table, converted, around.calendar)
    for joined in around.joined:
        _check_partner(findings, rows, joined)
    for wait in around.waits:
        _check_parent(findings, rows, wait, around.absent.get(wait.parent.id, ()))
    return findings.reasons()


def waiting(
    rows: pa.Table, waits: Sequence[Wait], absent: Mapping[str, Collection[Key]]
) -> pa.Array:
    """Return which rows wait for a parent."""
    found = pa.repeat(pa.scalar(False), rows.num_rows)
    for wait in waits:
        keys = keys_of(rows, wait.columns)
        found = pc.or_(found, is_among(keys, absent.get(wait.parent.id, ())))
    return found


def _unfit_values(texts: pa.ChunkedArray) -> dict[int, dict[str, str | int]]:
    positions = pc.indices_nonzero(texts.is_valid())
    found = zip(positions.to_pylist(), texts.take(positions).to_pylist(), strict=True)
    return {
        position: msgspec.json.decode(text, type=dict[str, str | int]) for position, text in found
    }


def _without_value(
    values: pa.ChunkedArray, converted: pa.ChunkedArray, noted: list[int], *, nullable: bool
) -> pa.ChunkedArray:
    """Return where the target lacks a value; if `nullable`, only where the source has one.

    `noted` are the positions of values of the source that could not be carried.
    """
    missing = converted.is_null()
    if not nullable:
        return missing
    given = values.is_valid()
    if noted:
        given = pc.or_(given, pc.is_in(pa.array(range(len(values))), pa.array(noted, pa.int64())))
    return pc.and_(missing, given)


def _say_what_is_wrong(
    name: str, column: Column, unfit: Mapping[int, Mapping[str, str | int]], words: Words
) -> Say:
    def say(position: int, value: Any) -> str:
        if value is not None:
            return words(name, column, value)
        match unfit.get(position, {}).get(name):
            case int(at_most):
                return f"{name} is larger than {at_most:,} bytes"
            case str(text):
                return f"{name} {text} {_uncarried(column)}"
        return f"has no {name}"

    return say


def _inexact(name: str, column: Column, value: Any) -> str:
    """Return the fault of a value that its conversion makes NULL."""
    match column:
        case Date() | IsoDate():
            return f"{name} '{value}' is not a date"
        case Text(reason=reason):
            return f"{name} '{value}' {reason}"
        case Numeric(precision=None):
            return f"{name} {value} is not a number"
        case Numeric(precision=precision, scale=scale):
            return f"{name} {value} does not fit numeric({precision},{scale or 0})"
    return f"{name} {value} does not fit {_SQL_NAMES[type(column)]}"


def _uncarried(column: Column) -> str:
    """Return the fault of a value that its type in Parquet cannot hold.

    The column may have had another type when the batch was written.
    """
    match column:
        case SmallInteger() | Integer() | BigInteger() | UnixTime():
            return "is not a whole number"
        case Numeric() | Real() | Double():
            return "is not a number"
        case Boolean():
            return "is neither true nor false"
        case Timestamp() | Time():
            return "is out of range"
        case Date() | IsoDate():
            return "is not a date"
    return "is not valid UTF-8"


def _check_calendar(
    findings: _Findings, table: Table, converted: pa.Table, calendar: Calendar
) -> None:
    """Find dates and timestamps outside the calendar."""
    for name, column in table.columns.items():
        if isinstance(column, Date | IsoDate | Timestamp | UnixTime):
            days = converted[name].cast(pa.date32())
            outside = pc.or_(pc.less(days, calendar.first), pc.greater(days, calendar.last))
            what = f"{name} is outside the calendar, {calendar.first} to {calendar.last}"
            findings.add(days, outside, lambda *_, what=what: what)


def _check_partner(findings: _Findings, rows: pa.Table, joined: Partners) -> None:
    join, keys = joined.join, keys_of(rows, joined.join.columns)
    name, columns = join.parameter, len(join.columns)
    missing = pc.and_not(keys.is_valid(), is_among(keys, joined.keys))
    findings.add(keys, missing, lambda _, key: f"{name} {spoken(key, columns)} is missing")
    wrong = is_among(keys, joined.wrong)
    findings.add(keys, wrong, lambda _, key: f"{name} {spoken(key, columns)} {joined.wrong[key]}")


def _check_parent(findings: _Findings, rows: pa.Table, wait: Wait, absent: Collection[Key]) -> None:
    if absent:
        keys, name, columns = keys_of(rows, wait.columns), wait.parent.parameter, len(wait.columns)
        waits = is_among(keys, absent)
        findings.add(keys, waits, lambda _, key: f"waits for {name} {spoken(key, columns)}")
