"""Changes that the source's write-ahead log shows are read by their keys, and nothing is lost."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions.extract import handler as extract_handler
from functions.sources.postgres import reader
from local.connection import connect
from local.databases import READER, publish_source
from local.postgres import PostgresServer
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.ground import own_server, restart, run_sql, shop_on
from tests.pipeline.invocation import SCHEDULED
from tests.pipeline.oracle import current, expected
from tests.pipeline.recorded import record
from tests.pipeline.test_activity import DESIGN, scanned
from tests.pipeline.test_harness import let_trade
from tests.pipeline.verdict import Lake, compare
from tests.pipeline.workload import Workload, repair_all
from tests.postgres_fixtures import Source, Warehouse

RUNS = 8
MANY_DESIGNS = (
    "INSERT INTO design (design_id, last_updated, design_name, file_location, file_name)"
    " SELECT 10000 + n, now(), 'oak', '/oak', 'oak.json' FROM generate_series(1, 20000) AS n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that also knows prepared transactions."""
    with own_server() as server:
        run_sql(server.superuser_url(), "ALTER SYSTEM SET max_prepared_transactions = 5")
        restart(server)
        yield server


@pytest.fixture
def source(server: PostgresServer) -> Iterator[Source]:
    """The shop, whose owner lets its log be read; it is dropped with all that reads it."""
    source = shop_on(server)
    publish_source(server, "totesys", database=source.database)
    yield source
    run_sql(source.superuser_url, "SELECT pg_drop_replication_slot(slot_name)"
            " FROM pg_replication_slots")  # fmt: skip
    run_sql(server.superuser_url(), f"DROP DATABASE {source.database} WITH (FORCE)")


@pytest.fixture
def shop(
    source: Source,
    functions_on: Callable[[Source, Warehouse], Functions],
    new_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> Functions:
    """The functions, with capture by wal, after a first batch."""
    monkeypatch.setenv("SOURCE_CAPTURE", "wal")
    functions = functions_on(source, new_warehouse())
    functions.run()
    return functions


def by_schedule() -> dict[str, Any]:
    result: dict[str, Any] = extract_handler.handler(SCHEDULED, Context("extract"))
    return result


def write(source: Source, *statements: str) -> None:
    """Change the source in one transaction."""
    with connect(source.superuser_url) as connection:
        connection.run("; ".join(["BEGIN", *statements, "COMMIT"]))


def assert_equal(shop: Functions) -> None:
    shop.transform()
    shop.load()
    assert current(shop.warehouse) == expected(shop.source)


def test_a_change_is_read_without_scanning_its_table(shop: Functions) -> None:
    """Not by a run by schedule, and not by one that was asked for."""
    write(shop.source, MANY_DESIGNS)
    by_schedule()
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 1")
    with scanned(shop.source) as tables:
        assert by_schedule()["rows"] == {"design": 1}
        assert shop.extract()["batch"] is None

    assert tables == set()
    assert_equal(shop)


def test_new_changed_moved_and_deleted_rows_are_found_by_their_keys(shop: Functions) -> None:
    """Also those of one transaction with savepoints; what came and went at once is nothing."""
    write(shop.source, DESIGN)
    assert by_schedule()["rows"] == {"design": 1}
    write(shop.source, "UPDATE design SET design_id = 9001 WHERE design_id = 9000")
    result = by_schedule()
    assert (result["rows"], result["deleted"]) == ({"design": 1}, {"design": 1})
    write(shop.source, "DELETE FROM design WHERE design_id = 9001")
    assert by_schedule()["deleted"] == {"design": 1}
    write(shop.source, DESIGN, "DELETE FROM design WHERE design_id = 9000")
    assert by_schedule()["batch"] is None
    write(
        shop.source,
        "SAVEPOINT a",
        DESIGN,
        "ROLLBACK TO a",
        "SAVEPOINT b",
        "UPDATE design SET design_name = 'ash' WHERE design_id = 2",
        "RELEASE b",
    )
    assert by_schedule()["rows"] == {"design": 1}
    assert shop.extract()["batch"] is None


def test_a_shop_at_work_arrives_as_it_is(
    shop: Functions, seed: int, say: Callable[[str], None]
) -> None:
    """With slow transactions, savepoints and commits that wait for no disk, nothing is lost."""
    record(shop.source)
    lake = Lake(shop.s3, shop.ingestion, shop.processed)
    work = Workload(shop.source.superuser_url, seed, writers=4, think=0.05, longest=1.0)
    with work.running():
        for _ in range(RUNS):
            let_trade(work, 5)
            by_schedule()
            lake.look()
            shop.transform()
            shop.load()
    repair_all(shop.source.superuser_url)
    by_schedule()
    shop.transform()
    shop.load()
    verdict = compare(shop.source, shop.warehouse)

    say(f"{lake.judge(verdict)} batches, {verdict.compared} rows and records")
    assert not verdict.wrong, f"HARNESS_SEED={seed}\n{verdict}"
    assert shop.extract()["batch"] is None


def slots(source: Source) -> list[list[object]]:
    return run_sql(source.superuser_url, "SELECT slot_name::text FROM pg_replication_slots")


def test_extract_drops_its_slot_when_it_is_asked_to(shop: Functions) -> None:
    """As a teardown does; a second time there is nothing to drop."""
    assert len(slots(shop.source)) == 1
    release = {"release": True}

    first = extract_handler.handler(release, Context("extract"))
    second = extract_handler.handler(release, Context("extract"))

    assert first == {"slots": {"source": {"dropped": True}}}
    assert second == {"slots": {"source": {"dropped": False}}}
    assert slots(shop.source) == []


def test_a_function_that_scans_again_drops_the_slot(
    shop: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would advance it any more."""
    monkeypatch.setenv("SOURCE_CAPTURE", "scan")
    reader._memory.cache_clear()
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 1")

    assert shop.extract()["rows"] == {"design": 1}
    assert slots(shop.source) == []


def test_without_the_right_to_use_slots_tables_are_scanned(
    shop: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    """The right may be revoked at any time; the log says how to grant it."""
    run_sql(shop.source.superuser_url, f"ALTER ROLE {READER} NOREPLICATION")
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 1")
    result = by_schedule()
    run_sql(shop.source.superuser_url, f"ALTER ROLE {READER} REPLICATION")

    assert result["rows"] == {"design": 1}
    [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "ALTER ROLE … REPLICATION" in warning


def test_a_prepared_transaction_is_found_when_it_is_committed(shop: Functions) -> None:
    """Not when it is prepared, by another session, after batches that went past it."""
    write_prepared = ["BEGIN", "UPDATE design SET design_name = 'elm' WHERE design_id = 1"]
    run_sql(shop.source.superuser_url, *write_prepared, "PREPARE TRANSACTION 'elm'")
    write(shop.source, "UPDATE currency SET last_updated = now() WHERE currency_id = 1")
    assert by_schedule()["rows"] == {"currency": 1}
    run_sql(shop.source.superuser_url, "COMMIT PREPARED 'elm'")

    assert by_schedule()["rows"] == {"design": 1}
    assert_equal(shop)


def test_after_a_restart_tables_are_read_whole_and_then_by_the_log(
    shop: Functions, server: PostgresServer
) -> None:
    """Nothing proves that the history of a server continues; then it does again."""
    restart(server)
    write(shop.source, MANY_DESIGNS)
    assert len(by_schedule()["rows"]) == 11
    by_schedule()
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 10001")
    with scanned(shop.source) as tables:
        assert by_schedule()["rows"] == {"design": 1}

    assert tables == set()
