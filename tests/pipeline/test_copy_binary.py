"""COPY in the binary format against a real PostgreSQL: it stores what text stores, to the byte."""

from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from typing import Any

import pg8000.native
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.common.copy import copy_in
from functions.common.database import Database
from functions.common.postgres import SESSION, connection
from functions.targets.postgres import binary
from functions.targets.postgres.binary import copy_in_binary, is_exact
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import PostgresTable
from local.connection import connect
from local.postgres import SUPERUSER, PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected

COLUMNS = {
    "small": (pa.int16(), "smallint"),
    "whole": (pa.int32(), "integer"),
    "big": (pa.int64(), "bigint"),
    "flag": (pa.bool_(), "boolean"),
    "day": (pa.date32(), "date"),
    "at": (pa.time64("us"), "time without time zone"),
    "at_6": (pa.time64("us"), "time(6) without time zone"),
    "price": (pa.decimal128(10, 2), "numeric(10,2)"),
    "amount": (pa.decimal128(10, 2), "numeric"),
    "count": (pa.decimal128(18, 0), "numeric(18,0)"),
    "rate": (pa.decimal128(17, 3), "numeric(20,5)"),
    "share": (pa.decimal128(12, 12), "numeric"),
    "rounded": (pa.decimal128(9, 5), "numeric(14,3)"),
    "hundreds": (pa.decimal128(9, 1), "numeric(14,-2)"),
}
SCHEMA = pa.schema([(name, mine) for name, (mine, _) in COLUMNS.items()])
TYPES = [theirs for _, theirs in COLUMNS.values()]


def integers(bits: int) -> list[int]:
    return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, 1, -1, 255, 256]


def decimals(of: pa.DataType) -> list[Decimal]:
    unscaled = [0, 1, 10**of.precision - 1, 10**of.scale, 9999, 10_000, 123_400, 12_345_678]
    signed = [sign * n for n in unscaled for sign in (1, -1) if n < 10**of.precision]
    return [Decimal(n).scaleb(-of.scale) for n in signed]


def extremes(of: pa.DataType) -> list[Any]:
    if pa.types.is_decimal(of):
        return decimals(of)
    if pa.types.is_integer(of):
        return integers(of.bit_width)
    if pa.types.is_boolean(of):
        return [True, False]
    if pa.types.is_date(of):
        days = ["0001-01-01", "9999-12-31", "1970-01-01", "1999-12-31", "2000-01-01", "2024-02-29"]
        return [date.fromisoformat(day) for day in days]
    return [time(0), time(23, 59, 59, 999_999), time(0, 0, 0, 1), time(12)]


def any_of(of: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_decimal(of):
        most = 10**of.precision - 1
        return st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-of.scale))
    if pa.types.is_integer(of):
        return st.integers(-(2 ** (of.bit_width - 1)), 2 ** (of.bit_width - 1) - 1)
    if pa.types.is_boolean(of):
        return st.booleans()
    return st.dates() if pa.types.is_date(of) else st.times()


ROWS = st.lists(
    st.fixed_dictionaries({field.name: any_of(field.type) for field in SCHEMA}), max_size=30
)


@pytest.fixture(scope="module")
def opened(postgres: PostgresServer) -> Iterator[pg8000.native.Connection]:
    """A connection with a table for each way in, `by_text` and `by_binary`."""
    password = postgres.password(SUPERUSER)
    server = Database(postgres.host, postgres.port, SUPERUSER, password, "postgres", "disable")
    columns = ", ".join(f"{name} {theirs}" for name, (_, theirs) in COLUMNS.items())
    with connection(server, **SESSION) as opened:
        for name in ("by_text", "by_binary"):
            opened.run(f"CREATE TEMPORARY TABLE {name} (n serial, {columns})")
        yield opened


def assert_the_same(opened: pg8000.native.Connection, batches: list[pa.RecordBatch]) -> None:
    """Copy batches in both ways and compare the rows byte by byte."""
    opened.run("TRUNCATE by_text, by_binary RESTART IDENTITY")
    assert is_exact(pa.Table.from_batches(batches, SCHEMA), TYPES)

    copy_in(opened, "by_text", SCHEMA.names, batches)
    copy_in_binary(opened, "by_binary", SCHEMA.names, batches)

    # *= compares the bytes, where 1.0 = 1.00
    differing = opened.run(
        "SELECT t::text, b::text FROM by_text AS t FULL JOIN by_binary AS b USING (n)"
        " WHERE (t *= b) IS NOT TRUE"
    )
    assert differing == []
    assert opened.run("SELECT count(*) FROM by_binary") == [[sum(map(len, batches))]]


