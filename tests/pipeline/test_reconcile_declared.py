"""Reconcile of a pipeline with keys of several columns and of any type, and joins."""

import json
from dataclasses import replace

import boto3
import pytest
from pandas import DataFrame
from pg8000.native import identifier

from deployer.configuration.databases import parse_database_url
from etl import (
    SELF,
    Array,
    Date,
    Double,
    Integer,
    Json,
    Numeric,
    Other,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    Uuid,
    history,
    latest,
)
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.reconcile import handler as reconcile_handler
from functions.transform import handler as transform_handler
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.ground import run_sql
from tests.pipeline.reconciling import (
    disagreements,
    fresh_clients,
    reconcile,
    repair,
    run_in,
)
from tests.postgres_fixtures import Source

__all__ = ["fresh_clients"]

SOURCE = """
CREATE TABLE person (id uuid PRIMARY KEY, name text NOT NULL, boss uuid REFERENCES person);
CREATE SCHEMA "Lager 1";
CREATE TABLE "Lager 1"."Fach, groß" (
    code text, no integer, "Inhalt %" jsonb NOT NULL, at point, tags text[], weight float8,
    PRIMARY KEY (code, no));
CREATE TABLE rate (day date, at timestamptz, value numeric NOT NULL, PRIMARY KEY (day, at));
CREATE TABLE entry (id uuid PRIMARY KEY, person uuid NOT NULL REFERENCES person,
    price numeric(8, 2) NOT NULL);
INSERT INTO person SELECT md5('p' || n)::uuid, 'name ' || n,
    CASE WHEN n > 1 THEN md5('p' || n / 2)::uuid END FROM generate_series(1, 40) AS n;
INSERT INTO "Lager 1"."Fach, groß" SELECT CASE n % 3 WHEN 0 THEN 'a,' WHEN 1 THEN 'ä\\' ELSE '' END,
    n, jsonb_build_object('n', n), point(n, 1), ARRAY['x' || n, NULL], n / 3.0
    FROM generate_series(1, 50) AS n;
INSERT INTO rate SELECT '2024-01-01'::date + n, '2024-01-01 00:00:00.1+00'::timestamptz
    + n * interval '1 hour', n / 7.0 FROM generate_series(1, 30) AS n;
INSERT INTO entry SELECT md5('e' || n)::uuid, md5('p' || 1 + n % 40)::uuid, n / 4.0
    FROM generate_series(1, 200) AS n
"""

person = Table("person", key="id", columns={
    "id": Uuid(), "name": Text(), "boss": Uuid(nullable=True, references=SELF),
})  # fmt: skip
bin_ = Table("Fach, groß", key=("code", "no"), schema="Lager 1", alias="bin", columns={
    "code": Text(), "no": Integer(), "Inhalt %": Json(binary=True),
    "at": Other("point", nullable=True), "tags": Array(Text(), nullable=True),
    "weight": Double(nullable=True),
})  # fmt: skip
rate = Table("rate", key=("day", "at"), columns={
    "day": Date(), "at": Timestamp(timezone=True), "value": Numeric(),
})  # fmt: skip
entry = Table("entry", key="id", columns={
    "id": Uuid(), "person": Uuid(references=person), "price": Numeric(8, 2),
})  # fmt: skip


@latest(
    key="id",
    joins={"chief": "boss"},
    columns={"id": Uuid(), "name": Text(), "chief": Text(nullable=True)},
)
def people(person: DataFrame, chief: DataFrame) -> DataFrame:
    """People, each with the name of who is above them."""
    chiefs = chief[["id", "name"]].rename(columns={"id": "boss", "name": "chief"})
    return person.merge(chiefs, how="left", on="boss")[["id", "name", "chief"]]


PIPELINE = Pipeline(
    sources=[Postgres("source", (person, bin_, rate, entry))],
    targets=[PostgresWarehouse("warehouse", (people, latest(bin_), history(rate), history(entry)))],
)
ANN = "'00000000-0000-0000-0000-000000000001'"


