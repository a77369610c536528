"""A warehouse that is not as the newest marker left it: restored, moved, exchanged or incomplete.

Whatever happened to it, it ends with every record of the history once, and with the latest values.
"""

import subprocess
from collections.abc import Callable, Iterator

import pytest
from pg8000.native import identifier

from functions.common.logs import MarkerLog
from local.connection import connect
from local.databases import create_warehouse
from local.postgres import PostgresServer, installed_postgres
from tests.pipeline.conftest import Functions
from tests.pipeline.ground import own_server, restart, restore, run_sql, volume_snapshot
from tests.pipeline.managed_warehouse import move_to
from tests.pipeline.oracle import current, expected
from tests.pipeline.seven_batches import PRICES, histories, load, settle
from tests.postgres_fixtures import Warehouse

NAME = "warehouse"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a server whose data may be exchanged."""
    with own_server() as running:
        yield running


@pytest.fixture
def away(seven_batches: Functions, server: PostgresServer) -> Functions:
    """The same, with the warehouse on a server whose data may be exchanged."""
    with connect(server.superuser_url()) as connection:
        for [name] in connection.run(
            "SELECT datname::text FROM pg_database WHERE datname ~ 'warehouse'"
        ):
            connection.run(f"DROP DATABASE {identifier(name)} WITH (FORCE)")
    seven_batches.warehouse = warehouse_on(server)
    move_to(seven_batches, seven_batches.warehouse)
    return seven_batches


def warehouse_on(server: PostgresServer, name: str = NAME, schema: str = "public") -> Warehouse:
    url = create_warehouse(server, "totesys", schema, database=name)
    return Warehouse(name, schema, url, server.superuser_url(name))


def test_a_warehouse_restored_to_an_older_copy_gets_what_it_lost(
    away: Functions, server: PostgresServer
) -> None:
    """After a restore of the same server nothing is missing and no record is there twice."""
    load(away, 3)
    with volume_snapshot(server) as copy:
        settle(away)
        whole = histories(away.warehouse)
        restore(server, copy)
        assert histories(away.warehouse) != whole

        applied = settle(away)

    # Batches 1 to 3 were in the copy; 3 changed no fact, so nothing proves that it was.
    assert applied == [3, 4, 5, 6, 7]
    assert histories(away.warehouse) == whole
    assert current(away.warehouse) == expected(away.source)


def test_a_database_made_from_an_older_template_gets_what_it_lost(
    away: Functions, server: PostgresServer
) -> None:
    """A database dropped and created again from a copy, on a server that never stopped."""
    load(away, 2)
    run_sql(server.superuser_url(), f"CREATE DATABASE old_warehouse TEMPLATE {NAME}")
    settle(away)
    whole = histories(away.warehouse)
    run_sql(
        server.superuser_url(),
        f"DROP DATABASE {NAME} WITH (FORCE)",
        f"ALTER DATABASE old_warehouse RENAME TO {NAME}",
    )

    settle(away)

    assert histories(away.warehouse) == whole
    assert current(away.warehouse) == expected(away.source)


def test_a_batch_that_a_dead_loader_committed_is_missed_in_an_older_copy(
    away: Functions, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader that found its rows there already has to know them: a copy may be without them."""
    load(away, 1)
    run_sql(server.superuser_url(), f"CREATE DATABASE old_warehouse TEMPLATE {NAME}")
    with monkeypatch.context() as patch:
        patch.setattr(MarkerLog, "claim", _dies)
        with pytest.raises(_Death):
            away.load()
    load(away, 1)  # the batch with the first price, all of which is there
    run_sql(
        server.superuser_url(),
        f"DROP DATABASE {NAME} WITH (FORCE)",
        f"ALTER DATABASE old_warehouse RENAME TO {NAME}",
    )

    settle(away)

    prices = run_sql(
        away.warehouse.superuser_url,
        "SELECT unit_price::text FROM fact_sales_order WHERE sales_order_id = 1"
        " ORDER BY sales_record_id",
    )
    assert [price for [price] in prices[1:]] == [*PRICES]
    assert current(away.warehouse) == expected(away.source)


class _Death(BaseException):
    """The end of a function between its commit and its marker."""


def _dies(*_: object) -> bool:
    raise _Death


def test_a_restart_of_the_server_repeats_no_more_than_what_no_fact_proves(
    away: Functions, server: PostgresServer
) -> None:
    """A restart costs the batches since the last change of a fact, which change nothing."""
    settle(away)
    whole = histories(away.warehouse)
    restart(server)

    assert settle(away) == [7]
    assert histories(away.warehouse) == whole


def test_a_renamed_database_and_schema_repeat_nothing(
    away: Functions, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warehouse under another name is the same warehouse."""
    settle(away)
    whole = histories(away.warehouse)
    run_sql(away.warehouse.superuser_url, "ALTER SCHEMA public RENAME TO stars")
    run_sql(server.superuser_url(), f"ALTER DATABASE {NAME} RENAME TO my_warehouse")
    monkeypatch.setenv("WAREHOUSE_SCHEMA", "stars")
    renamed = warehouse_on(server, "my_warehouse", "stars")

    assert settle(away, renamed) == [7]
    assert histories(renamed) == whole


def test_a_dumped_and_restored_warehouse_repeats_nothing(
    seven_batches: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """A warehouse moved by pg_dump keeps its history as it is, and goes on."""
    load(seven_batches, 6)
    before = histories(seven_batches.warehouse)
    there = new_warehouse()
    copy_by_dump(seven_batches.warehouse, there)

    assert settle(seven_batches, there) == [7]
    assert histories(there) == before
    assert current(there) == expected(seven_batches.source)


def copy_by_dump(one: Warehouse, other: Warehouse) -> None:
    run_sql(other.superuser_url, "DROP SCHEMA public CASCADE")
    binaries = installed_postgres() / "bin"
    dump = subprocess.run(
        [binaries / "pg_dump", "--schema=public", "--dbname", one.superuser_url],
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [binaries / "psql", "--quiet", "--dbname", other.superuser_url],
        input=dump.stdout,
        capture_output=True,
        check=True,
    )


def test_switching_between_two_warehouses_gives_each_its_own_history_once(
    seven_batches: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Each warehouse goes on where it stood, however often the pipeline is pointed elsewhere."""
    first, second = seven_batches.warehouse, new_warehouse()
    load(seven_batches, 2)
    move_to(seven_batches, second)
    load(seven_batches, 4)
    move_to(seven_batches, first)
    load(seven_batches, 3)
    settle(seven_batches, second)
    settle(seven_batches, first)

    assert histories(first) == histories(second)
    assert current(first) == current(second) == expected(seven_batches.source)
    assert settle(seven_batches, second) == [7]
