"""Every type of PostgreSQL is carried exactly, or as its text, whatever the role's settings."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pg8000.native import identifier

import etl
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from tests.pipeline.lake import Lake

STAMP, TEXT = pa.timestamp("us"), pa.string()
# A type, what is declared, how Arrow holds it, a value as SQL, and the same value as it is carried.
TYPES: list[tuple[str, etl.Column, pa.DataType, str, Any]] = [
    ("smallint", etl.SmallInteger(), pa.int32(), "-32768", -32768),
    ("integer", etl.Integer(), pa.int32(), "2147483647", 2147483647),
    ("bigint", etl.BigInteger(), pa.int64(), "-9223372036854775808", -(2**63)),
    ("numeric(12,4)", etl.Numeric(12, 4), pa.decimal128(12, 4), "-1.5", Decimal("-1.5000")),
    ("numeric", etl.Numeric(), TEXT, "1.500000000000000000000000000000000000000001",
     "1.500000000000000000000000000000000000000001"),
    ("real", etl.Real(), pa.float64(), "0.1", 0.1),
    ("double precision", etl.Double(), pa.float64(), "0.1::float8 + 0.2", 0.1 + 0.2),
    ("text", etl.Text(), TEXT, "E'a,\"b\"\\n'", 'a,"b"\n'),
    ("varchar(9)", etl.Text(), TEXT, "''", ""),
    ("char(5)", etl.Text(), TEXT, "'x'", "x    "),
    ("boolean", etl.Boolean(), pa.bool_(), "true", True),
    ("date", etl.Date(), TEXT, "'2024-02-29'", "2024-02-29"),
    ("date", etl.IsoDate(), TEXT, "'infinity'", "infinity"),
    ("time", etl.Time(), TEXT, "'24:00:00'", "24:00:00"),
    ("time(3)", etl.Time(), TEXT, "'09:30:15.1'", "09:30:15.1"),
    ("timetz", etl.Time(timezone=True), TEXT, "'09:30+05:30'", "09:30:00+05:30"),
    ("timestamp", etl.Timestamp(), STAMP, "'2024-03-01 09:30:15.123456'",
     datetime(2024, 3, 1, 9, 30, 15, 123456)),
    ("timestamp(3)", etl.Timestamp(), pa.timestamp("ms"), "'2024-03-01 09:30:15.123'",
     datetime(2024, 3, 1, 9, 30, 15, 123000)),
    ("timestamptz", etl.Timestamp(timezone=True), pa.timestamp("us", "UTC"),
     "'2024-03-01 09:30:15.123456+05:30'", datetime(2024, 3, 1, 4, 0, 15, 123456, tzinfo=UTC)),
    ("timestamptz(0)", etl.Timestamp(timezone=True), pa.timestamp("ms", "UTC"),
     "'1901-01-01 00:00:00+00'", datetime(1901, 1, 1, tzinfo=UTC)),
    ("interval", etl.Interval(), TEXT, "'1 year 2 days -3.5 hours'", "1 year 2 days -03:30:00"),
    ("uuid", etl.Uuid(), TEXT, "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", etl.Json(), TEXT, "'{\"a\" : [1,  2]}'", '{"a" : [1,  2]}'),
    ("jsonb", etl.Json(binary=True), TEXT, "'{\"b\": null, \"a\" : 1.50}'",
     '{"a": 1.50, "b": null}'),
    ("bytea", etl.Bytes(), TEXT, "'\\x00ff'", "\\x00ff"),
    ('"Mood; of ""all"""', etl.Text(), TEXT, "'sad, ''ok'''", "sad, 'ok'"),
    ("email", etl.Text(), TEXT, "'a@b.c'", "a@b.c"),
    ("work_email", etl.Text(), TEXT, "'a@b.c'", "a@b.c"),
    ("price", etl.Numeric(10, 2), pa.decimal128(10, 2), "2.5", Decimal("2.50")),
    ("integer[]", etl.Array(etl.Integer()), TEXT, "'{{1,NULL},{3,4}}'", "{{1,NULL},{3,4}}"),
    ("text[]", etl.Array(etl.Text()), TEXT, "ARRAY['a,b', NULL, '']", '{"a,b",NULL,""}'),
    ('"Mood; of ""all"""[]', etl.Array(etl.Text()), TEXT, "'{good}'", "{good}"),
    ("email[]", etl.Array(etl.Text()), TEXT, "'{a@b.c}'", "{a@b.c}"),
    ("inet", etl.Other("inet"), TEXT, "'10.0.0.1/8'", "10.0.0.1/8"),
    ("point", etl.Other("point"), TEXT, "'(1,2.5)'", "(1,2.5)"),
    ("int4range", etl.Other("int4range"), TEXT, "'[1,5)'", "[1,5)"),
    ("tsvector", etl.Other("tsvector"), TEXT, "'a fat cat'", "'a' 'cat' 'fat'"),
]  # fmt: skip
MADE = (
    """CREATE TYPE "Mood; of ""all\""" AS ENUM ('good', 'sad, ''ok''')""",
    "CREATE DOMAIN email AS varchar(40) CHECK (VALUE LIKE '%@%')",
    "CREATE DOMAIN work_email AS email NOT NULL",
    "CREATE DOMAIN price AS numeric(10,2)",
)
HOSTILE = {
    "IntervalStyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "DateStyle": "'German, DMY'",
    "TimeZone": "'America/St_Johns'",
}


def table_of(columns: dict[str, etl.Column]) -> Table:
    return Table("thing", key="id", columns={"id": Integer(), **columns})


def pipeline_of(table: Table) -> Pipeline:
    warehouse = PostgresWarehouse("warehouse", (latest(table),))
    return Pipeline(sources=[Postgres("live", (table,))], targets=[warehouse])


def create(types: list[str]) -> str:
    columns = ", ".join(f"c{number} {sql_type}" for number, sql_type in enumerate(types))
    return f"CREATE TABLE thing (id int PRIMARY KEY, {columns})"


def test_every_type_is_carried_exactly_or_as_its_text(new_lake: Callable[..., Lake]) -> None:
    """Also where the role's own settings would write values in another way; NULL stays NULL."""
    thing = table_of({f"c{number}": column for number, (_, column, *_) in enumerate(TYPES)})
    values = ", ".join(value for *_, value, _ in TYPES)
    nulls = ", ".join("'a@b'" if kind == "work_email" else "NULL" for kind, *_ in TYPES)
    lake = new_lake(
        pipeline_of(thing),
        *MADE,
        create([sql_type for sql_type, *_ in TYPES]),
        f"INSERT INTO thing VALUES (1, {values}), (2, {nulls})",
    )
    [[database]] = lake.sql("SELECT current_database()")
    for name, setting in HOSTILE.items():
        lake.sql(f"ALTER DATABASE {identifier(database)} SET {name} = {setting}")

    batch = lake.batch()

    one, two = lake.rows(batch, thing)
    expected = {f"c{number}": value for number, (*_, value) in enumerate(TYPES)}
    assert {name: one[name] for name in expected} == expected
    assert [lake.schema(batch, thing).field(name).type for name in expected] == [
        kind for _, _, kind, _, _ in TYPES
    ]
    assert {name for name in expected if two[name] is not None} == {
        f"c{number}" for number, (kind, *_) in enumerate(TYPES) if kind == "work_email"
    }


