"""The result of a pipeline's function becomes the target's rows, or a clear error."""

from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pandas import DataFrame

from etl import (
    Boolean,
    Column,
    Date,
    Integer,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    UnixTime,
    latest,
)
from etl.mapping import Mapping
from etl.targets import Make
from functions.common.errors import PipelineCodeError
from functions.transform.making import make

ITEM = Table("item", key="id", columns={"id": Integer(), "name": Text(nullable=True)})
ROWS = pa.table({"id": pa.array([1, 2], pa.int32()), "name": ["s3cret", None]})
TRY = "correct it, and try it with etl.testing"


def mapping_of(function: Make, **options: Any) -> Mapping:
    target = latest(key="id", name="things", **options)(function)
    pipeline = Pipeline(
        sources=[Postgres("source", (ITEM,))], targets=[PostgresWarehouse("warehouse", (target,))]
    )
    return pipeline.mappings("source")[0]


def error_of(function: Make, **options: Any) -> str:
    """Return what is said of a function, and that no value of a row is in it."""
    with pytest.raises(PipelineCodeError) as failure:
        make(mapping_of(function, **options), ROWS, {})
    assert "s3cret" not in str(failure.value)
    return str(failure.value)


def failing(item: DataFrame) -> DataFrame:
    raise ValueError(item["name"].iloc[0])


def test_a_function_that_fails_is_named_with_its_line() -> None:
    """The error says which table, what was raised and where, and no value of a row."""
    line = failing.__code__.co_firstlineno + 1
    assert error_of(failing) == (
        f"target table things: its function raised ValueError in line {line}: {TRY}"
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda item: None, "its function returned a NoneType, not a DataFrame"),
        (lambda item: item[["name"]], "its function returned no column id"),
        (lambda item: item[["id", "id", "name"]], "its function returned column id twice"),
        (lambda item: item.assign(id=None), "its function returned a row without id"),
        (lambda item: item.assign(id=1), "its function returned the same id twice"),
        (lambda item: item.assign(id=item["id"] + 1), ("its function returned rows whose id is not "
         "the key of the row that they were made of")),
        (lambda item: item.assign(id=item["id"].astype(str)), ("its function returned rows whose "
         "id is not the key of the row that they were made of")),
        (lambda item: item.assign(x=[{}, {}]), ("its function returned a column x of values that "
         "have no type of the warehouse (object)")),
        (lambda item: item.assign(x=["a", 1]), ("its function returned a column x of values that "
         "have no type of the warehouse (object)")),
        (lambda item: item.assign(x=[b"\xff", b""]), ("its function returned a column x of values "
         "that have no type of the warehouse (object)")),
    ],
)  # fmt: skip
def test_what_a_function_may_not_return_is_named(function: Make, message: str) -> None:
    """Each mistake is one clear line with the table and the column."""
    assert error_of(function) == f"target table things: {message}: {TRY}"


@pytest.mark.parametrize("rows", [lambda item: item[:1], lambda item: pd.concat([item, item])])
def test_each_row_makes_one_row(rows: Make) -> None:
    """A function neither drops rows nor makes more: what is left out would stay in the target."""
    assert " rows for 2: each row of its first parameter makes one row. " in error_of(rows)


def test_the_order_of_the_rows_is_the_function_s() -> None:
    """Where each key has one row, none of them comes after another."""
    made = make(mapping_of(lambda item: item.sort_values("id", ascending=False)), ROWS, {})

    assert made.to_pydict() == {"id": [2, 1], "name": [None, "s3cret"]}


def test_the_columns_are_those_that_are_declared() -> None:
    """A declared table gets its columns in their order, and an error for any other."""
    columns = {"name": Text(nullable=True), "id": Integer()}
    made = make(mapping_of(lambda item: item[["id", "name"]], columns=columns), ROWS, {})
    assert made.column_names == ["name", "id"]
    lacking = error_of(lambda item: item[["id"]], columns=columns)
    assert lacking == f"target table things: its function returned no column name: {TRY}"
    more = error_of(lambda item: item.assign(x=1, y=2), columns=columns)
    assert more == f"target table things: its function returned x, y, which is not declared: {TRY}"


AT = datetime(2024, 3, 1, 9, 30, 15, 123456)
SERIES: Any = pd.Series


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (SERIES([1, 2], dtype="int8"), pa.int16(), [1, 2]),
        (SERIES([1, 2], dtype="uint8"), pa.int16(), [1, 2]),
        (SERIES([1, 2], dtype="uint16"), pa.int32(), [1, 2]),
        (SERIES([1, 2], dtype="uint32"), pa.int64(), [1, 2]),
        (SERIES([1, 2], dtype="uint64"), pa.int64(), [1, 2]),
        (SERIES([0.5, 1], dtype="float16"), pa.float32(), [0.5, 1.0]),
        (SERIES([1, None], dtype="Int64"), pa.int64(), [1, None]),
        (SERIES([0.1, None]), pa.float64(), [0.1, None]),
        (SERIES([0.5, 1], dtype="float32"), pa.float32(), [0.5, 1.0]),
        (SERIES([True, None], dtype="boolean"), pa.bool_(), [True, None]),
        (SERIES(["a", None]), pa.string(), ["a", None]),
        (SERIES(["a", None], dtype="string"), pa.string(), ["a", None]),
        (SERIES(["a", "b"], dtype="category"), pa.string(), ["a", "b"]),
        (SERIES([None, None]), pa.string(), [None, None]),
        (SERIES([Decimal("1.50"), None]), pa.string(), ["1.50", None]),
        (SERIES([Decimal("1.50"), Decimal("1E+3")]), pa.string(), ["1.50", "1000"]),
        (SERIES([Decimal("1.50"), float("nan")]), pa.string(), ["1.50", None]),
        (SERIES([Decimal("1.50"), pd.NA]), pa.string(), ["1.50", None]),
        (SERIES([AT.date(), None]), pa.date32(), [AT.date(), None]),
        (SERIES([time(9, 30, 15, 7), None]), pa.time64("us"), [time(9, 30, 15, 7), None]),
        (SERIES([AT, AT], dtype="datetime64[ns]"), pa.timestamp("us"), [AT, AT]),
        (SERIES([AT, AT]).dt.tz_localize("Europe/Berlin"), pa.timestamp("us", "UTC"),
         [AT.replace(hour=8, tzinfo=UTC)] * 2),
        (SERIES([AT, AT], dtype=pd.ArrowDtype(pa.timestamp("ms"))).dt.time, pa.time64("us"),
         [time(9, 30, 15, 123000)] * 2),
        (SERIES([AT, AT], dtype=pd.ArrowDtype(pa.date64())), pa.date32(), [AT.date()] * 2),
        (SERIES(["x", "y"], dtype=pd.ArrowDtype(pa.large_string())), pa.string(), ["x", "y"]),
        (SERIES(["x", "y"], dtype=pd.ArrowDtype(pa.string_view())), pa.string(), ["x", "y"]),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)  # fmt: skip
