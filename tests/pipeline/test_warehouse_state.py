"""A warehouse that is not as the newest marker left it: restored, moved, exchanged or incomplete.

Whatever became of it, it ends with every record of the history once, and with the latest values.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from pg8000.native import identifier

from etl.loading import load as load_pipeline
from functions.common.errors import LogCorrupted
from functions.common.markers import MarkerLog
from functions.common.storage import Bucket
from functions.targets.postgres.standing import loaded_batch
from functions.targets.postgres.tables import inspect
from local.connection import connect
from local.databases import create_warehouse
from local.installation import installed_postgres
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions, forget_clients
from tests.pipeline.ground import own_server, restart, restore, run_sql, volume_snapshot
from tests.pipeline.managed_warehouse import move_to
from tests.pipeline.oracle import RECORD_IDS, Rows, current, expected
from tests.postgres_fixtures import Source, Warehouse

PRICES = ("1.10", "2.20", "1.10")  # one comes back: a repeated batch would be seen
BATCHES = 7  # the first, and two for each price: a fact's, and one without any
NAME = "warehouse"

FunctionsOn = Callable[[Source, Warehouse], Functions]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a server whose data may be exchanged."""
    with own_server() as running:
        yield running


@dataclass
class Lake:
    """A source, and the objects that its batches are, made once for all tests here."""

    source: Source
    objects: dict[str, bytes]


@pytest.fixture(scope="module")
def lakes() -> list[Lake]:
    """The lake that the first test makes."""
    return []


@pytest.fixture
def shop(
    functions_on: FunctionsOn,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    lakes: list[Lake],
) -> Functions:
    """The functions with seven processed batches, none of them in the empty warehouse."""
    if not lakes:
        functions = functions_on(new_source(), new_warehouse())
        process_batches(functions)
        keys = functions.keys(functions.processed)
        lakes.append(
            Lake(functions.source, {key: functions.body(functions.processed, key) for key in keys})
        )
    [lake] = lakes
    functions = functions_on(lake.source, new_warehouse())
    for key, body in lake.objects.items():
        functions.s3.put_object(Bucket=functions.processed, Key=key, Body=body)
    return functions


def process_batches(functions: Functions) -> None:
    functions.extract()
    for price in PRICES:
        sell = f"UPDATE sales_order SET unit_price = {price} WHERE sales_order_id < 9"
        rename = f"UPDATE design SET design_name = 'at {price}' WHERE design_id = 1"
        for statement in (sell, rename):
            run_sql(functions.source.superuser_url, statement)
            functions.extract()
    functions.transform()


@pytest.fixture
def away(shop: Functions, server: PostgresServer) -> Functions:
    """The same, with the warehouse on a server whose data may be exchanged."""
    with connect(server.superuser_url()) as connection:
        for [name] in connection.run(
            "SELECT datname::text FROM pg_database WHERE datname ~ 'warehouse'"
        ):
            connection.run(f"DROP DATABASE {identifier(name)} WITH (FORCE)")
    shop.warehouse = warehouse_on(server)
    move_to(shop, shop.warehouse)
    return shop


def warehouse_on(server: PostgresServer, name: str = NAME, schema: str = "public") -> Warehouse:
    url = create_warehouse(server, "totesys", schema, database=name)
    return Warehouse(name, schema, url, server.superuser_url(name))


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
    shop: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """A warehouse moved by pg_dump keeps its history as it is, and goes on."""
    load(shop, 6)
    before = histories(shop.warehouse)
    there = new_warehouse()
    copy_by_dump(shop.warehouse, there)

    assert settle(shop, there) == [7]
    assert histories(there) == before
    assert current(there) == expected(shop.source)


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


@pytest.mark.parametrize("table", ["fact_sales_order", "dim_design", "dim_date"])
def test_one_table_that_was_created_again_is_filled_and_no_other(
    shop: Functions, table: str
) -> None:
    """What each table has is decided for each table."""
    settle(shop)
    whole = histories(shop.warehouse)
    others = {fact: ids(shop.warehouse, fact) for fact in RECORD_IDS if fact != table}
    run_sql(
        shop.warehouse.superuser_url,
        f"CREATE TABLE again (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {table} RENAME TO former",
        f"ALTER TABLE again RENAME TO {table}",
        f"GRANT SELECT, INSERT, UPDATE ON {table} TO warehouse_loader",
    )

    settle(shop)

    assert histories(shop.warehouse) == whole
    assert {fact: ids(shop.warehouse, fact) for fact in others} == others
    assert current(shop.warehouse) == expected(shop.source)