def test_floating_point_numbers_are_those_of_the_source(new_lake: Callable[..., Lake]) -> None:
    """The shortest text of each makes the same bits again, and there is more than numbers."""
    numbers = [
        "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "9007199254740993",
        "0.1", "1e23", "-0", "NaN", "Infinity", "-Infinity", "123456789.12345679",
    ]  # fmt: skip
    thing = table_of({"c0": etl.Double(), "c1": etl.Real()})
    lake = new_lake(
        pipeline_of(thing),
        create(["double precision", "real"]),
        *(
            f"INSERT INTO thing VALUES ({number}, '{text}', '1.17549435e-38')"
            for number, text in enumerate(numbers)
        ),
    )

    rows = lake.rows(lake.batch(), thing)

    assert [repr(row["c0"]) for row in rows] == [repr(float(text)) for text in numbers]
    assert math.copysign(1, rows[6]["c0"]) == -1
    assert {row["_unfit"] for row in rows} == {None}
    assert {row["c1"] for row in rows} == {1.1754944e-38}


@pytest.mark.parametrize(
    ("sql_type", "column", "text"),
    [
        ("timestamptz", etl.Timestamp(timezone=True), "infinity"),
        ("timestamptz", etl.Timestamp(timezone=True), "0044-03-15 12:00:00+00 BC"),
        ("timestamptz(3)", etl.Timestamp(timezone=True), "10000-01-01 00:00:00+00"),
        ("timestamp", etl.Timestamp(), "-infinity"),
        ("numeric(10,2)", etl.Numeric(10, 2), "NaN"),
    ],
)
def test_what_arrow_cannot_hold_travels_beside_its_row(
    new_lake: Callable[..., Lake], sql_type: str, column: etl.Column, text: str
) -> None:
    """The row comes, and so do those beside it, with their own values."""
    thing = table_of({"c0": column})
    lake = new_lake(pipeline_of(thing), create([sql_type]))
    fit = "1.50" if sql_type.startswith("numeric") else "2024-03-01 09:30:15.123"
    lake.sql(f"INSERT INTO thing VALUES (1, '{text}'), (2, '{fit}'), (3, NULL)")

    unfit, other, null = lake.rows(lake.batch(), thing)

    assert (unfit["c0"], json.loads(unfit["_unfit"])) == (None, {"c0": text})
    assert (other["c0"] is None, other["_unfit"]) == (False, None)
    assert (null["c0"], null["_unfit"]) == (None, None)


def test_another_type_stops_the_table_and_a_wider_one_does_not(
    new_lake: Callable[..., Lake],
) -> None:
    """A column whose values would have to be guessed is named; the other tables go on."""
    other = Table("other", key="id", columns={"id": Integer()})
    thing = table_of({"c0": etl.Timestamp(timezone=True), "c1": etl.SmallInteger()})
    pipeline = Pipeline(
        sources=[Postgres("live", (thing, other))],
        targets=[PostgresWarehouse("warehouse", (latest(thing), latest(other)))],
    )
    lake = new_lake(
        pipeline,
        create(["timestamptz", "int"]),
        "CREATE TABLE other (id int PRIMARY KEY)",
        "ALTER TABLE thing ALTER c1 TYPE bigint",
    )
    assert lake.extract().stopped == {}
    lake.sql("INSERT INTO other VALUES (1)", "ALTER TABLE thing ALTER c0 TYPE timestamp")

    captured = lake.extract()

    assert captured.stopped == {
        "thing": "table thing: column c0 is now timestamp without time zone, and timestamp with"
        " time zone is declared"
    }
    assert captured.manifest is not None
    assert captured.manifest.capture("other").changed == 1