@given(ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_ways_store_the_same(
    opened: pg8000.native.Connection, rows: list[dict[str, Any]]
) -> None:
    """Whatever the values are, both formats store the same."""
    assert_the_same(opened, [pa.RecordBatch.from_pylist(rows, SCHEMA)])


def test_slices_and_empty_batches_are_stored_as_they_are(opened: pg8000.native.Connection) -> None:
    """The extremes of each type are, in a piece of a batch from any row on, and so is no row."""
    rows = [
        {
            field.name: values[n % len(values)]
            for field, values in zip(SCHEMA, by_field, strict=True)
        }
        for by_field in [[extremes(field.type) for field in SCHEMA]]
        for n in range(100)
    ]
    whole = pa.RecordBatch.from_pylist(rows, SCHEMA)
    empty = pa.RecordBatch.from_pylist([], SCHEMA)
    slices = [whole.slice(3, 10), whole.slice(13, 1), whole.slice(50, 0), empty, whole.slice(61)]

    assert_the_same(opened, slices)
    assert_the_same(opened, [])
    assert_the_same(opened, [empty])


@pytest.mark.parametrize("way", [copy_in, copy_in_binary])
def test_an_amount_that_is_too_great_is_refused_in_the_same_words(
    opened: pg8000.native.Connection, way: Any
) -> None:
    """An error says the same whichever way the row took, and the connection can go on."""
    opened.run("CREATE TEMPORARY TABLE narrow (amount numeric(4,2))")
    amounts = pa.record_batch({"amount": pa.array([Decimal("123.00")], pa.decimal128(10, 2))})

    with pytest.raises(pg8000.native.DatabaseError) as failure:
        way(opened, "narrow", ["amount"], [amounts])

    assert failure.value.args[0]["C"] == "22003"
    assert failure.value.args[0]["M"] == "numeric field overflow"
    assert opened.run("SELECT count(*) FROM narrow") == [[0]]
    opened.run("DROP TABLE narrow")


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which way the rows of a table went last, by its name."""
    ways: dict[str, str] = {}

    def watch(name: str) -> None:
        way = getattr(binary, name)

        def watched(opened: Any, target: str, *rest: Any) -> None:
            ways[target.rpartition(".")[2].strip('"')] = name
            way(opened, target, *rest)

        monkeypatch.setattr(binary, name, watched)

    watch("copy_in")
    watch("copy_in_binary")
    return ways


def test_facts_of_the_same_types_go_in_as_bytes(functions: Functions, ways: dict[str, str]) -> None:
    """Facts are loaded the fast way, but for the one with a column of text."""
    functions.run()

    assert ways == {
        "fact_sales_order": "copy_in_binary",
        "fact_purchase_order": "copy_in",
        "fact_payment": "copy_in_binary",
    }
    assert current(functions.warehouse) == expected(functions.source)


def test_a_column_of_another_type_is_loaded_from_text(
    functions: Functions, ways: dict[str, str]
) -> None:
    """A warehouse whose types are not ours is loaded as well, a little slower."""
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run("CREATE DOMAIN units AS integer CHECK (VALUE < 1000000)")
        warehouse.run("ALTER TABLE fact_sales_order ALTER units_sold TYPE units")
    functions.run()

    assert ways["fact_sales_order"] == "copy_in"
    assert current(functions.warehouse) == expected(functions.source)


@pytest.mark.parametrize(
    ("numbers", "way"), [([1, None, 3], "copy_in"), ([1, 2, 3], "copy_in_binary")]
)
def test_rows_with_a_null_are_loaded_from_text(
    opened: pg8000.native.Connection, ways: dict[str, str], numbers: list[int | None], way: str
) -> None:
    """NULL is NULL; a part of a batch that has none of it goes the fast way."""
    table = PostgresTable("fact", "pg_temp", "nullable", {"a": "integer"}, None)
    opened.run("CREATE TEMPORARY TABLE nullable (n serial, a integer)")
    binary.append_rows(Stage(opened, table, "rows"), pa.table({"a": pa.array(numbers, pa.int32())}))
    found = opened.run("SELECT a FROM nullable ORDER BY n")
    opened.run("DROP TABLE nullable")

    assert found == [[number] for number in numbers]
    assert ways == {"nullable": way}
