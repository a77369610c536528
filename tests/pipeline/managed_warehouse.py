"""Shared by the tests of a managed warehouse: one, the functions before it, and its content."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest
from pg8000.native import identifier

from deployer.configuration.databases import parse_database_url
from local.connection import connect
from local.databases import create_managed_warehouse
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.oracle import EXPECTED
from tests.postgres_fixtures import Source, Warehouse

VIEWS = {
    "current_sales_order": "fact_sales_order",
    "current_purchase_order": "fact_purchase_order",
    "current_payment": "fact_payment",
}
OF_RATES = (
    "fx_reference_rate", "fx_day", "fx_rate", "fx_gbp",
    "fact_sales_order_gbp", "fact_purchase_order_gbp", "fact_payment_gbp",
)  # fmt: skip


def query(warehouse: Warehouse, sql: str) -> list[list[Any]]:
    """Run SQL as the superuser, with the schema's names at hand; return the rows."""
    with connect(warehouse.superuser_url) as connection:
        connection.run(f"SET search_path = {identifier(warehouse.schema)}")
        rows: list[list[Any]] | None = connection.run(sql)
        return rows or []


def change(source: Source, *statements: str) -> None:
    """Change the source in one transaction, foreign keys aside."""
    with connect(source.superuser_url) as connection:
        connection.run("SET session_replication_role = replica")
        connection.run("; ".join(["BEGIN", *statements, "COMMIT"]))


def deleted(warehouse: Warehouse) -> list[list[Any]]:
    """Return all recorded deletions."""
    return query(warehouse, "SELECT * FROM deleted_rows ORDER BY 1, 2, 3")


def views(warehouse: Warehouse) -> dict[str, list[list[Any]]]:
    """Return the current state by fact, as the views have it, without the record ids."""
    return {
        fact: [row[1:] for row in query(warehouse, f"SELECT * FROM {view} ORDER BY 2")]
        for view, fact in VIEWS.items()
    }


def source_facts(source: Source) -> dict[str, list[list[Any]]]:
    """Return what the views should show."""
    with connect(source.superuser_url) as connection:
        return {fact: connection.run(f"{EXPECTED[fact]} ORDER BY 1") for fact in VIEWS.values()}


def snapshot_of(functions: Functions, batch: int) -> datetime:
    """Return the moment of the source that a batch shows."""
    manifest = functions.document(functions.processed, f"batches/source/{batch:010d}.json")
    return datetime.fromisoformat(manifest["source"]["snapshot_at"])


def move_to(functions: Functions, warehouse: Warehouse) -> None:
    """Point the functions at another warehouse, as a deployment with another URL does."""
    text = json.dumps(parse_database_url(warehouse.loader_url).secret())
    name = f"{functions.ingestion.removesuffix('-ingestion')}/warehouse"
    boto3.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    forget_clients()


def forget_what_was_loaded(functions: Functions) -> None:
    """Take the markers away, as if no batch had been loaded."""
    for key in functions.keys(functions.processed, "loaded/source/"):
        functions.s3.delete_object(Bucket=functions.processed, Key=key)
    forget_clients()


@pytest.fixture
def manage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that switches WAREHOUSE_MANAGED."""

    def switch(value: str = "true") -> None:
        monkeypatch.setenv("WAREHOUSE_MANAGED", value)
        forget_clients()

    return switch


@pytest.fixture
def new_managed_warehouse(
    postgres: PostgresServer, database_numbers: Iterator[int]
) -> Callable[..., Warehouse]:
    """Return a function of a schema's name that makes an empty warehouse of the loader's own.

    Where it `has_more_schemas`, load may create them.
    """

    def make(schema: str = "public", *, has_more_schemas: bool = False) -> Warehouse:
        name = f"warehouse {next(database_numbers)}"
        url = create_managed_warehouse(
            postgres, schema, database=name, has_more_schemas=has_more_schemas
        )
        return Warehouse(name, schema, url, postgres.superuser_url(name))

    return make


@pytest.fixture
def managed(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    new_managed_warehouse: Callable[..., Warehouse],
    manage: Callable[..., None],
) -> Functions:
    """The functions between a small shop and an empty warehouse whose schema is theirs."""
    functions = functions_on(new_source(), new_managed_warehouse())
    manage()
    return functions