@pytest.fixture
def functions(
    managed: Functions, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Functions:
    """The functions between such a database and a managed warehouse, after a first run."""
    database = "of any keys"
    run_sql(postgres.superuser_url(), f"DROP DATABASE IF EXISTS {identifier(database)}")
    run_sql(postgres.superuser_url(), f"CREATE DATABASE {identifier(database)}")
    url = postgres.superuser_url(database)
    run_sql(url, *SOURCE.split(";\n"))
    for handler in (extract_handler, transform_handler, load_handler, reconcile_handler):
        monkeypatch.setattr(handler, "load", lambda name: PIPELINE)
    secret = f"{managed.ingestion}/any-keys"
    text = json.dumps(parse_database_url(url).secret())
    boto3.client("secretsmanager").create_secret(Name=secret, SecretString=text)
    monkeypatch.setenv("SOURCE_SECRET_ID", secret)
    forget_clients()
    functions = replace(managed, source=Source(database, url, url, url))
    functions.run()
    return functions


def in_source(functions: Functions, *statements: str) -> None:
    run_in(functions.source.superuser_url, *statements)


def in_warehouse(functions: Functions, *statements: str) -> None:
    run_in(functions.warehouse.superuser_url, *statements)


def id_of(text: str) -> str:
    return f"md5('{text}')::uuid"


def test_everything_agrees_after_each_run(functions: Functions) -> None:
    """Rows of every key and type are equal to what the source makes, and the deleted ones known."""
    report = reconcile()
    assert (report["agrees"], disagreements(report)) == (True, {})
    assert {name: table["warehouse"] for name, table in report["tables"].items()} == {
        "people": 40, "Fach, groß": 50, "rate": 30, "entry": 200,
    }  # fmt: skip

    in_source(
        functions,
        f"UPDATE person SET name = 'Cy' WHERE id = {id_of('p2')}",
        'DELETE FROM "Lager 1"."Fach, groß" WHERE no IN (3, 4)',
        "UPDATE rate SET value = 9 WHERE day = '2024-01-05'",
        f"DELETE FROM entry WHERE id = {id_of('e7')}",
    )
    functions.run()

    report = reconcile()
    assert report["agrees"] is True
    assert disagreements(report) == {"Fach, groß": {"deleted": 2}, "entry": {"deleted": 1}}


def test_what_changed_since_the_newest_batch_is_pending(functions: Functions) -> None:
    """A row on its way is no difference, nor is one that something changed for that joins in."""
    in_source(
        functions,
        f"UPDATE person SET name = 'Cy' WHERE id = {id_of('p2')}",  # who is above two others
        'DELETE FROM "Lager 1"."Fach, groß" WHERE no = 3',
        "INSERT INTO rate VALUES ('2025-01-01', '2025-01-01', 1)",
        f"UPDATE entry SET price = 1.5 WHERE id = {id_of('e7')}",
    )
    report = reconcile()
    assert report["agrees"] is True
    assert disagreements(report) == {
        "people": {"pending": 3},
        "Fach, groß": {"pending": 1},
        "rate": {"pending": 1},
        "entry": {"pending": 1},
    }


def test_each_kind_of_difference_is_named_by_its_key_and_repaired(functions: Functions) -> None:
    """Missing, different and extra rows are found by keys of any form, and read again."""
    in_warehouse(
        functions,
        f"UPDATE people SET chief = 'x' WHERE id = {id_of('p2')}",
        f"INSERT INTO people VALUES ({ANN}, 'Ann', NULL)",
        """UPDATE "Fach, groß" SET "Inhalt %" = '{"n": 0}' WHERE no = 3""",
        'DELETE FROM "Fach, groß" WHERE no = 4',
        "INSERT INTO \"Fach, groß\" (code, no, \"Inhalt %\") VALUES ('b,\\', 7, '{}')",
        "UPDATE rate SET value = 77 WHERE day = '2024-01-05'",
        f"DELETE FROM entry WHERE id = {id_of('e7')}",
    )

    report = reconcile()

    assert disagreements(report) == {
        "people": {"different": 1, "extra": 1},
        "Fach, groß": {"different": 1, "missing": 1, "extra": 1},
        "rate": {"different": 1},
        "entry": {"missing": 1},
    }
    examples = {name: table["examples"] for name, table in report["tables"].items()}
    assert examples["people"]["extra"] == [ANN.strip("'")]
    assert examples["Fach, groß"] == {
        "different": ["a,, 3"], "missing": ["ä\\, 4"], "extra": ["b,\\, 7"],
    }  # fmt: skip
    assert examples["rate"] == {"different": ["2024-01-05, 2024-01-01 04:00:00.100000"]}
    assert report["repair"]["absent"] == {
        "person": [ANN.strip("'")], bin_.id: ["b\\,\\\\,7"],
    }  # fmt: skip

    repair(functions)

    found = disagreements(reconcile())
    assert found == {"people": {"deleted": 1}, "Fach, groß": {"deleted": 1}}


def test_rows_that_are_put_aside_are_counted_for_their_target(functions: Functions) -> None:
    """A row that cannot be a row of the target is missing or different, and known to be aside."""
    in_source(functions, f"UPDATE entry SET price = 'NaN' WHERE id = {id_of('e7')}")
    functions.run()

    report = reconcile()

    assert disagreements(report) == {"entry": {"different": 1, "quarantined": 1}}
    assert "in quarantine: 1 " in report["tables"]["entry"]["note"]


def test_a_table_that_the_source_lost_is_named_and_the_others_are_compared(
    functions: Functions,
) -> None:
    """Whatever happens to one table, the others are still compared."""
    in_source(functions, "DROP TABLE entry")

    report = reconcile()

    assert {name: table["error"] for name, table in report["tables"].items() if table["error"]} == {
        "entry": "table entry is not in schema public of the source (any more)",
    }
    assert report["tables"]["people"]["source"] == 40
