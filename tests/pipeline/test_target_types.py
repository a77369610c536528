"""Values of every type: each is in the warehouse exactly as the batch has it, by either format."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    Array,
    BigInteger,
    Boolean,
    Bytes,
    Column,
    Date,
    Double,
    Integer,
    Interval,
    Json,
    Numeric,
    Other,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    Uuid,
    history,
    latest,
)
from functions.targets.postgres import apply, binary
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

MOMENT = datetime(2024, 11, 16, 12, 30, 15, 123456)

# A declared type, what it is in Parquet, and values with the text that the warehouse has of each.
TYPES: dict[str, tuple[Column, pa.DataType, list[tuple[Any, str]]]] = {
    "small": (SmallInteger(), pa.int16(), [(-(2**15), "-32768"), (7, "7")]),
    "whole": (Integer(), pa.int32(), [(-(2**31), "-2147483648"), (2**31 - 1, "2147483647")]),
    "big": (BigInteger(), pa.int64(), [(-(2**63), "-9223372036854775808"), (7, "7")]),
    "price": (Numeric(10, 2), pa.decimal128(10, 2), [(Decimal("-0.01"), "-0.01")]),
    "amount": (Numeric(), pa.string(), [("1.50", "1.50"), ("1" * 60, "1" * 60)]),
    "real": (Real(), pa.float64(), [(0.5, "0.5"), (math.nan, "NaN"), (-math.inf, "-Infinity")]),
    "double": (
        Double(),
        pa.float64(),
        [(0.1, "0.1"), (5e-324, "5e-324"), (-0.0, "-0"), (math.nan, "NaN"), (math.inf, "Infinity"),
         (1.7976931348623157e308, "1.7976931348623157e+308"), (1 / 3, "0.3333333333333333")],
    ),
    "text": (Text(), pa.string(), [("", ""), ("\\.", "\\."), ('a"b,\n€', 'a"b,\n€'), (" ", " ")]),
    "flag": (Boolean(), pa.bool_(), [(True, "true"), (False, "false")]),
    "day": (Date(), pa.date32(), [(date(1, 1, 1), "0001-01-01"), (date.max, "9999-12-31")]),
    "at": (Time(), pa.time64("us"), [(time(23, 59, 59, 999999), "23:59:59.999999")]),
    "at_tz": (Time(timezone=True), pa.string(), [("12:00:00+05:30", "12:00:00+05:30")]),
    "moment": (Timestamp(), pa.timestamp("us"), [(MOMENT, "2024-11-16 12:30:15.123456")]),
    "far": (Timestamp(), pa.timestamp("ms"), [(datetime(9999, 1, 1), "9999-01-01 00:00:00")]),
    "instant": (
        Timestamp(timezone=True),
        pa.timestamp("us", "UTC"),
        [(MOMENT.replace(tzinfo=UTC), "2024-11-16 12:30:15.123456+00")],
    ),
    "span": (Interval(), pa.string(), [("1 mon -2 days +03:04:05.6", "1 mon -2 days +03:04:05.6")]),
    "id": (Uuid(), pa.string(), [("00000000-0000-0000-0000-00000000000a",) * 2]),
    "json": (Json(), pa.string(), [('{"b": 1,  "a": null}',) * 2, ("null", "null")]),
    "jsonb": (Json(binary=True), pa.string(), [('{"b": 1,  "a": 1.50}', '{"a": 1.50, "b": 1}')]),
    "bytes": (Bytes(), pa.string(), [("\\x00ff", "\\x00ff"), ("\\x", "\\x")]),
    "numbers": (Array(Integer()), pa.string(), [("{{1,NULL},{3,4}}",) * 2, ("{}", "{}")]),
    "words": (Array(Text()), pa.string(), [('{"a,b","",NULL,"c\\"d"}',) * 2]),
    "point": (Other("point"), pa.string(), [("(1,2)", "(1,2)")]),
}  # fmt: skip


@pytest.fixture(params=["latest", "history"])
def scene(request: pytest.FixtureRequest, new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    """A managed warehouse with one table for each type, of either way."""
    way = latest if request.param == "latest" else history
    tables = [
        way(Table(name, key="n", columns={"n": Integer(), "value": nullable(column)}))
        for name, (column, *_) in TYPES.items()
    ]
    return Scene(new_managed_warehouse(), tuple(tables))


def nullable(column: Column) -> Column:
    options = {name: value for name, value in vars(column).items() if name != "nullable"}
    return type(column)(**options, nullable=True)


def rows(name: str, *, shift: int = 0, with_null: bool = True) -> pa.Table:
    """Return the values of a type, by numbers; shifted, each number has another value."""
    _, kind, values = TYPES[name]
    found = [value for value, _ in values] + ([None] if with_null else [])
    found = found[shift:] + found[:shift]
    return rows_of({"n": pa.int32(), "value": kind}, *enumerate(found))


def texts(name: str, shift: int = 0) -> list[str | None]:
    found = [text for _, text in TYPES[name][2]] + [None]
    return found[shift:] + found[:shift]


def held(scene: Scene, name: str) -> list[str | None]:
    """Return the values as text, in the order of their numbers and records."""
    order = "n, ctid" if scene.tables[0].way == "history" else "n"
    return [text for [text] in scene.query(f'SELECT value::text FROM "{name}" ORDER BY {order}')]


def test_every_value_arrives_exactly_and_once(scene: Scene) -> None:
    """NULL is NULL, NaN is NaN: a batch that comes again changes nothing in any table."""
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.load()
    first = {name: held(scene, name) for name in TYPES}
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.load()

    assert first == {name: texts(name) for name in TYPES}
    assert {name: held(scene, name) for name in TYPES} == first
    assert scene.markers[-1].rows == {
        name: type(loaded)(loaded.staged, 0, 0) for name, loaded in scene.markers[0].rows.items()
    }


def test_every_change_is_noticed(scene: Scene) -> None:
    """A value that differs is a change in every type, also to NULL and from it."""
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.batch(**{name: rows(name, shift=1) for name in TYPES})
    scene.load()

    changed = {
        name: loaded.updated + loaded.inserted for name, loaded in scene.markers[-1].rows.items()
    }
    assert changed == {name: len(texts(name)) for name in TYPES}


def test_rows_of_every_type_survive_a_refused_one(scene: Scene) -> None:
    """Also where rows are tried one by one each value is the very same."""
    scene.load()
    for name in TYPES:
        scene.query(f'ALTER TABLE "{name}" ADD CONSTRAINT few CHECK (n <> 0)')
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.load()

    assert {name: held(scene, name) for name in TYPES} == {name: texts(name)[1:] for name in TYPES}


def test_values_without_null_take_the_fast_way_where_it_is_exact(
    new_managed_warehouse: Callable[..., Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are sent where they are the warehouse's own: the rows are those that text makes."""
    monkeypatch.setattr(apply, "FEW", 0)  # a few rows are looked up by the index on the key
    tables = tuple(
        history(Table(name, key="n", columns={"n": Integer(), "value": column}))
        for name, (column, *_) in TYPES.items()
    )
    scene = Scene(new_managed_warehouse(), tables)
    fast: list[str] = []
    copy = binary.copy_in_binary

    def watched(opened: Any, target: str, *rest: Any) -> None:
        fast.append(target.split('"')[-2])
        copy(opened, target, *rest)

    monkeypatch.setattr(binary, "copy_in_binary", watched)
    scene.batch(**{name: rows(name, with_null=False) for name in TYPES})
    scene.load()

    assert sorted(fast) == sorted(
        ["small", "whole", "big", "price", "double", "flag", "day", "at", "moment", "instant"]
    )
    assert {name: held(scene, name) for name in TYPES} == {name: texts(name)[:-1] for name in TYPES}