def ids(warehouse: Warehouse, fact: str) -> Rows:
    return run_sql(warehouse.superuser_url, f"SELECT {RECORD_IDS[fact]} FROM {fact} ORDER BY 1")


def test_switching_between_two_warehouses_gives_each_its_own_history_once(
    shop: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Each warehouse goes on where it stood, however often the pipeline is pointed elsewhere."""
    first, second = shop.warehouse, new_warehouse()
    load(shop, 2)
    move_to(shop, second)
    load(shop, 4)
    move_to(shop, first)
    load(shop, 3)
    settle(shop, second)
    settle(shop, first)

    assert histories(first) == histories(second)
    assert current(first) == current(second) == expected(shop.source)
    assert settle(shop, second) == [7]


def test_a_record_removed_by_hand_repeats_no_history(shop: Functions) -> None:
    """Only the batch whose last record is gone is applied again."""
    settle(shop)
    whole = histories(shop.warehouse)
    newest = "(SELECT max(sales_record_id) FROM fact_sales_order)"
    run_sql(
        shop.warehouse.superuser_url,
        f"DELETE FROM fact_sales_order WHERE sales_record_id = {newest}",
    )

    settle(shop)

    by_order = {fact: sorted(map(str, rows)) for fact, rows in histories(shop.warehouse).items()}
    assert by_order == {fact: sorted(map(str, rows)) for fact, rows in whole.items()}


def test_a_widened_type_is_not_taken_for_another_history(shop: Functions) -> None:
    """Whoever lets a column hold more has the same warehouse afterwards."""
    settle(shop)
    before = {fact: len(rows) for fact, rows in histories(shop.warehouse).items()}
    run_sql(
        shop.warehouse.superuser_url,
        "ALTER TABLE fact_sales_order ALTER unit_price TYPE numeric(14, 4)",
        "ALTER TABLE fact_sales_order ALTER units_sold TYPE bigint",
        "ALTER TABLE fact_sales_order ADD COLUMN note text",
    )

    settle(shop)

    assert {fact: len(rows) for fact, rows in histories(shop.warehouse).items()} == before


def test_the_commit_before_a_marker_is_synchronous_whatever_the_default(shop: Functions) -> None:
    """A server that answers before a commit is on its disk does not do so to the loader."""
    name = identifier(shop.warehouse.database)
    run_sql(
        shop.warehouse.superuser_url,
        f"ALTER DATABASE {name} SET synchronous_commit = 'off'",
        "CREATE TABLE setting (value text)",
        "GRANT INSERT ON setting TO PUBLIC",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO"
        " public.setting VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$",
        "CREATE TRIGGER note AFTER INSERT ON fact_payment EXECUTE FUNCTION note()",
    )

    load(shop, 1)

    settings = "SELECT DISTINCT value FROM setting"
    assert run_sql(shop.warehouse.superuser_url, settings) == [["on"]]


def test_the_newest_batch_of_a_warehouse_is_known_without_writing(
    shop: Functions, new_warehouse: Callable[[], Warehouse]
) -> None:
    """Who compares a warehouse with the source learns up to which batch it is complete."""
    load(shop, 2)
    lake, empty = Bucket(shop.s3, shop.processed), new_warehouse()

    assert [newest_batch(shop.warehouse, lake), newest_batch(empty, lake)] == [2, 0]
    assert len(shop.keys(shop.processed, "loaded/source/")) == 2


def newest_batch(warehouse: Warehouse, lake: Bucket) -> int:
    with connect(warehouse.loader_url) as connection:
        pipeline = load_pipeline("totesys")
        declared = [mapping.target for mapping in pipeline.mappings("source")]
        layout = inspect(connection, "public", pipeline.targets[0], declared)
        return loaded_batch(connection, MarkerLog(lake, "source"), layout)


def test_batches_that_are_gone_are_not_taken_for_loaded(shop: Functions) -> None:
    """Where only the batches were removed, load says so, and what to do."""
    load(shop, 2)
    for key in shop.keys(shop.processed, "batches/source/"):
        shop.s3.delete_object(Bucket=shop.processed, Key=key)
    forget_clients()

    with pytest.raises(LogCorrupted, match="batch 2 is marked as loaded, and the newest in s3://"):
        shop.load()
