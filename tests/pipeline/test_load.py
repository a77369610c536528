"""The load: a record for every state and none for a repetition, alone at work, fast by any plan."""

from typing import Any
from urllib.parse import urlsplit

import pg8000.native
import pytest
from pg8000.native import identifier

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError, WarehouseSetupError
from functions.targets.postgres.lock import only_loader
from functions.targets.postgres.stage import SESSION_PARAMETERS
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import EXPECTED, RECORD_IDS, current, expected, history, records
from tests.pipeline.pooler import pooler_before
from tests.postgres_fixtures import Warehouse

DIMENSIONS = [table for table in EXPECTED if table.startswith("dim_")]
HISTORY = 50_000
TABLES = ["dim_date", *EXPECTED]

OTHER_VALUE = {
    "date": "{0} + 1",
    "time without time zone": "{0} + interval '1 millisecond'",
    "integer": "coalesce({0}, 0) + 1",
    "numeric": "{0} + 0.01",
    "boolean": "NOT {0}",
    "character varying": "coalesce({0}, '') || ' '",
}
"""SQL for a value that a column does not have, by type."""


def replay(functions: Functions, batch: int) -> dict[str, Any]:
    """Load a batch again, as after a crash before its marker; return its rows by table."""
    key = f"loaded/source/{batch:010d}.json"
    functions.s3.delete_object(Bucket=functions.processed, Key=key)
    assert functions.load()["batches"] == [batch]
    rows: dict[str, Any] = functions.document(functions.processed, key)["rows"]
    return rows


def damage(warehouse: Warehouse, table: str, *, keep: int) -> dict[int, str]:
    """Change each column but the first `keep`, each in another row; return the columns by key."""
    with connect(warehouse.superuser_url) as connection:
        # Foreign keys off: the value need not be anybody's.
        connection.run("SET session_replication_role = replica")
        columns = connection.run(
            "SELECT column_name::text, data_type::text FROM information_schema.columns"
            " WHERE table_name = :table AND ordinal_position > :keep ORDER BY ordinal_position",
            table=table,
            keep=keep,
        )
        key = table.partition("_")[2] + "_id"
        damaged = {}
        for number, (column, kind) in enumerate(columns, start=1):
            value = OTHER_VALUE[kind].format(identifier(column))
            connection.run(
                f"UPDATE {table} SET {identifier(column)} = {value} WHERE {key} = {number}"
            )
            assert connection.row_count == 1
            damaged[number] = str(column)
    return damaged


def test_a_fact_that_differs_in_any_one_column_is_a_new_record(functions: Functions) -> None:
    """No column is left out of the comparison, and records that agree are not repeated."""
    functions.run()
    before = records(functions.warehouse)
    damaged = {fact: damage(functions.warehouse, fact, keep=2) for fact in RECORD_IDS}

    replay(functions, 1)

    assert {fact: len(columns) for fact, columns in damaged.items()} == {
        "fact_sales_order": 13,
        "fact_purchase_order": 13,
        "fact_payment": 11,
    }
    assert records(functions.warehouse) == {
        fact: before[fact] + len(columns) for fact, columns in damaged.items()
    }
    assert [
        len(history(functions.warehouse, fact, key)) for fact in damaged for key in damaged[fact]
    ] == ([2] * 37)
    assert current(functions.warehouse) == expected(functions.source)


def test_a_dimension_row_that_differs_in_any_one_column_is_brought_up_to_date(
    functions: Functions,
) -> None:
    """No column is left out of the comparison, and rows that agree are not touched."""
    functions.run()
    damaged = {name: len(damage(functions.warehouse, name, keep=1)) for name in DIMENSIONS}
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run(
            "UPDATE dim_location SET district = NULL"
            " WHERE location_id > 10 AND district IS NOT NULL"
        )
        damaged["dim_location"] += warehouse.row_count

    rows = replay(functions, 1)

    assert {name: rows[name]["updated"] for name in DIMENSIONS} == damaged
    assert {rows[name]["inserted"] for name in DIMENSIONS} == {0}
    assert current(functions.warehouse) == expected(functions.source)


def test_days_that_are_missing_from_the_calendar_are_filled_in(functions: Functions) -> None:
    """The calendar has every day from the first to the last, also where it had a hole before."""
    functions.run()
    days = "SELECT count(*), max(date_id) - min(date_id) + 1 FROM dim_date"
    with (
        connect(functions.warehouse.superuser_url) as warehouse,
        connect(functions.source.superuser_url) as source,
    ):
        warehouse.run("SET session_replication_role = replica")
        warehouse.run("DELETE FROM dim_date WHERE extract(day FROM date_id) = 13")
        source.run("UPDATE payment SET payment_date = '2031-05-05' WHERE payment_id = 1")
        source.run("UPDATE payment SET created_at = '2019-05-05 10:00' WHERE payment_id = 2")
        functions.run()
        [[count, span]] = warehouse.run(days)

    assert count == span
    assert current(functions.warehouse) == expected(functions.source)


