"""A user tries rows of files with the engine's own rules."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pandas import DataFrame

import etl.testing
from etl import (
    Boolean,
    Bytes,
    Calendar,
    Column,
    Date,
    DeclarationError,
    Double,
    Feed,
    Files,
    Integer,
    Json,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    Uuid,
    history,
    latest,
    replace,
)
from etl.testing import Made

order = Table("orders", key=("shop", "id"), columns={
    "shop": Text(), "id": Integer(), "day": Date(nullable=True), "price": Numeric(6, 2),
})  # fmt: skip
line = Table("lines", key=(), columns={"text": Text(check=str.isupper, reason="is not loud")})


@history(key=("shop", "id"))
def fact_order(orders: DataFrame) -> DataFrame:
    """Orders, with twice their price."""
    return orders.assign(price=orders["price"] * 2)


PIPELINE = Pipeline(
    sources=[Files("drop", (Feed(order, "orders.csv"), Feed(line, "lines.csv")))],
    targets=[PostgresWarehouse("warehouse", (fact_order, replace(line)), Calendar("days"))],
)
LEEDS: dict[str, Any] = {"shop": "Leeds", "id": "07", "day": None, "price": "1.50"}


def test_cells_are_converted_as_those_of_a_file() -> None:
    """Text as it is in the file, and Python's own values, make the same row; blank is NULL."""
    made = etl.testing.made(PIPELINE, "fact_order", orders=[LEEDS, LEEDS | {"id": 7}])
    assert made.refused == {}
    assert made.rows == [LEEDS | {"id": 7, "price": Decimal("3.00")}] * 2
    assert etl.testing.made(PIPELINE, "fact_order", orders=[LEEDS | {"day": ""}]).refused == {}


def test_a_refused_row_is_named_by_its_key_or_its_place() -> None:
    """All reasons are those that would be in the errors, and the calendar counts."""
    rows = [LEEDS | {"day": "soon", "price": "1.505"}, LEEDS | {"id": "x"}, LEEDS | {"id": None},
            LEEDS | {"id": 8, "day": date(1066, 10, 14)}]  # fmt: skip
    assert etl.testing.made(PIPELINE, "fact_order", orders=rows).refused == {
        "Leeds,7": "day is not a date (yyyy-mm-dd): 'soon'; "
        "price has more than 2 digits after the point: '1.505'",
        "Leeds,x": "id is not a whole number: 'x'",
        2: "has no id",
        "Leeds,8": "day is outside the calendar, 1900-01-01 to 2100-12-31",
    }


def test_lines_without_a_key_are_named_by_their_place() -> None:
    """Equal lines stay, each for itself."""
    made = etl.testing.made(PIPELINE, "lines", lines=[{"text": text} for text in ("A", "b", "A")])
    assert made == Made([{"text": "A"}] * 2, {1: "text is not loud: 'b'"})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Boolean(), True),
        (Double(), 0.1),
        (Timestamp(), datetime(2026, 11, 1, 10, 0, 0, 5)),
        (Numeric(), Decimal("1E+3")),
    ],
)
def test_python_s_values_are_what_they_are(column: Column, value: Any) -> None:
    """A value that is written into a cell and read again is the same."""
    assert through_a_file(column, value) == value


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (Uuid(), UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Json(), {"a": [1]}, '{"a": [1]}'),
        (Bytes(), b"\x00\xff", r"\x00ff"),
    ],
)
def test_what_is_carried_as_text_is_its_text(column: Column, value: Any, text: str) -> None:
    """As PostgreSQL reads it."""
    assert through_a_file(column, value) == text


def through_a_file(column: Column, value: Any) -> Any:
    table = Table("t", "id", {"id": Integer(), "value": column})
    pipeline = Pipeline(
        sources=[Files("drop", (Feed(table, "t.csv"),))],
        targets=[PostgresWarehouse("warehouse", (latest(table),))],
    )
    [row] = etl.testing.made(pipeline, "t", t=[{"id": 1, "value": value}]).rows
    return row["value"]


def test_a_column_that_is_not_declared_is_named() -> None:
    """A mistake in a test is one line."""
    with pytest.raises(DeclarationError, match="table lines has no column txt: declare it, or lea"):
        etl.testing.made(PIPELINE, "lines", lines=[{"txt": "A"}])


def test_functions_of_files_are_held_against_what_they_declare() -> None:
    """Before anything is deployed, and without a row."""
    etl.testing.check(PIPELINE)
