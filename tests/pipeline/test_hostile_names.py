"""Names that mean to break out of their quotes: they are names, and nothing happens by them."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pg8000.native
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pg8000.native import identifier, literal

from functions.extract import handler as extract_handler
from functions.reconcile import handler as reconcile_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected, records
from tests.postgres_fixtures import Source, Warehouse
from tests.totesys import TABLES

SCHEMA = "we\"ird'; drop schema public cascade; -- :schema %s {} $1 \\"
NAMES = [
    '"; DROP TABLE payment; --',
    "'; DROP TABLE payment; --",
    'a"b',
    "\\'; DROP TABLE payment; --",
    "\\",
    "%s",
    "%(name)s",
    ":name",
    "::",
    "$1",
    "$$",
    "{}",
    "{0!r}",
    "/*",
    "line\nend\r",
    "\t",
    " ",
    "select",
    "MixedCase",
    "ünïcode 日本語 \u202e",
    "x" * 63,
    "€" * 21,
    # Names in our own statements.
    *("t", "b", "bucket", "number", "key", "keys", "child", "xid", "rows", "row", "fit", "kind"),
    # Names of our own columns.
    *("_unfit", "_xid", "_batch", "_reason", "_known"),
]
TYPES = ["text", "numeric(6,2)", "timestamp(3)", "boolean"]
VALUES = ["'; DROP TABLE payment; --", "NaN", "infinity", "true"]
COLUMNS = list(zip(NAMES, TYPES * len(NAMES), VALUES * len(NAMES), strict=False))
CANARY = "CREATE TABLE canary AS SELECT 1 AS alive"


@pytest.fixture(autouse=True)
def forget_settings() -> Iterator[None]:
    """Let reconcile read its settings again, as a cold start does."""
    reconcile_handler._sides.cache_clear()
    yield
    reconcile_handler._sides.cache_clear()


def alter(url: str, *statements: str) -> None:
    with connect(url) as connection:
        for statement in statements:
            connection.run(statement)


def differences(functions: Functions) -> dict[str, Any]:
    """Return what reconcile finds to disagree."""
    context: Any = Context("reconcile")
    found = reconcile_handler.handler({}, context)["tables"]
    return {
        name: table
        for name, table in found.items()
        if table["error"] or table["missing"] or table["different"] or table["extra"]
    }


def is_alive(url: str) -> bool:
    with connect(url) as connection:
        return bool(connection.run("SELECT alive FROM public.canary") == [[1]])


def add_hostile_columns(connection: pg8000.native.Connection, table: str) -> None:
    """Give a table a column of each name, and its first row a value in each."""
    adds = ", ".join(f"ADD COLUMN {identifier(name)} {kind}" for name, kind, _ in COLUMNS)
    sets = ", ".join(f"{identifier(name)} = {literal(value)}" for name, _, value in COLUMNS)
    connection.run(f"ALTER TABLE {table} {adds}")
    connection.run(f"UPDATE {table} SET {sets} WHERE {table}_id = 1")


def carried(functions: Functions, batch: int, table: str) -> list[dict[str, Any]]:
    """Return the rows of a source table as they are in the lake."""
    manifest = functions.document(functions.ingestion, f"batches/source/{batch:010d}.json")
    bodies = [
        functions.body(functions.ingestion, file["key"])
        for file in manifest["tables"][table]["files"]
    ]
    tables = [pq.read_table(io.BytesIO(body)) for body in bodies]
    return list(pa.concat_tables(tables).to_pylist())


def test_a_schema_that_means_to_break_out_is_a_schema(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    new_warehouse: Callable[..., Warehouse],
) -> None:
    """Whatever the warehouse's schema is called, it is loaded and compared, and no other."""
    functions = functions_on(new_source(), new_warehouse(SCHEMA))
    alter(functions.warehouse.superuser_url, CANARY)
    functions.run()
    alter(functions.source.superuser_url, "UPDATE sales_order SET units_sold = units_sold + 1")
    functions.run()

    assert len(SCHEMA.encode()) <= 63
    assert current(functions.warehouse) == expected(functions.source)
    assert differences(functions) == {}
    assert is_alive(functions.warehouse.superuser_url)


def test_columns_that_mean_to_break_out_are_carried(functions: Functions) -> None:
    """Every table may have columns of any name: they are in the lake, and the star is exact."""
    with connect(functions.source.superuser_url) as shop:
        shop.run(CANARY)
        for table in TABLES:
            add_hostile_columns(shop, table)
    extracted = functions.run()
    assert extracted["stopped"] == {}

    with connect(functions.source.superuser_url) as shop:
        shop.run(f"UPDATE design SET {identifier(NAMES[0])} = 'again' WHERE design_id = 2")
        shop.run("UPDATE staff SET first_name = 'Ada' WHERE staff_id = 1")
        shop.run("DELETE FROM payment WHERE payment_id = 5")
    second = functions.run()

    assert (second["rows"], second["deleted"]) == ({"design": 1, "staff": 1}, {"payment": 1})
    star = current(functions.warehouse)
    star["fact_payment"] = [row for row in star["fact_payment"] if row[0] != 5]
    assert star == expected(functions.source)
    assert differences(functions) == {}
    assert functions.run()["batch"] is None
    assert is_alive(functions.source.superuser_url)


