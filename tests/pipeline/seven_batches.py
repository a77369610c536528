"""Seven batches of a shop that are processed and not yet loaded, made once for all tests."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pg8000.native import identifier

from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.ground import run_sql
from tests.pipeline.managed_warehouse import move_to
from tests.pipeline.oracle import RECORD_IDS, Rows
from tests.postgres_fixtures import Source, Warehouse, keep_as_template

PRICES = ("1.10", "2.20", "1.10")  # one comes back: a repeated batch would be seen

FunctionsOn = Callable[[Source, Warehouse], Functions]


@dataclass
class Lake:
    """A source, and the objects that its batches are, made once for all tests."""

    source: Source
    objects: dict[str, bytes]


@pytest.fixture(scope="session")
def lakes_of_seven() -> list[Lake]:
    """The lake that the first test makes."""
    return []


@pytest.fixture
def seven_batches(
    functions_on: FunctionsOn,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    lakes_of_seven: list[Lake],
    postgres: PostgresServer,
) -> Functions:
    """The functions with seven processed batches, none of them in the empty warehouse."""
    if not lakes_of_seven:
        functions = functions_on(new_source(), new_warehouse())
        keep_as_template(postgres, functions.source.database)
        process_batches(functions)
        keys = functions.keys(functions.processed)
        lakes_of_seven.append(
            Lake(functions.source, {key: functions.body(functions.processed, key) for key in keys})
        )
    [lake] = lakes_of_seven
    functions = functions_on(lake.source, new_warehouse())
    for key, body in lake.objects.items():
        functions.s3.put_object(Bucket=functions.processed, Key=key, Body=body)
    return functions


def process_batches(functions: Functions) -> None:
    """Make the first batch, and two for each price: one of a fact, and one without any."""
    functions.extract()
    for price in PRICES:
        sell = f"UPDATE sales_order SET unit_price = {price} WHERE sales_order_id < 9"
        rename = f"UPDATE design SET design_name = 'at {price}' WHERE design_id = 1"
        for statement in (sell, rename):
            run_sql(functions.source.superuser_url, statement)
            functions.extract()
    functions.transform()


def load(functions: Functions, batches: int) -> None:
    """Load so many more batches: with little time left, a run loads one."""
    for _ in range(batches):
        assert len(functions.load(milliseconds=1_000)["batches"]) == 1


def histories(warehouse: Warehouse) -> dict[str, Rows]:
    """Return all records of the facts, oldest first, without their ids."""
    schema = identifier(warehouse.schema)
    return {
        fact: [
            row[1:]
            for row in run_sql(
                warehouse.superuser_url, f"SELECT * FROM {schema}.{fact} ORDER BY {record_id}"
            )
        ]
        for fact, record_id in RECORD_IDS.items()
    }


def settle(functions: Functions, warehouse: Warehouse | None = None) -> list[int]:
    """Load until nothing is left to do; return the batches that were applied."""
    if warehouse:
        move_to(functions, warehouse)
        functions.warehouse = warehouse
    batches: list[int] = functions.load()["batches"]
    assert functions.load()["batches"] == []
    return batches
