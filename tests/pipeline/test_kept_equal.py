"""Databases that the product has never seen: declared by `new`, then kept equal to the letter."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from pg8000.native import identifier, literal

import pipelines
from deployer.configuration.databases import parse_database_url
from etl import Pipeline
from etl.loading import load
from local.connection import connect
from local.databases import LOADER, READER
from local.new_pipeline.command import write_pipeline
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.invocation import MORE_PIPELINES
from tests.pipeline.reconciling import reconcile
from tests.pipeline.storm import Storm
from tests.pipeline.strangers import FOLDER, changes, differences, differences_from_oracle
from tests.postgres_fixtures import Source, Warehouse

AT_ONCE = 4  # changes between two runs
KILLS = 10
SHAPED = FOLDER / "pipelines"


@pytest.fixture
def databases(
    request: pytest.FixtureRequest, postgres: PostgresServer, database_numbers: Iterator[int]
) -> tuple[Source, Warehouse]:
    """A stranger's database, and an empty one that is the loader's to shape."""
    number = next(database_numbers)
    shop, stars = f"stranger {number}", f"stars {number}"
    with connect(postgres.superuser_url()) as connection:
        for role in (READER, LOADER):
            if not connection.run("SELECT FROM pg_roles WHERE rolname = :role", role=role):
                password = literal(postgres.password(role))
                connection.run(f"CREATE ROLE {identifier(role)} LOGIN PASSWORD {password}")
        for database in (shop, stars):
            connection.run(f"CREATE DATABASE {identifier(database)}")
        connection.run(f"GRANT CREATE ON DATABASE {identifier(stars)} TO {identifier(LOADER)}")
    with connect(postgres.superuser_url(shop)) as connection:
        connection.run((FOLDER / f"{request.param}.sql").read_text())
        for [statement] in connection.run(
            f"SELECT format('GRANT USAGE ON SCHEMA %I TO {READER}; GRANT SELECT ON ALL TABLES"
            f" IN SCHEMA %I TO {READER}', nspname, nspname) FROM pg_namespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ):
            connection.run(statement)
    reader = postgres.url(READER, postgres.password(READER), shop)
    loader = postgres.url(LOADER, postgres.password(LOADER), stars)
    return (
        Source(shop, reader, "", postgres.superuser_url(shop)),
        Warehouse(stars, "copied", loader, postgres.superuser_url(stars)),
    )


@pytest.fixture
def stranger(
    databases: tuple[Source, Warehouse],
    functions_on: Callable[[Source, Warehouse], Functions],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[tuple[Functions, Pipeline]]:
    """The functions between the two, with a pipeline that was written from the first."""
    source, _ = databases
    unique = source.database.replace(" ", "_")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])
    monkeypatch.setenv(MORE_PIPELINES, str(tmp_path))
    write_pipeline(unique, parse_database_url(source.reader_url), tmp_path)
    monkeypatch.setenv("PIPELINE", unique)
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    importlib.invalidate_caches()
    yield functions_on(*databases), load(unique)
    for module in [each for each in sys.modules if each.startswith(f"pipelines.{unique}")]:
        del sys.modules[module]


@pytest.fixture
def shaped(
    databases: tuple[Source, Warehouse],
    functions_on: Callable[[Source, Warehouse], Functions],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Functions, Pipeline]:
    """The functions between the two, with a pipeline that shapes its target tables."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(SHAPED)])
    monkeypatch.setenv("PIPELINE", "workshop")
    monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
    return functions_on(*databases), load("workshop")


def pieces(random: Random, statements: list[str]) -> list[list[str]]:
    """Return all statements in random order, some between two runs."""
    mixed = random.sample(statements, len(statements))
    return [mixed[at : at + AT_ONCE] for at in range(0, len(mixed), AT_ONCE)]


@pytest.mark.parametrize("databases", ["music", "rental", "everything"], indirect=True)
def test_a_strangers_database_is_kept_equal(
    stranger: tuple[Functions, Pipeline], request: pytest.FixtureRequest
) -> None:
    """Inserts, updates, deletes and changed keys arrive, whatever the types, keys and names."""
    functions, pipeline = stranger
    source, warehouse = functions.source.superuser_url, functions.warehouse.superuser_url
    random, name = Random(7), request.node.callspec.params["databases"]
    for statements in pieces(random, changes(name)):
        functions.run()
        assert differences(pipeline, source, warehouse, functions.warehouse.schema) == []
        report = reconcile()
        apart = {name: table for name, table in report["tables"].items() if table["extra"]}
        assert (report["agrees"], apart) == (True, {})
        with connect(source) as connection:
            connection.run(f"SELECT setseed({random.random()})")
            for statement in statements:
                connection.run(statement)
    functions.run()
    assert functions.extract()["batch"] is None


@pytest.mark.parametrize("databases", ["workshop"], indirect=True)
def test_joins_of_every_kind_are_kept_equal(shaped: tuple[Functions, Pipeline]) -> None:
    """A change reaches the rows that it joins in with, over columns, levels, and in one table."""
    functions, pipeline = shaped
    source, warehouse = functions.source.superuser_url, functions.warehouse.superuser_url
    oracle, random = (SHAPED / "workshop" / "oracle.sql").read_text(), Random(8)
    twice = [*pieces(random, changes("workshop")), *pieces(random, changes("workshop"))]
    for statements in twice:
        functions.run()
        schema = functions.warehouse.schema
        assert differences_from_oracle(pipeline, oracle, source, warehouse, schema) == []
        assert reconcile()["agrees"]
        with connect(source) as connection:
            connection.run(f"SELECT setseed({random.random()})")
            for statement in statements:
                connection.run(statement)


@pytest.mark.parametrize("databases", ["rental", "everything"], indirect=True)
def test_a_strangers_database_survives_a_storm(
    stranger: tuple[Functions, Pipeline],
    request: pytest.FixtureRequest,
    seed: int,
    tmp_path: Path,
) -> None:
    """Functions that are killed at any place, side by side, lose nothing and load nothing twice."""
    functions, pipeline = stranger
    source, warehouse = functions.source.superuser_url, functions.warehouse.superuser_url
    statements = changes(request.node.callspec.params["databases"])
    storm = Storm(dict(os.environ), seed, tmp_path / "functions.log")
    random = Random(seed)
    with storm.raging(3), connect(source) as connection:
        connection.run(f"SELECT setseed({random.random()})")
        while storm.kills < KILLS and not storm.defects:
            connection.run(random.choice(statements))
            storm.wait(0.05)
    storm.settle()

    assert storm.wrong + storm.stuck == []
    assert differences(pipeline, source, warehouse, functions.warehouse.schema) == []
    assert reconcile()["agrees"]