def test_values_of_hostile_columns_are_in_the_lake_under_their_names(functions: Functions) -> None:
    """A column that is called as one of ours has a name that says so, and all values are there."""
    with connect(functions.source.superuser_url) as shop:
        add_hostile_columns(shop, "department")
    functions.extract()

    [row] = [row for row in carried(functions, 1, "department") if row["department_id"] == 1]
    ours = " (of the source; the plain name is a column of the pipeline itself)"
    values = {name + (ours if name.startswith("_") else ""): value for name, _, value in COLUMNS}
    unfit = {name: value for name, value in values.items() if value in ("NaN", "infinity")}
    expected_row = {
        name: None if name in unfit else {"true": True}.get(value, value)
        for name, value in values.items()
    }
    assert {name: row[name] for name in expected_row} == expected_row
    assert row["_unfit"] is not None
    assert json.loads(row["_unfit"]) == unfit


def test_quarantine_and_replay_live_with_hostile_columns(functions: Functions) -> None:
    """A bad row is kept beside columns that are called as the quarantine's own, and replayed."""
    with connect(functions.source.superuser_url) as shop:
        add_hostile_columns(shop, "payment")
        shop.run("UPDATE payment SET payment_date = 'soon' WHERE payment_id = 1")
    functions.run()
    alter(
        functions.source.superuser_url, "UPDATE payment SET payment_date = 'x' WHERE payment_id=2"
    )
    functions.run()
    before = records(functions.warehouse)

    context: Any = Context("extract")
    extract_handler.handler({"replay": 1}, context)
    functions.transform()
    functions.load()

    entry = functions.document(functions.processed, "batches/source/0000000003.json")["quarantine"]
    body = functions.body(functions.processed, entry["payment"]["file"])
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    assert [(row["payment_id"], row["_batch"], row["_reason"]) for row in rows] == [
        (2, 2, "payment_date 'x' is not a date"),
        (1, 3, "payment_date 'soon' is not a date"),
    ]
    assert records(functions.warehouse) == before


def test_an_enum_of_any_name_and_with_any_label_arrives(functions: Functions) -> None:
    """The name of a type is no drift, and its labels are text like any other."""
    label = "'; DROP TABLE payment; --\"\n\\"
    alter(
        functions.source.superuser_url,
        'ALTER TYPE "PaymentTypeName" RENAME TO "we""ird\n; DROP TABLE payment; --"',
        f'ALTER TYPE "we""ird\n; DROP TABLE payment; --" ADD VALUE {literal(label)}',
        f"UPDATE payment_type SET payment_type_name = {literal(label)} WHERE payment_type_id = 1",
    )

    assert functions.run()["stopped"] == {}
    assert current(functions.warehouse)["dim_payment_type"][0] == [1, label]
    assert current(functions.warehouse) == expected(functions.source)


def test_a_table_may_have_more_columns_than_a_function_has_arguments(functions: Functions) -> None:
    """Hundreds of amounts in one row, a NaN among them, are carried as they are."""
    names = [f"amount {number}" for number in range(300)]
    adds = ", ".join(f"ADD COLUMN {identifier(name)} numeric(6,2)" for name in names)
    alter(
        functions.source.superuser_url,
        f"ALTER TABLE design {adds}",
        'UPDATE design SET "amount 7" = \'NaN\', "amount 299" = 1.5 WHERE design_id = 1',
    )

    assert functions.run()["stopped"] == {}
    [row] = [row for row in carried(functions, 1, "design") if row["design_id"] == 1]
    assert (row["_unfit"], str(row["amount 299"])) == ('{"amount 7":"NaN"}', "1.50")


def test_settings_of_the_databases_change_nothing(functions: Functions) -> None:
    """Habits that somebody has given to a database make no name, type or value another one."""
    with connect(functions.source.superuser_url) as shop:
        add_hostile_columns(shop, "design")
    for side in (functions.source, functions.warehouse):
        for setting in (
            "standard_conforming_strings = off",
            "backslash_quote = on",
            "quote_all_identifiers = on",
            "DateStyle = 'SQL, DMY'",
            "TimeZone = 'Asia/Kathmandu'",
            "client_encoding = 'LATIN1'",
            "bytea_output = 'escape'",
            "search_path = 'elsewhere'",
        ):
            alter(side.superuser_url, f"ALTER DATABASE {identifier(side.database)} SET {setting}")
    assert functions.run()["stopped"] == {}
    for side in (functions.source, functions.warehouse):
        alter(side.superuser_url, f"ALTER DATABASE {identifier(side.database)} RESET ALL")
    assert current(functions.warehouse) == expected(functions.source)


def test_a_function_that_somebody_made_is_not_called(functions: Functions) -> None:
    """One that fits our calls better than PostgreSQL's own is not called."""
    trap = "RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END'"
    alter(
        functions.source.superuser_url,
        f"CREATE FUNCTION public.hashint8extended(integer, integer) {trap}",
        "GRANT EXECUTE ON FUNCTION public.hashint8extended TO PUBLIC",
    )

    functions.run()
    functions.run()  # keys are hashed by the source only where there are some to compare with

    assert current(functions.warehouse) == expected(functions.source)
