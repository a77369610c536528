"""Rows that were written under another declaration are rows of today's, or are put aside."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Integer,
    Numeric,
    Table,
    Text,
    Timestamp,
    UnixTime,
    Uuid,
)
from functions.transform.checks import reasons
from functions.transform.rows import as_declared
from functions.transform.values import convert

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def redeclared(column: Column, older: list[Any]) -> tuple[list[Any], dict[int, str]]:
    """Return the values of older rows under today's type, and why rows are put aside."""
    table = Table("t", "id", {"id": Integer(), "value": column})
    rows = pa.table({"id": pa.array(range(len(older)), pa.int64()), "value": pa.array(older)})
    found = as_declared(table, rows)
    converted = convert(table, found)
    return converted["value"].to_pylist(), reasons(table, found, converted)


@pytest.mark.parametrize(
    ("column", "older", "values", "wrong"),
    [
        (Integer(nullable=True), ["7", "x", None, "7"], [7, None, None, 7],
         {1: "value x is not a whole number"}),
        (BigInteger(), [2.0, 2.5, 3.0], [2, None, 3], {1: "value 2.5 is not a whole number"}),
        (Double(), ["0.5", "half"], [0.5, None], {1: "value half is not a number"}),
        (Boolean(nullable=True), ["yes", "?"], [True, None],
         {1: "value ? is neither true nor false"}),
        (Timestamp(timezone=True), ["2024-05-01 12:00Z", "May"], [NOON, None],
         {1: "value May is out of range"}),
        (UnixTime(), ["0", "noon"], [datetime(1970, 1, 1, tzinfo=UTC), None],
         {1: "value noon is not a whole number"}),
        (Text(), [1, 2], ["1", "2"], {}),
        (Numeric(4, 1), [True, False], [None, None],
         {0: "value True is not a number", 1: "value False is not a number"}),
    ],
)  # fmt: skip
def test_one_value_that_is_of_no_use_today_costs_one_row(
    column: Column, older: list[Any], values: list[Any], wrong: dict[int, str]
) -> None:
    """The other rows of the batch keep theirs, and the row is put aside with the value's text."""
    assert redeclared(column, older) == (values, wrong)


def test_what_was_put_aside_before_stays_so() -> None:
    """A value that could not be carried at all is named beside one that is of no use today."""
    table = Table("t", "id", {"id": Integer(), "a": Integer(), "b": Date(), "c": Uuid()})
    rows = pa.table({
        "id": [1], "a": ["x"], "b": pa.nulls(1, pa.string()), "_unfit": ['{"b":"12024-05-01"}'],
    })  # fmt: skip
    found = as_declared(table, rows)

    assert reasons(table, found, convert(table, found)) == {
        0: "a x is not a whole number; b 12024-05-01 is not a date; has no c"
    }