def test_columns_come_in_the_form_that_load_expects(
    values: "pd.Series[Any]", kind: pa.DataType, expected: list[Any]
) -> None:
    """Whatever pandas makes of a column, its values are exact and of one form for each type."""
    made = make(mapping_of(lambda item: item.assign(x=values)), ROWS, {})
    assert (made["x"].type, made["x"].to_pylist()) == (kind, expected)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_is_text_however_arrow_stores_it(kind: pa.DataType) -> None:
    """A column that is declared as one may come in each of its forms."""
    columns = {"id": Integer(), "x": Text()}
    texts = SERIES(["x", "y"], dtype=pd.ArrowDtype(kind))

    def with_texts(item: "pd.DataFrame") -> "pd.DataFrame":
        return item[["id"]].assign(x=texts)

    made = make(mapping_of(with_texts, columns=columns), ROWS, {})

    assert (made["x"].type, made["x"].to_pylist()) == (pa.string(), ["x", "y"])


def test_a_copy_needs_no_function() -> None:
    """A table that is copied has its declared columns, as they are."""
    pipeline = Pipeline(
        sources=[Postgres("source", (ITEM,))],
        targets=[PostgresWarehouse("warehouse", (latest(ITEM),))],
    )
    made = make(pipeline.mappings("source")[0], ROWS.append_column("x", ROWS["id"]), {})
    assert made.equals(ROWS)


def test_a_numeric_without_a_scale_is_a_decimal_to_a_function() -> None:
    """Twice 1.50 is 3.00, and not 1.501.50; what is passed on keeps its digits."""
    table = Table("item", "id", {"id": Integer(), "price": Numeric()})
    target = latest(key="id", name="things")(
        lambda item: item.assign(double=item["price"] * 2)[["id", "price", "double"]]
    )
    pipeline = Pipeline(
        sources=[Postgres("source", (table,))], targets=[PostgresWarehouse("warehouse", (target,))]
    )
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), "price": ["1.50", "12.3456789"]})

    made = make(pipeline.mappings("source")[0], rows, {})

    assert made.to_pylist() == [
        {"id": 1, "price": "1.50", "double": "3.00"},
        {"id": 2, "price": "12.3456789", "double": "24.6913578"},
    ]


@pytest.mark.parametrize(
    ("declared", "values", "is_right"),
    [
        (Numeric(10, 2), ["1.5", "2"], False),
        (Numeric(10, 2), [Decimal("1.5"), 2], True),
        (Integer(), [1.5, 2], False),
        (Text(), [1, 2], False),
        (Text(), ["a", None], True),
        (Date(), [AT, AT], False),
        (Date(), [AT.date(), None], True),
        (Boolean(), [None, None], True),
        (Timestamp(), ["2024-01-01", None], False),
        (UnixTime(), [1, 2], False),
        (UnixTime(), [AT, None], True),
    ],
)
def test_a_column_of_another_type_than_declared_is_refused(
    declared: Column, values: list[object], is_right: bool
) -> None:
    """The database would convert some of them in its own way, or refuse each row."""
    columns = {"id": Integer(), "x": declared}

    def function(item: DataFrame) -> DataFrame:
        return item.assign(x=pd.Series(values, item.index))[["id", "x"]]

    if is_right:
        assert make(mapping_of(function, columns=columns), ROWS, {}).num_rows == len(values)
    else:
        assert f"and {type(declared).__name__} is declared" in error_of(function, columns=columns)


def test_a_column_that_comes_twice_is_the_one_that_is_named() -> None:
    """Not the first of all columns."""
    said = error_of(lambda item: item[["id", "name", "name"]])

    assert said == f"target table things: its function returned column name twice: {TRY}"


@pytest.mark.parametrize("columns", [None, {"id": Integer()}])
def test_a_copy_has_the_columns_that_are_declared(columns: dict[str, Column] | None) -> None:
    """Those of the target table, or all of the source's where it has none."""
    target = latest(ITEM, columns=columns) if columns else replace(latest(ITEM), columns=None)
    warehouse = PostgresWarehouse("warehouse", (target,))
    pipeline = Pipeline(sources=[Postgres("source", (ITEM,))], targets=[warehouse])

    made = make(pipeline.mappings("source")[0], ROWS, {})

    assert made.column_names == list(columns or ITEM.columns)