def test_a_second_loader_does_nothing(functions: Functions) -> None:
    """While one loader is at work another one says so and leaves; then the batch is loaded once."""
    functions.extract()
    functions.transform()
    with (
        connect(functions.warehouse.loader_url) as first,
        connect(functions.warehouse.loader_url) as second,
        only_loader(first, "public", {"public": TABLES}) as lock,
    ):
        during = functions.load()
        with only_loader(second, "public", {"public": TABLES}) as none:
            assert (lock is None, none) == (False, None)
    after = functions.load()

    assert (during["batches"], during["rows"], during["busy"]) == ([], {}, True)
    assert (after["batches"], after["busy"]) == ([1], False)
    assert current(functions.warehouse) == expected(functions.source)


def test_a_stranger_cannot_hold_up_the_loader(functions: Functions) -> None:
    """Any role that may connect may take advisory locks, and none of them stops the load."""
    functions.extract()
    functions.transform()
    with connect(functions.warehouse.superuser_url) as warehouse:
        [[password]] = warehouse.run("SELECT 's' || md5(random()::text)")
        if not warehouse.run("SELECT FROM pg_roles WHERE rolname = 'stranger'"):
            warehouse.run("CREATE ROLE stranger LOGIN")
        warehouse.run(f"ALTER ROLE stranger PASSWORD '{password}'")
        database = identifier(functions.warehouse.database)
        warehouse.run(f"GRANT CONNECT ON DATABASE {database} TO stranger")
        warehouse.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger")
    address = urlsplit(functions.warehouse.superuser_url)
    url = address._replace(netloc=f"stranger:{password}@{address.hostname}:{address.port}")
    with connect(url.geturl()) as other, only_loader(other, "public", {"public": TABLES}):
        other.run("SELECT pg_advisory_lock(hashtext('totesys-etl'), hashtext('public'))")
        loaded = functions.load()

    assert (loaded["batches"], loaded["busy"]) == ([1], False)


@pytest.mark.parametrize("keeps", [1, 2])
def test_a_pooler_that_shares_sessions_is_refused(functions: Functions, keeps: int) -> None:
    """Where no session stays ours nobody could keep the lock: the error says what to change."""
    url = functions.warehouse.loader_url
    with pooler_before(url, SESSION_PARAMETERS, keeps=keeps) as port:
        there = urlsplit(url)
        address = there._replace(netloc=f"{there.username}@{there.hostname}:{port}")
        with (
            connect(address.geturl()) as pooled,
            pytest.raises(WarehouseSetupError, match="is behind a pooler in transaction mode"),
            only_loader(pooled, "public", {"public": TABLES}),
        ):
            pass


def test_a_marker_that_somebody_else_writes_is_reported(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While we hold the lock nobody else may write a marker; if somebody does, we say so."""
    functions.extract()
    functions.transform()
    monkeypatch.setattr(BatchLog, "claim", lambda log, marker: False)

    with pytest.raises(CorruptLogError, match="marker 1 of batch 1 was written by another program"):
        functions.load()


def test_a_long_history_is_never_searched_record_by_record(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few orders against 50,000 records are compared in one pass, whatever statistics say."""
    functions.run()
    lengthen_history(functions.warehouse)
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id <= 50")
    plans = explained(monkeypatch, containing="AS newest")

    functions.run()

    assert len(plans) == 1
    assert "Seq Scan on fact_sales_order f" in plans[0]
    assert "Nested Loop" not in plans[0]
    assert (
        current(functions.warehouse)["fact_sales_order"][:50]
        == (expected(functions.source)["fact_sales_order"][:50])
    )


def lengthen_history(warehouse: Warehouse) -> None:
    """Give orders that the source does not have a long history, and let statistics deny it."""
    with connect(warehouse.superuser_url) as connection:
        connection.run("SET session_replication_role = replica")
        [columns] = connection.run(
            "SELECT array_agg(quote_ident(column_name) ORDER BY ordinal_position)"
            " FROM information_schema.columns"
            " WHERE table_name = 'fact_sales_order' AND ordinal_position > 2"
        )
        others = ", ".join(columns[0])
        connection.run(
            f"INSERT INTO fact_sales_order (sales_order_id, {others})"
            f" SELECT 1000000 + n, {others} FROM fact_sales_order, generate_series(1, 1000) AS n"
            f" LIMIT {HISTORY}"
        )
        assert connection.row_count == HISTORY
        connection.run(
            "UPDATE pg_class SET reltuples = 1, relpages = pg_relation_size(oid) / 8192"
            " WHERE relname = 'fact_sales_order'"
        )


def explained(monkeypatch: pytest.MonkeyPatch, containing: str) -> list[str]:
    """Return a list that the plans of statements with some text will be in, once they are run."""
    plans: list[str] = []
    run = pg8000.native.Connection.run

    def explain_and_run(connection: Any, sql: str, **parameters: Any) -> Any:
        if containing in sql:
            lines = run(connection, f"EXPLAIN {sql}", **parameters)
            plans.append("\n".join(line for (line,) in lines))
        return run(connection, sql, **parameters)

    monkeypatch.setattr(pg8000.native.Connection, "run", explain_and_run)
    return plans
