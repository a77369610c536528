"""Values of every type: each is in MySQL exactly as the batch has it, or the row is put aside."""

import json
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
    Point,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
    history,
    latest,
)
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import rows_of
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

MOMENT = datetime(2024, 11, 16, 12, 30, 15, 123456)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)
HARD_TEXTS = ["", " ", "a ", "it's", 'a"b,\n\r\x1a€', "\\", "\\'", "\0", "𝄞", "`%s"]
MANY_DIGITS = "1" * 35 + "." + "2" * 29 + "3"

# A declared type, what it is in Parquet, and values with the text that the warehouse has of each.
TYPES: dict[str, tuple[Column, pa.DataType, list[tuple[Any, str]]]] = {
    "small": (SmallInteger(), pa.int16(), [(-(2**15), "-32768"), (7, "7")]),
    "whole": (Integer(), pa.int32(), [(-(2**31), "-2147483648"), (2**31 - 1, "2147483647")]),
    "big": (BigInteger(), pa.int64(), [(-(2**63), "-9223372036854775808"), (7, "7")]),
    "price": (Numeric(10, 2), pa.decimal128(10, 2), [(Decimal("-0.01"), "-0.01")]),
    "fine": (Numeric(38, 9), pa.decimal128(38, 9), [(Decimal("1E-9"), "0.000000001")]),
    "amount": (
        Numeric(65, 30), pa.string(),
        [(MANY_DIGITS, MANY_DIGITS), ("-0.5", "-0.5" + "0" * 29)],
    ),
    "real": (Real(), pa.float32(), [(0.1, "0.1"), (-2.5, "-2.5")]),
    "double": (
        Double(), pa.float64(),
        [(0.1, "0.1"), (1.7976931348623157e308, "1.7976931348623157e308"),
         (1 / 3, "0.3333333333333333"), (5e-324, "5e-324")],
    ),
    "text": (
        Text(), pa.string(),
        [(text, text) for text in HARD_TEXTS],
    ),
    "flag": (Boolean(), pa.bool_(), [(True, "1"), (False, "0")]),
    "day": (Date(), pa.date32(), [(date(1, 1, 1), "0001-01-01"), (date.max, "9999-12-31")]),
    "at": (Time(), pa.time64("us"), [(time(23, 59, 59, 999999), "23:59:59.999999")]),
    "midnight": (
        Time(), pa.string(),
        [("24:00:00", "24:00:00.000000"), ("00:00:00.5", "00:00:00.500000")],
    ),
    "at_tz": (Time(timezone=True), pa.string(), [("12:00:00+05:30",) * 2]),
    "moment": (
        Timestamp(), pa.timestamp("us"),
        [(MOMENT, "2024-11-16 12:30:15.123456"), (LAST, "9999-12-31 23:59:59.999999")],
    ),
    "far": (Timestamp(), pa.timestamp("ms"), [(datetime(1, 1, 1), "0001-01-01 00:00:00.000000")]),
    "instant": (
        Timestamp(timezone=True), pa.timestamp("us", "UTC"),
        [(MOMENT.replace(tzinfo=UTC), "2024-11-16 12:30:15.123456")],
    ),
    "unix": (
        UnixTime(), pa.timestamp("us", "UTC"),
        [(datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01 00:00:00.000000")],
    ),
    "span": (Interval(), pa.string(), [("1 mon -2 days +03:04:05.6",) * 2]),
    "id": (Uuid(), pa.string(), [("00000000-0000-0000-0000-00000000000a",) * 2]),
    "bytes": (Bytes(), pa.string(), [("\\x00ff27", "00FF27"), ("\\x", "")]),
    "numbers": (Array(Integer()), pa.string(), [("{{1,NULL},{3,4}}",) * 2]),
    "point": (
        Point(), pa.string(),
        [("(-73.5,40.25)", "POINT(-73.5 40.25)"), ("(0,1e-3)", "POINT(0 0.001)")],
    ),
}  # fmt: skip

TEXTS = {"bytes": "hex(value)", "point": "replace(ST_AsText(value), ', ', ',')"}


@pytest.fixture(params=["latest", "history"])
def scene(request: pytest.FixtureRequest, new_mysql_warehouse: New) -> MysqlScene:
    """A managed warehouse with one table for each type, of either way."""
    way = latest if request.param == "latest" else history
    tables = [
        way(Table(name, key="n", columns={"n": Integer(), "value": nullable(column)}))
        for name, (column, *_) in TYPES.items()
    ]
    return MysqlScene(new_mysql_warehouse(), tuple(tables))


def nullable(column: Column) -> Column:
    options = {name: value for name, value in vars(column).items() if name != "nullable"}
    return type(column)(**options, nullable=True)


def rows(name: str, *, shift: int = 0) -> pa.Table:
    """Return the values of a type, by numbers; shifted, each number has another value."""
    _, kind, values = TYPES[name]
    found = [value for value, _ in values] + [None]
    found = found[shift:] + found[:shift]
    return rows_of({"n": pa.int32(), "value": kind}, *enumerate(found))


def texts(name: str) -> list[str | None]:
    return [text for _, text in TYPES[name][2]] + [None]


def held(scene: MysqlScene, name: str) -> list[str | None]:
    """Return the values as text, in the order of their numbers and records."""
    order = f"n, `{name}_record_id`" if scene.tables[0].way == "history" else "n"
    value = TEXTS.get(name, "CAST(value AS CHAR)")
    return [text for [text] in scene.query(f"SELECT {value} FROM `{name}` ORDER BY {order}")]


def test_every_value_arrives_exactly_and_once(scene: MysqlScene) -> None:
    """NULL is NULL, '' is '': a batch that comes again changes nothing in any table."""
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
    assert not scene.markers[-1].refused


def test_every_change_is_noticed(scene: MysqlScene) -> None:
    """A value that differs is a change in every type, also to NULL and from it."""
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.batch(**{name: rows(name, shift=1) for name in TYPES})
    scene.load()

    changed = {
        name: loaded.updated + loaded.inserted for name, loaded in scene.markers[-1].rows.items()
    }
    assert changed == {name: len(texts(name)) for name in TYPES}


def test_rows_of_every_type_survive_a_refused_one(scene: MysqlScene) -> None:
    """Also where rows are tried one by one each value is the very same."""
    scene.load()
    for name in TYPES:
        scene.query(f"ALTER TABLE `{name}` ADD CONSTRAINT `few_{name}` CHECK (n <> 0)")
    scene.batch(**{name: rows(name) for name in TYPES})
    scene.load()

    assert {name: held(scene, name) for name in TYPES} == {name: texts(name)[1:] for name in TYPES}


def test_documents_keep_their_values(new_mysql_warehouse: New) -> None:
    """MariaDB keeps the text of a document, MySQL its values; either notices a change."""
    table = latest(Table("doc", key="n", columns={"n": Integer(), "value": Json(nullable=True)}))
    scene = MysqlScene(new_mysql_warehouse(), (table,))
    documents = ['{"b": 1, "a": [1, null, "it\'s \\\\ \\u20ac"]}', "null", '"𝄞"', None, "1"]
    types = {"n": pa.int32(), "value": pa.string()}
    for shift in (0, 0, 1):
        found = documents[shift:] + documents[:shift]
        scene.batch(doc=rows_of(types, *enumerate(found)))
    scene.load()

    assert [marker.rows["doc"].updated for marker in scene.markers] == [0, 0, 5]
    read = scene.query("SELECT JSON_EXTRACT(value, '$.a[2]') FROM doc WHERE n = 4")
    assert [json.loads(text) for [text] in read] == ["it's \\ €"]


REFUSED = {
    "nan": (Double(), pa.float64(), math.nan, "column value"),
    "infinite": (Real(), pa.float64(), math.inf, "column value"),
    "too_large_for_float": (Real(), pa.float64(), 1e39, "/1264]"),
    "before_christ": (Date(), pa.date32(), -719_163, "column value"),
    "after_9999": (Timestamp(), pa.timestamp("ms"), 253_402_300_800_000, "column value"),
    "rounded": (Numeric(), pa.string(), "0." + "1" * 31, "would not be stored exactly"),
    "too_many_digits": (Numeric(), pa.string(), "1" * 36, "a number is out of its column's range"),
    "no_number": (Numeric(), pa.string(), "NaN", "column value"),
    "no_point": (Point(), pa.string(), "(1,2", "a value is not a geometry"),
    "no_json": (Json(), pa.string(), "{", "/"),
    "no_time": (Time(), pa.string(), "25:61:00", "column value"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_mysql_cannot_have_costs_its_row(case: str, new_mysql_warehouse: New) -> None:
    """It is put aside with the reason, the rows around it are there, and nothing is made of it."""
    column, kind, value, reason = REFUSED[case]
    table = latest(Table("thing", key="n", columns={"n": Integer(), "value": nullable(column)}))
    scene = MysqlScene(new_mysql_warehouse(), (table,))
    values = pa.array([None, value, None], kind if not isinstance(value, int) else pa.int64())
    if isinstance(value, int):
        values = pa.array([None, value, None], pa.int32() if kind == pa.date32() else pa.int64())
        values = values.cast(kind)
    scene.batch(thing=pa.table({"n": pa.array([1, 2, 3], pa.int32()), "value": values}))
    scene.load()

    assert scene.query("SELECT n, value FROM thing") == [[1, None], [3, None]]
    [refused] = scene.markers[-1].refused["thing"]
    [said] = refused.reasons
    assert reason in said
