"""Databases that nobody prepared, declared by `new`: the warehouse that is created equals them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import pytest
from pg8000.native import identifier

from deployer.configuration.databases import parse_database_url
from etl import Pipeline, TargetTable
from etl.ddl import current_view, quoted
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.transform import handler as transform_handler
from local.connection import connect
from local.new_pipeline.command import write_pipeline
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.ground import run_sql
from tests.pipeline.test_new_pipeline import STRANGERS, declared
from tests.postgres_fixtures import Source

CHANGES = {
    "music": [
        'UPDATE "Employee" SET "ReportsTo" = NULL WHERE "EmployeeId" = 2',
        'UPDATE "Track" SET "Name" = \'\' WHERE "TrackId" < 5',
        'DELETE FROM "PlaylistTrack" WHERE "TrackId" = 3',
        'UPDATE "InvoiceLine" SET "UnitPrice" = 0.01 WHERE "InvoiceLineId" = 4',
    ],
    "rental": [
        "UPDATE film SET title = title || ', \\.', special_features = '{}' WHERE film_id % 7 = 0",
        "UPDATE film SET rating = NULL WHERE film_id = 3",
        "UPDATE rental SET note = NULL, kept = '1 month' WHERE rental_id < 5",
        "DELETE FROM film_actor WHERE actor_id = 7",
        "DELETE FROM payment WHERE payment_id BETWEEN 10 AND 20",
        "INSERT INTO language VALUES ('f,', 'A code with a comma')",
        (
            "DELETE FROM inventory WHERE inventory_id > 480 AND inventory_id NOT IN"
            " (SELECT inventory_id FROM rental)"
        ),
        "INSERT INTO actor VALUES (61, 'Nobody')",
        "DELETE FROM actor WHERE actor_id IN (7, 61)",
        "UPDATE payment SET amount = -0.01 WHERE payment_id = 900",
    ],
}


@dataclass
class Stranger:
    """The functions between a stranger's database and a managed warehouse."""

    name: str
    functions: Functions
    pipeline: Pipeline


@pytest.fixture(params=list(CHANGES))
def stranger(
    request: pytest.FixtureRequest,
    managed: Functions,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Stranger:
    """Each stranger's database in turn, with the pipeline that is written for it."""
    database = f"{request.param} of a stranger"
    run_sql(postgres.superuser_url(), f"CREATE DATABASE {identifier(database)}")
    url = postgres.superuser_url(database)
    with connect(url) as connection:
        connection.run((STRANGERS / f"{request.param}.sql").read_text())
    pipeline = declared(write_pipeline(request.param, parse_database_url(url), tmp_path))
    for handler in (extract_handler, transform_handler, load_handler):
        monkeypatch.setattr(handler, "load", lambda name: pipeline)
    secret = f"{managed.ingestion}/stranger"
    text = json.dumps(parse_database_url(url).secret())
    boto3.client("secretsmanager").create_secret(Name=secret, SecretString=text)
    monkeypatch.setenv("SOURCE_SECRET_ID", secret)
    forget_clients()
    functions = replace(managed, source=Source(database, url, url, url))
    return Stranger(request.param, functions, pipeline)


def test_the_warehouse_equals_a_stranger_s_database(stranger: Stranger) -> None:
    """Whatever its names, keys and types are: at first, and after changes and deletions."""
    stranger.functions.run()
    assert_equal(stranger.functions, stranger.pipeline)

    run_sql(stranger.functions.source.superuser_url, *CHANGES[stranger.name])
    stranger.functions.run()
    assert_equal(stranger.functions, stranger.pipeline)


def assert_equal(functions: Functions, pipeline: Pipeline) -> None:
    """Compare each table with its source, column by column, as text."""
    there, here = {}, {}
    for mapping in pipeline.mappings("source"):
        table, target = mapping.main, mapping.target
        columns = ", ".join(f"{quoted(column)}::text" for column in table.columns)
        source = f"{quoted(table.schema)}.{quoted(table.name)}"
        there[target.name] = run_sql(
            functions.source.superuser_url, f"SELECT {columns} FROM {source} ORDER BY 1, 2"
        )
        here[target.name] = run_sql(
            functions.warehouse.superuser_url, f"SELECT {columns} FROM {held(target)} ORDER BY 1, 2"
        )
    assert here == there


def held(target: TargetTable) -> str:
    """Return the SQL of a table's current state: latest values stay when a row is deleted."""
    if target.way == "history":
        return quoted(current_view(target.name))
    return (
        f"{quoted(target.name)} WHERE {quoted(target.key[0])}::text NOT IN (SELECT business_id"
        f" FROM deleted_rows WHERE table_name = '{target.name}' AND seen_again_at IS NULL)"
    )
