"""Runs by schedule scan what the server's statistics show as touched, and lose nothing by it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from pg8000.native import identifier

from functions.extract import handler as extract_handler
from functions.sources.postgres import reader
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.invocation import SCHEDULED
from tests.pipeline.oracle import current, expected
from tests.pipeline.recorded import record
from tests.pipeline.test_harness import let_trade
from tests.pipeline.verdict import Lake, Verdict, compare
from tests.pipeline.workload import Workload, repair_all
from tests.postgres_fixtures import Source

RUNS = 6
DESIGN = (
    "INSERT INTO design (design_id, last_updated, design_name, file_location, file_name)"
    " VALUES (9000, now(), 'oak', '/oak', 'oak.json')"
)


def by_schedule() -> dict[str, Any]:
    """Invoke extract as its schedule does."""
    result: dict[str, Any] = extract_handler.handler(SCHEDULED, Context("extract"))
    return result


def write(source: Source, *statements: str, counted: bool = True) -> None:
    """Change the source in one transaction; the server counts its rows, unless it must not."""
    with connect(source.superuser_url) as connection:
        if not counted:
            connection.run("SET track_counts = off")
        connection.run("; ".join(["BEGIN", *statements, "COMMIT"]))


def scans(source: Source) -> dict[str, int]:
    """Return how often each table was scanned from end to end; sessions report when they end."""
    with connect(source.superuser_url) as connection:
        return dict(connection.run("SELECT relname::text, seq_scan FROM pg_stat_user_tables"))


@contextmanager
def scanned(source: Source) -> Iterator[set[str]]:
    """Yield a set that has afterwards the tables that were scanned in between."""
    before, tables = scans(source), set[str]()
    yield tables
    after = scans(source)
    tables.update(name for name, number in after.items() if number > before[name])


@pytest.fixture
def shop(functions: Functions) -> Functions:
    """The functions after a first batch, and a run by schedule that found nothing new."""
    functions.run()
    by_schedule()
    return functions


def test_a_quiet_run_scans_no_table(shop: Functions) -> None:
    """With nothing written since the last run, the catalogue is all that a run reads."""
    with scanned(shop.source) as tables:
        result = by_schedule()

    assert result["batch"] is None
    assert tables == set()


def test_a_run_that_was_asked_for_scans_everything(shop: Functions) -> None:
    """Whoever invokes extract by hand has what was committed before."""
    with scanned(shop.source) as tables:
        shop.extract()

    assert len(tables) == 11


def test_a_function_that_starts_cold_scans_everything(shop: Functions) -> None:
    """It does not know what the tables were like."""
    reader._memory.cache_clear()

    with scanned(shop.source) as tables:
        by_schedule()

    assert len(tables) == 11


def test_a_change_is_found_by_scanning_its_table_and_what_its_rows_refer_to(
    shop: Functions,
) -> None:
    """A transaction has both, so that no row comes before its parent."""
    write(shop.source, "UPDATE department SET manager = 'x' WHERE department_id = 1")

    with scanned(shop.source) as tables:
        result = by_schedule()

    assert result["rows"]["department"] == 1
    assert "department" in tables
    assert "payment" not in tables
    assert_equal(shop)


def test_new_changed_and_deleted_rows_come_with_runs_by_schedule(shop: Functions) -> None:
    """The keys are known without a scan of them, and a deleted one is missed at once."""
    write(shop.source, DESIGN)
    assert by_schedule()["rows"] == {"design": 1}
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 9000")
    assert by_schedule()["rows"] == {"design": 1}
    write(shop.source, "DELETE FROM design WHERE design_id = 9000")
    assert by_schedule()["deleted"] == {"design": 1}
    assert by_schedule()["batch"] is None


def test_truncated_rows_are_missed_at_once(shop: Functions) -> None:
    """TRUNCATE counts no deleted row, but gives the table another file."""
    with connect(shop.source.superuser_url) as connection:
        [[rows]] = connection.run("SELECT count(*) FROM payment")
    write(shop.source, "TRUNCATE payment")

    assert by_schedule()["deleted"] == {"payment": rows}


def test_a_parent_comes_with_its_row_though_its_counts_do_not_show_it(shop: Functions) -> None:
    """The tables to which changed rows refer are looked at, whatever their counts."""
    write(shop.source, DESIGN, counted=False)
    write(shop.source, "UPDATE sales_order SET design_id = 9000 WHERE sales_order_id = 1")

    result = by_schedule()

    assert result["rows"]["design"] == result["rows"]["sales_order"] == 1
    assert_equal(shop)


def test_a_change_without_counts_comes_with_the_next_scan_that_is_due(shop: Functions) -> None:
    """No count shows it, and the position has stayed, so that the scan finds it."""
    write(shop.source, "UPDATE design SET design_name = 'elm' WHERE design_id = 1", counted=False)
    write(shop.source, "UPDATE currency SET last_updated = now() WHERE currency_id = 1")
    assert by_schedule()["rows"] == {"currency": 1}

    later(shop, timedelta(minutes=14))
    assert by_schedule()["rows"] == {}
    later(shop, timedelta(minutes=16))
    assert by_schedule()["rows"] == {"design": 1}
    assert_equal(shop)


def test_runs_by_schedule_lose_nothing_while_a_shop_trades(
    shop: Functions, seed: int, say: Callable[[str], None]
) -> None:
    """Half of the shop's writers are not counted; the last scan that is due makes all equal."""
    record(shop.source)
    lake = Lake(shop.s3, shop.ingestion, shop.processed)
    counted = Workload(shop.source.superuser_url, seed, writers=2, think=0.05, longest=1.0)
    hidden = Workload(uncounted_url(shop.source), seed + 1, writers=2, think=0.05, longest=1.0)
    with counted.running(), hidden.running():
        for _ in range(RUNS):
            let_trade(counted, 5)
            by_schedule()
            lake.look()
            shop.transform()
            shop.load()
    repair_all(shop.source.superuser_url)
    later(shop, timedelta(minutes=16))
    by_schedule()
    verdict = verdict_of(shop)

    say(f"{lake.judge(verdict)} batches, {verdict.compared} rows and records")
    assert not verdict.wrong, f"HARNESS_SEED={seed}\n{verdict}"
    assert shop.extract()["batch"] is None


def uncounted_url(source: Source) -> str:
    """Return the URL of a role whose sessions may write everything, and report nothing."""
    role = f"uncounted {source.database}"
    with connect(source.superuser_url) as connection:
        connection.run(f"CREATE ROLE {identifier(role)} SUPERUSER LOGIN PASSWORD 'password'")
        connection.run(f"ALTER ROLE {identifier(role)} SET track_counts = off")
    parts = urlsplit(source.superuser_url)
    return parts._replace(netloc=f"{quote(role)}:password@{parts.hostname}:{parts.port}").geturl()


def verdict_of(shop: Functions) -> Verdict:
    """Load what was extracted, and compare."""
    shop.transform()
    shop.load()
    return compare(shop.source, shop.warehouse)


def later(shop: Functions, since: timedelta) -> None:
    """Let the last scans have been some time ago."""
    memory = reader._memory(shop.ingestion, "batches/source/")
    assert memory.looked is not None
    newest = max(memory.looked.scanned_at.values())
    scanned_at = dict.fromkeys(memory.looked.scanned_at, newest - since)
    memory.looked = replace(memory.looked, scanned_at=scanned_at)


def assert_equal(shop: Functions) -> None:
    """The warehouse has what the source has, once it is loaded."""
    shop.transform()
    shop.load()
    assert current(shop.warehouse) == expected(shop.source)
