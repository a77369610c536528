"""Whatever happens to slot, publication or log, the tables are scanned, and nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from types import ModuleType
from typing import cast
from unittest.mock import Mock

import msgspec
import pytest

from etl import Postgres
from functions.sources.postgres import changelog, pgoutput, surveys
from functions.sources.postgres import slot as slots
from local.connection import connect
from tests.pipeline.ground import wait_until
from tests.pipeline.lake import Lake
from tests.pipeline.test_extract_keys import CREATE, WORLD, city
from tests.pipeline.test_wal_keys import no_scan

SOURCE = cast("Postgres", WORLD.sources[0])

CITIES = (
    "INSERT INTO kind VALUES ('big', 'Big')",
    "INSERT INTO city SELECT 'GB', n::text, 'x', 'big' FROM generate_series(1, 500) AS n",
)
CHANGE = "UPDATE city SET name = 'changed' WHERE code = '7'"
DELETE = "DELETE FROM city WHERE code = '8'"
PUBLICATION = SOURCE.publication
SLOT = SOURCE.slot("lake")
READ_BY_SOMEBODY = (
    f"SELECT count(*) FROM pg_logical_slot_get_binary_changes('{SLOT}', NULL, NULL,"
    f" 'proto_version', '1', 'publication_names', '{PUBLICATION}')"
)
REWRITE = (
    "ALTER TABLE city ALTER name TYPE text USING CASE code WHEN '7' THEN 'changed' ELSE name END"
)
AGAIN = f"CREATE PUBLICATION {PUBLICATION} FOR TABLE kind, city, person, visit"


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    """A source with some cities, and two batches: the log is known to be complete."""
    lake = new_lake(WORLD, *CREATE, *CITIES)
    lake.publish()
    lake.batch()
    lake.sql("UPDATE kind SET name = 'Large'")
    lake.batch()
    return lake


def restarted(lake: Lake) -> None:
    """Let the function start cold."""
    lake.memory.looked = None


BLIND = {
    "nothing": [CHANGE, DELETE],
    "slot dropped": [CHANGE, DELETE, f"SELECT pg_drop_replication_slot('{SLOT}')"],
    "slot made again": [
        f"SELECT pg_drop_replication_slot('{SLOT}')",
        CHANGE,
        DELETE,
        f"SELECT FROM pg_create_logical_replication_slot('{SLOT}', 'pgoutput')",
    ],
    "slot advanced by somebody": [
        CHANGE,
        DELETE,
        f"SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_flush_lsn())",
    ],
    "slot read by somebody": [
        CHANGE,
        DELETE,
        READ_BY_SOMEBODY,
    ],
    "publication missing": [f"DROP PUBLICATION {PUBLICATION}", CHANGE, DELETE],
    "publication made again": [f"DROP PUBLICATION {PUBLICATION}", CHANGE, DELETE, AGAIN],
    "table not published": [
        f"ALTER PUBLICATION {PUBLICATION} DROP TABLE city",
        CHANGE,
        DELETE,
        f"ALTER PUBLICATION {PUBLICATION} ADD TABLE city",
    ],
    "operations not published": [
        f"ALTER PUBLICATION {PUBLICATION} SET (publish = 'insert')",
        CHANGE,
        DELETE,
        f"ALTER PUBLICATION {PUBLICATION} SET (publish = 'insert, update, delete, truncate')",
    ],
    "rows not published": [
        f"ALTER PUBLICATION {PUBLICATION} SET TABLE kind, person, visit, city WHERE (code = '1')",
        CHANGE,
        DELETE,
        f"ALTER PUBLICATION {PUBLICATION} SET TABLE kind, person, visit, city",
    ],
    "key not published": [
        "ALTER TABLE city REPLICA IDENTITY NOTHING",
        f"ALTER PUBLICATION {PUBLICATION} SET (publish = 'insert')",
        CHANGE,
        DELETE,
        "ALTER TABLE city REPLICA IDENTITY DEFAULT",
        f"ALTER PUBLICATION {PUBLICATION} SET (publish = 'insert, update, delete, truncate')",
    ],
    "whole rows published": ["ALTER TABLE city REPLICA IDENTITY FULL", CHANGE, DELETE],
    "table rewritten": [
        REWRITE,
        DELETE,
    ],
    "table truncated": [
        "CREATE TABLE kept AS SELECT * FROM city",
        "TRUNCATE city",
        "INSERT INTO city SELECT * FROM kept WHERE code <> '8'",
        CHANGE,
    ],
    "table replaced": [
        "ALTER TABLE city RENAME TO old",
        "CREATE TABLE city (LIKE old INCLUDING ALL)",
        "INSERT INTO city SELECT * FROM old",
        CHANGE,
        DELETE,
    ],
}


@pytest.mark.parametrize("name", BLIND)
@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
def test_nothing_is_lost_that_the_log_does_not_show(lake: Lake, name: str, is_cold: bool) -> None:
    """A change and a deletion are in the next batch, and those after it in the ones that follow."""
    lake.sql(*BLIND[name])
    if is_cold:
        restarted(lake)
    first = lake.batch()
    lake.sql(
        "UPDATE city SET name = 'again' WHERE code = '9'", "DELETE FROM city WHERE code = '10'"
    )
    second = lake.batch()

    assert "changed" in {row["name"] for row in lake.rows(first, city)}
    assert [row["code"] for row in lake.rows(first, city, "tombstones")] == ["8"]
    assert [row["name"] for row in lake.rows(second, city)] == ["again"]
    assert [row["code"] for row in lake.rows(second, city, "tombstones")] == ["10"]
    assert lake.extract().manifest is None


def test_a_commit_that_is_in_the_log_before_it_is_visible_is_not_passed_over(lake: Lake) -> None:
    """With synchronous replication it may wait for a standby while others commit after it."""
    with waiting_for_a_standby(lake, CHANGE):
        lake.sql("SET synchronous_commit = local; UPDATE city SET name = 'later' WHERE code = '9'")
        assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["later"]
        lake.sql("SET synchronous_commit = local; UPDATE city SET name = 'last' WHERE code = '9'")
        assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["last"]
        assert lake.extract().manifest is None

    with without_scans():
        assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["changed"]


def test_the_newest_commit_of_all_is_not_passed_over_while_it_waits(lake: Lake) -> None:
    """It is behind the end of every snapshot, and in the log that a batch covers."""
    lake.sql("UPDATE city SET name = 'before' WHERE code = '9'")
    with waiting_for_a_standby(lake, CHANGE):
        assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["before"]

    with without_scans():
        assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["changed"]


@contextmanager
def waiting_for_a_standby(lake: Lake, statement: str) -> Iterator[None]:
    """Run a statement whose commit is in the log, and visible only after the context."""
    configure(lake, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    session = connect(lake.url)
    [[pid]] = session.run("SELECT pg_backend_pid()")
    thread = Thread(target=session.run, args=(statement,))
    thread.start()
    wait_until(lambda: lake.sql(
        f"SELECT FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'"
    ), "the commit waits")  # fmt: skip
    try:
        yield
    finally:
        configure(lake, "ALTER SYSTEM RESET synchronous_standby_names")
        thread.join()
        session.close()


def configure(lake: Lake, statement: str) -> None:
    lake.sql(statement, "SELECT pg_reload_conf()")


def test_a_transaction_that_commits_late_is_found(lake: Lake) -> None:
    """However many batches were written, and however far others went, while it was open."""
    session = connect(lake.url)
    session.run("BEGIN")
    session.run(CHANGE)
    session.run("SAVEPOINT s")
    session.run(DELETE)
    for name in ("a", "b"):
        lake.sql(f"UPDATE city SET name = '{name}' WHERE code = '9'")
        lake.batch()
    session.run("COMMIT")
    session.close()
    with without_scans():
        batch = lake.batch()

    assert [row["name"] for row in lake.rows(batch, city)] == ["changed"]
    assert [row["code"] for row in lake.rows(batch, city, "tombstones")] == ["8"]


def test_what_was_written_before_a_table_was_published_is_found(lake: Lake) -> None:
    """Publishing waits for no transaction, and the log never shows what they wrote before."""
    lake.sql(f"ALTER PUBLICATION {PUBLICATION} DROP TABLE city")
    session = connect(lake.url)
    session.run("BEGIN")
    session.run(CHANGE)
    lake.sql(f"ALTER PUBLICATION {PUBLICATION} ADD TABLE city")
    for name in ("a", "b"):
        lake.sql(f"UPDATE kind SET name = '{name}'")
        lake.batch()
    session.run("COMMIT")
    session.close()
    lake.sql("UPDATE kind SET name = 'c'")

    assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["changed"]
    lake.sql(DELETE)
    with without_scans():
        assert lake.batch().tables[city.id].deleted == 1


@contextmanager
def without_scans() -> Iterator[None]:
    """Let a scan of any table be an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveys, "_scan", no_scan)
        yield


