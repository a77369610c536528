"""The pipeline converges from any state: new buckets, a new warehouse, a replay, many at once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import boto3

from deployer.configuration.databases import parse_database_url
from local.connection import connect
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.oracle import current, expected, history, records
from tests.postgres_fixtures import Source, Warehouse

SetUp = Callable[[Source, Warehouse], Functions]


def change_price(source: Source, price: str) -> None:
    with connect(source.superuser_url) as connection:
        connection.run(f"UPDATE sales_order SET unit_price = {price} WHERE sales_order_id = 1")


def test_a_rebuilt_lake_adds_to_last_weeks_warehouse_only_what_is_new(
    functions: Functions, functions_on: SetUp
) -> None:
    """With empty buckets and a filled warehouse, a run adds what changed meanwhile, and no more."""
    functions.run()
    before = records(functions.warehouse)
    change_price(functions.source, "7.77")

    rebuilt = functions_on(functions.source, functions.warehouse)
    rebuilt.run()

    assert records(functions.warehouse) == before | {
        "fact_sales_order": before["fact_sales_order"] + 1
    }
    assert current(functions.warehouse) == expected(functions.source)


def test_a_new_warehouse_is_filled_from_the_lake_with_its_history(
    functions: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """An empty warehouse behind the old buckets gets every captured state, in order."""
    for price in ("1.10", "2.20", "3.30"):
        change_price(functions.source, price)
        functions.run()
    moved = new_warehouse()
    move_to(functions, moved)

    loaded = functions.load()

    assert loaded["batches"] == [1, 2, 3]
    assert records(moved) == records(functions.warehouse)
    assert history(moved, "fact_sales_order", 1) == history(
        functions.warehouse, "fact_sales_order", 1
    )
    assert functions.load()["batches"] == []


def test_going_back_to_the_first_warehouse_loads_only_what_it_has_not_seen(
    functions: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Each warehouse has its own markers, so switching back and forth repeats nothing."""
    functions.run()
    first, second = functions.warehouse, new_warehouse()
    move_to(functions, second)
    functions.load()
    change_price(functions.source, "4.40")
    functions.run()
    move_to(functions, first)

    assert functions.load()["batches"] == [2]
    assert current(first) == current(second) == expected(functions.source)


def test_tables_recreated_in_the_same_warehouse_are_filled_again(
    functions: Functions,
) -> None:
    """Dropped and recreated star tables count as a warehouse that has seen no batch."""
    functions.run()
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run("ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public")
        for [ddl] in warehouse.run(
            "SELECT format('CREATE TABLE public.%I (LIKE old.%I INCLUDING ALL)', relname, relname)"
            " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'old'::regnamespace"
        ):
            warehouse.run(ddl)
        warehouse.run(
            "GRANT USAGE ON SCHEMA public, old TO warehouse_loader;"
            "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO warehouse_loader"
        )

    assert functions.load()["batches"] == [1]
    assert current(functions.warehouse) == expected(functions.source)


def test_functions_that_run_at_the_same_time_share_the_work(functions: Functions) -> None:
    """Any number of extracts, transforms and loads side by side end in the same warehouse."""
    functions.run()
    with ThreadPoolExecutor(6) as together:
        for price in ("1.10", "2.20", "3.30", "4.40"):
            change_price(functions.source, price)
            stages = [functions.extract, functions.transform, functions.load] * 2
            for done in [together.submit(stage) for stage in stages]:
                done.result()
    functions.run()

    newest = functions.keys(functions.ingestion, "batches/source/")[-1]
    assert functions.keys(functions.processed, "batches/source/")[-1] == newest
    assert functions.keys(functions.processed, "loaded/source/")[-1] == newest.replace(
        "batches", "loaded"
    )
    assert current(functions.warehouse) == expected(functions.source)


def test_a_long_backlog_is_worked_off_in_pieces_that_fit_the_time(functions: Functions) -> None:
    """With little time left a loader ends after a batch, and the next one goes on."""
    for price in ("1.10", "2.20", "3.30"):
        change_price(functions.source, price)
        functions.extract()
    functions.transform()

    assert functions.load(milliseconds=1_000)["batches"] == [1]
    assert functions.load()["batches"] == [2, 3]


def move_to(functions: Functions, warehouse: Warehouse) -> None:
    """Point the functions at another warehouse, as a deployment with another URL does."""
    text = json.dumps(parse_database_url(warehouse.loader_url).secret())
    name = f"{functions.ingestion.removesuffix('-ingestion')}/warehouse"
    boto3.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    forget_clients()
