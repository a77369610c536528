"""The databases of the sandbox: their roles' rights, the sample, and the shop at work."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from pg8000.native import DatabaseError

from local.connection import connect, transaction
from local.databases import (
    create_managed_warehouse,
    create_source,
    create_warehouse,
)
from local.postgres import PostgresServer
from pipelines.totesys.sample import SEED
from pipelines.totesys.sample.business_day import trade
from pipelines.totesys.sample.history import sample
from pipelines.totesys.sample.orders import SalesOrder
from tests.postgres_fixtures import SAMPLE_NOW, Source, Warehouse

NEXT_MONDAY = datetime(2024, 11, 18, 9, 30, 11, 250_000)
REFUSED = "42501"  # insufficient_privilege


def refusal(url: str, statement: str) -> str:
    """Return the code with which the database turns the statement down, or `allowed`."""
    try:
        with connect(url) as connection, transaction(connection):
            connection.run(statement)
    except DatabaseError as error:
        return str(error.args[0]["C"])
    return "allowed"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO currency VALUES (4, 'SEK', now(), now())",
        "UPDATE currency SET currency_code = 'SEK'",
        "DELETE FROM payment",
        "TRUNCATE payment",
        "SELECT nextval('payment_payment_id_seq')",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
    ],
)
def test_the_reader_may_only_read(new_source: Callable[..., Source], statement: str) -> None:
    """All that works against the sandbox works with the rights of the real, read-only role."""
    source = new_source(0)
    assert refusal(source.reader_url, statement) == REFUSED
    assert refusal(source.reader_url, "SELECT * FROM payment, _prisma_migrations") == "allowed"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM dim_currency",
        "TRUNCATE dim_currency",
        "ALTER TABLE dim_currency ADD COLUMN mine integer",
        "CREATE INDEX ON fact_payment (payment_id)",
        "CREATE TABLE mine ()",
        "CREATE SCHEMA mine",
    ],
)
def test_the_loader_may_not_change_the_warehouse(
    new_warehouse: Callable[..., Warehouse], statement: str
) -> None:
    """Loading the sandbox needs no more rights than the real warehouse grants."""
    assert refusal(new_warehouse().loader_url, statement) == REFUSED


def test_the_loader_may_load(new_warehouse: Callable[..., Warehouse]) -> None:
    """Insert, update, serial keys and temporary tables are allowed, in the schema asked for."""
    warehouse = new_warehouse("project_team_1")
    statements = (
        "CREATE TEMPORARY TABLE staged (LIKE project_team_1.dim_currency)",
        "INSERT INTO project_team_1.dim_currency VALUES (1, 'GBP', 'Pound Sterling')",
        "UPDATE project_team_1.dim_currency SET currency_name = 'Sterling'",
        "SELECT nextval('project_team_1.fact_payment_payment_record_id_seq')",
    )
    assert [refusal(warehouse.loader_url, each) for each in statements] == ["allowed"] * 4


def test_the_loader_of_a_managed_warehouse_may_shape_its_schema_alone(
    postgres: PostgresServer, new_warehouse: Callable[..., Warehouse]
) -> None:
    """Its schema is its own, with whatever was prepared there, and no other can be made."""
    warehouse = new_warehouse()
    url = create_managed_warehouse(postgres, database=warehouse.database)

    assert url == warehouse.loader_url
    assert refusal(url, "CREATE TABLE mine (); DROP TABLE mine") == "allowed"
    assert refusal(url, "INSERT INTO dim_currency VALUES (1, 'GBP', 'Pound')") == "allowed"
    assert refusal(url, "CREATE SCHEMA mine") == REFUSED


def test_roles_cannot_enter_other_databases(
    postgres: PostgresServer, new_source: Callable[..., Source]
) -> None:
    """A function that is given one database cannot look into another one."""
    new_source(0)
    with pytest.raises(DatabaseError) as error:
        connect(postgres.url("source_reader", postgres.password("source_reader"), "postgres"))
    assert error.value.args[0]["C"] == REFUSED


def test_databases_that_are_there_are_left_alone(
    postgres: PostgresServer,
    new_source: Callable[..., Source],
    new_warehouse: Callable[..., Warehouse],
) -> None:
    """A second start shows the same shop and the same warehouse, with what has happened since."""
    source, warehouse = new_source(), new_warehouse()
    changes = {
        source.superuser_url: "UPDATE currency SET currency_code = 'SEK'",
        warehouse.superuser_url: "INSERT INTO dim_currency VALUES (1, 'GBP', 'Pound Sterling')",
    }
    for url, change in changes.items():
        assert refusal(url, change) == "allowed"
    again = create_source(postgres, "totesys", now=SAMPLE_NOW, scale=1, database=source.database)
    assert again == source.reader_url
    assert (
        create_warehouse(postgres, "totesys", database=warehouse.database) == warehouse.loader_url
    )
    with connect(source.reader_url) as connection:
        assert connection.run("SELECT DISTINCT currency_code FROM currency") == [["SEK"]]
        assert connection.run("SELECT count(*) FROM sales_order") == [[220]]
    with connect(warehouse.loader_url) as connection:
        assert connection.run("SELECT count(*) FROM dim_currency") == [[1]]


def test_the_sample_arrives_as_it_was_made(new_source: Callable[..., Source]) -> None:
    """NULL, accents, apostrophes, leading zeros, milliseconds and money get into the database."""
    source = new_source(1.0)
    with connect(source.reader_url) as connection:
        addresses = connection.run(
            "SELECT count(*) FILTER (WHERE address_line_2 IS NULL),"
            " count(*) FILTER (WHERE country = 'Côte d''Ivoire'),"
            " bool_or(postal_code LIKE '0%') FROM address"
        )
        assert addresses == [[20, 1, True]]
        stored = connection.run(
            "SELECT sales_order_id, created_at, unit_price, agreed_payment_date"
            " FROM sales_order ORDER BY 1"
        )
    made = [
        SalesOrder._make(row)
        for table, rows in sample(1.0, SEED, SAMPLE_NOW)
        for row in rows
        if table == "sales_order"
    ]
    assert stored == [
        [
            order.sales_order_id,
            datetime.fromisoformat(order.created_at),
            Decimal(order.unit_price),
            order.agreed_payment_date,
        ]
        for order in made
    ]


def everything(url: str, table: str) -> dict[int, list[object]]:
    with connect(url) as connection:
        return {row[0]: row for row in connection.run(f"SELECT * FROM {table}")}


def test_a_business_day_does_what_it_says(new_source: Callable[..., Source]) -> None:
    """The figures that the sandbox shows for the shop's work are what the database has gained."""
    source = new_source()
    tables = ("sales_order", "purchase_order", "transaction", "payment", "design")
    before = {table: everything(source.reader_url, table) for table in tables}
    total: Counter[str] = Counter()
    rng = Random(7)
    with connect(source.writer_url) as connection:
        for minute in range(60):
            done = trade(connection, rng, NEXT_MONDAY + timedelta(minutes=minute))
            total += Counter(done)
    after = {table: everything(source.reader_url, table) for table in tables}

    gained = {table: len(after[table]) - len(before[table]) for table in tables}
    assert gained == {
        "sales_order": total["sales"],
        "purchase_order": total["purchases"],
        "transaction": total["sales"] + total["purchases"],
        "payment": total["sales"] + total["purchases"],
        "design": total["designs"],
    }
    run = datetime(2024, 11, 18, 7, 55, 11, 830_000)
    paid = [row for row in after["payment"].values() if row[2] == run]
    assert len(paid) == total["paid"]
    assert {(row[8], row[9]) for row in paid} == {(True, "2024-11-18")}
    assert set(total) == {"sales", "purchases", "designs", "paid", "silent"}


def test_silent_updates_leave_no_trace(new_source: Callable[..., Source]) -> None:
    """Old rows change while `last_updated` stays, which is what the pipeline has to notice."""
    source = new_source()
    stamps = "created_at, last_updated"
    query = f"SELECT sales_order_id, {stamps} FROM sales_order ORDER BY 1 LIMIT 220"
    before = everything(source.reader_url, "sales_order")
    rng = Random(11)
    with connect(source.writer_url) as connection:
        stamps_before = connection.run(query)
        for minute in range(60):
            trade(connection, rng, NEXT_MONDAY + timedelta(minutes=minute))
        assert connection.run(query) == stamps_before
    after = everything(source.reader_url, "sales_order")
    assert [key for key, row in before.items() if after[key] != row] != []