def test_a_lock_on_another_published_table_is_waited_for_by_nobody(lake: Lake) -> None:
    """As of VACUUM FULL, for an hour: until it ends, tables are scanned."""
    lake.sql("CREATE TABLE others ()", f"ALTER PUBLICATION {PUBLICATION} ADD TABLE others", CHANGE)
    session = connect(lake.url)
    session.run("BEGIN")
    session.run("LOCK TABLE others IN ACCESS EXCLUSIVE MODE")

    assert [row["name"] for row in lake.rows(lake.batch(), city)] == ["changed"]
    session.close()
    lake.sql(DELETE)
    assert lake.batch().tables[city.id].deleted == 1


def test_a_run_that_is_killed_before_it_advances_the_slot_loses_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes of its batch are read again, and are none."""
    before = position(lake)
    lake.sql(CHANGE, DELETE)
    with monkeypatch.context() as killed:
        killed.setattr(slots, "advance", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            lake.extract()
    restarted(lake)

    assert position(lake) == before
    with without_scans():
        assert lake.extract().manifest is None
        lake.sql("UPDATE city SET name = 'again' WHERE code = '9'")
        lake.batch()
    assert position(lake) > before


def position(lake: Lake) -> int:
    """Return up to where the slot has been advanced, in bytes."""
    [[confirmed]] = lake.sql(
        "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots"
        f" WHERE slot_name = '{SLOT}'"
    )
    return int(confirmed)


def test_quiet_runs_let_the_server_forget_the_log_of_others(lake: Lake) -> None:
    """A slot must not fill the disk of the source because only other tables are written."""
    before = position(lake)
    lake.sql(
        "CREATE TABLE others AS SELECT repeat(n::text, 100) FROM generate_series(1, 20000) AS n"
    )
    with without_scans():
        assert lake.extract().manifest is None
        assert position(lake) > before + (4 << 20)
        lake.sql(CHANGE)
        assert len(lake.rows(lake.batch(), city)) == 1


def test_a_function_that_starts_cold_after_a_quiet_one_scans_once(lake: Lake) -> None:
    """Only the other one knew that nothing was in the log below the slot."""
    lake.sql(
        "CREATE TABLE others AS SELECT repeat(n::text, 100) FROM generate_series(1, 20000) AS n"
    )
    lake.extract()
    lake.sql(CHANGE)
    restarted(lake)

    assert len(lake.rows(lake.batch(), city)) == 1
    with without_scans():
        assert lake.extract().manifest is None


BOUNDS = [(changelog, "LOG_AT_MOST", 1000), (pgoutput, "KEYS_AT_MOST", 10)]


@pytest.mark.parametrize(("module", "bound", "value"), BOUNDS, ids=["bytes", "keys"])
def test_a_large_transaction_is_scanned_for_and_the_slot_goes_on(
    lake: Lake, module: ModuleType, bound: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading what it wrote from the log would take longer than a scan."""
    monkeypatch.setattr(module, bound, value)
    before = position(lake)
    lake.sql("UPDATE city SET name = 'all'", DELETE)

    assert lake.batch().tables[city.id].changed == 499
    assert position(lake) > before
    assert lake.extract().manifest is None


def test_everything_is_scanned_again_at_the_interval(lake: Lake) -> None:
    """In case that something was not thought of."""
    looked = lake.memory.looked
    assert looked is not None
    assert looked.index is not None
    long_ago = looked.index.scanned_at - lake.source.scan_every
    index = msgspec.structs.replace(looked.index, scanned_at=long_ago)
    lake.memory.looked = replace(looked, index=index)

    with without_scans(), pytest.raises(AssertionError, match="is scanned"):
        lake.extract()
    lake.extract()
    with without_scans():
        assert lake.extract().manifest is None
