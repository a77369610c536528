"""A source over years, or after an accident: nothing is skipped, nothing goes back.

The servers are real, and each batch goes into a bucket in memory.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from pg8000.native import identifier

from functions.common.errors import DatabaseAccessError, DatabaseUnavailableError
from functions.common.postgres import connection
from functions.sources.postgres.snapshot import LOCK_PAUSES, SESSION_PARAMETERS, snapshot_of
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline import ground
from tests.pipeline.departments import ADD, RENAME, Shop, database_of
from tests.totesys import TOTESYS

NUMBERS = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a server that the tests of this module stop, crash and restore."""
    with ground.own_server() as server:
        yield server


@pytest.fixture
def shop(server: PostgresServer) -> Shop:
    """A shop with two departments, extracted once."""
    shop = Shop(ground.shop_on(server, f"shop {next(NUMBERS)}", scale=0))
    shop.sql(ADD.format(1, "Sales"), ADD.format(2, "Tech"))
    assert shop.departments() == {1: "Sales", 2: "Tech"}
    assert shop.departments() is None
    return shop


def test_a_database_made_again_from_a_template_is_read_again(shop: Shop) -> None:
    """The copy has what was written to the template, whose rows are older than the last batch."""
    name, server_url = identifier(shop.source.database), shop.source.superuser_url.rpartition("/")
    template = f"template {shop.source.database}"
    postgres = f"{server_url[0]}/postgres"
    ground.run_sql(postgres, f'CREATE DATABASE "{template}" TEMPLATE {name}')
    ground.run_sql(f"{server_url[0]}/{template.replace(' ', '%20')}", RENAME.format(1, "Changed"))
    shop.sql(RENAME.format(2, "Lost"))
    assert shop.departments() == {2: "Lost"}
    ground.run_sql(
        postgres,
        f"DROP DATABASE {name} WITH (FORCE)",
        f'CREATE DATABASE {name} TEMPLATE "{template}"',
        f"GRANT CONNECT ON DATABASE {name} TO source_reader",
    )

    assert shop.departments() == {1: "Changed", 2: "Tech"}
    assert shop.departments() is None


def test_a_restored_volume_that_has_moved_on_is_read_again(
    server: PostgresServer, shop: Shop
) -> None:
    """The restored server has used the ids again, also beyond the last batch's position."""
    with ground.volume_snapshot(server) as snapshot:
        shop.sql(RENAME.format(2, "Lost"))
        assert shop.departments() == {1: "Sales", 2: "Lost"}
        ground.restore(server, snapshot)
    shop.sql(*[RENAME.format(1, f"Again {n}") for n in range(40)])

    assert shop.departments() == {1: "Again 39", 2: "Tech"}
    assert shop.departments() is None


def test_commits_lost_in_a_crash_are_read_again(server: PostgresServer, shop: Shop) -> None:
    """An id that a lost transaction had belongs to another one now, on a server never restarted."""
    ground.let_commits_be_lost(server)
    shop.departments()
    shop.sql("CHECKPOINT", "SET synchronous_commit = off", RENAME.format(2, "Lost"))
    assert shop.departments() == {2: "Lost"}
    ground.crash(server)
    assert shop.sql("SELECT department_name FROM department WHERE department_id = 2") == [["Tech"]]
    shop.sql(RENAME.format(1, "Kept"))

    assert shop.departments() == {1: "Kept", 2: "Tech"}
    assert shop.departments() is None


def test_a_restart_costs_one_whole_read(server: PostgresServer, shop: Shop) -> None:
    """Afterwards, a quiet source writes nothing and a change is one row, as before."""
    ground.restart(server)

    assert shop.departments() == {1: "Sales", 2: "Tech"}
    assert shop.departments() is None
    shop.sql(RENAME.format(1, "Changed"))
    assert shop.departments() == {1: "Changed"}


def test_an_emptied_bucket_is_filled_again(shop: Shop) -> None:
    """A function that is still warm begins a new log with all rows, and continues from there."""
    shop.bucket.empty()

    assert shop.departments() == {1: "Sales", 2: "Tech"}
    assert shop.log.newest() == 1
    assert shop.departments() is None


def test_truncated_and_filled_again_is_a_change_of_its_rows(shop: Shop) -> None:
    """A dump that is restored into an emptied table arrives, and what it lacks is deleted."""
    shop.sql("TRUNCATE department CASCADE", ADD.format(1, "Sales"), ADD.format(3, "New"))

    captured = shop.extract()

    assert captured.manifest is not None
    table = captured.manifest.tables["department"]
    assert (table.changed, table.deleted) == (2, 1)


def test_a_lagging_replica_takes_nothing_back(server: PostgresServer, shop: Shop) -> None:
    """Behind an address with several replicas, an older state is never shown after a newer one."""
    with ground.standby_of(server) as standby:
        reader = standby.url(
            "source_reader", standby.password("source_reader"), shop.source.database
        )
        assert shop.departments(reader) == {1: "Sales", 2: "Tech"}
        ground.pause_replay(standby)
        shop.sql(RENAME.format(1, "Changed"), ADD.format(3, "New"))
        assert shop.departments() == {1: "Changed", 3: "New"}

        behind = shop.extract(reader)
        assert behind.manifest is None
        assert behind.postponed == "the replica that answers has not caught up with batch 3 yet"

        ground.resume_replay(standby)
        ground.wait_for_replay(server, standby)
        assert shop.departments(reader) is None
        shop.sql(RENAME.format(2, "Later"))
        ground.wait_for_replay(server, standby)
        assert shop.departments(reader) == {2: "Later"}
        assert shop.departments() is None

        ground.promote(standby)
        ground.run_sql(standby.superuser_url(shop.source.database), RENAME.format(3, "Promoted"))
        assert shop.departments(reader) == {1: "Changed", 2: "Later", 3: "Promoted"}


def test_a_first_batch_is_not_read_from_a_replica_that_lags(
    server: PostgresServer, shop: Shop
) -> None:
    """The warehouse may have a later state already, from a bucket that was emptied since."""
    with ground.standby_of(server) as standby:
        reader = standby.url(
            "source_reader", standby.password("source_reader"), shop.source.database
        )
        ground.pause_replay(standby)
        shop.sql(RENAME.format(1, "Changed"))
        assert shop.departments() == {1: "Changed"}
        shop.bucket.empty()
        ground.wait_for_log(server, standby)

        behind = shop.extract(reader)
        assert behind.manifest is None
        expected = "the replica that answers has not replayed yet what it has received"
        assert behind.postponed == expected

        ground.resume_replay(standby)
        ground.wait_for_replay(server, standby)
        assert shop.departments(reader) == {1: "Changed", 2: "Tech"}


def test_extract_is_never_the_reason_for_a_deadlock(shop: Shop) -> None:
    """A session that alters two tables, the later one first, is not ended because of extract."""
    url = shop.source.superuser_url
    tried = "SELECT 1 FROM pg_locks WHERE NOT granted UNION ALL SELECT 1 FROM pg_stat_activity"
    tried += " WHERE usename = 'source_reader' AND query = 'ROLLBACK'"
    with connect(url) as migration, connect(url) as watcher, ThreadPoolExecutor(1) as threads:
        migration.run("SET deadlock_timeout = '100ms'")
        migration.run("BEGIN")
        migration.run("ALTER TABLE staff ADD COLUMN nickname text")
        running = threads.submit(shop.extract)
        ground.wait_until(lambda: watcher.run(tried), "extract asks for its locks")
        migration.run("ALTER TABLE department ADD COLUMN nickname text")
        migration.run("COMMIT")
        captured = running.result()

    assert captured.manifest is not None
    assert captured.manifest.tables["department"].columns[-1] == ("nickname", "text")


def test_a_table_that_stays_locked_is_named(shop: Shop) -> None:
    """The run ends with what is in its way, and the next one has everything."""
    pauses: list[float] = []
    with connect(shop.source.superuser_url) as migration:
        migration.run("BEGIN")
        migration.run("ALTER TABLE staff ADD COLUMN nickname text")
        with (
            connection(database_of(shop.source.reader_url), **SESSION_PARAMETERS) as opened,
            pytest.raises(DatabaseUnavailableError) as failure,
            snapshot_of(opened, TOTESYS.source, pauses.append),
        ):
            pass
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert migration.run(waiting) == [[0]]
        migration.run("COMMIT")

    assert pauses == [0.0, *LOCK_PAUSES]
    assert str(failure.value) == (
        "source: table staff is locked by another session, as by ALTER TABLE: the next run tries "
        "again"
    )


def test_of_two_extracts_one_reads(shop: Shop) -> None:
    """Runs that overlap on a slow source do not read it twice; the one that waits says so."""
    shop.sql(RENAME.format(1, "Changed"))
    with (
        connection(database_of(shop.source.reader_url), **SESSION_PARAMETERS) as first,
        snapshot_of(first, TOTESYS.source),
    ):
        first.run(
            "SELECT pg_advisory_xact_lock(hashtext('extract'), hashtext('lake/batches/source/'))"
        )
        second = shop.extract()
    assert (second.manifest, second.postponed) == (None, "another extract is at work")
    assert shop.departments() == {1: "Changed"}


def test_a_stranger_who_holds_the_lock_of_extracts_stops_none(shop: Shop) -> None:
    """Any role that may connect may take any advisory lock; only our own sessions count."""
    shop.sql(RENAME.format(1, "Changed"))
    with connect(shop.source.writer_url) as stranger:
        stranger.run(
            "SELECT pg_advisory_lock(hashtext('extract'), hashtext('lake/batches/source/'))"
        )
        assert shop.departments() == {1: "Changed"}


def test_settings_of_the_role_do_not_stop_extract(shop: Shop) -> None:
    """Time limits and transaction modes that suit its people do not apply to the pipeline."""
    settings = {
        "statement_timeout": "'1ms'",
        "idle_in_transaction_session_timeout": "'1ms'",
        "lock_timeout": "'1h'",
        "default_transaction_isolation": "'serializable'",
        "default_transaction_deferrable": "on",
        "search_path": "nowhere",
        "row_security": "on",
    }
    database = identifier(shop.source.database)
    shop.sql(
        *(
            f"ALTER ROLE source_reader IN DATABASE {database} SET {name} = {value}"
            for name, value in settings.items()
        ),
        RENAME.format(1, "Changed"),
    )

    assert shop.departments() == {1: "Changed"}


def test_a_pooler_that_drops_our_settings_is_refused(shop: Shop) -> None:
    """Dates and policies would be read wrong silently: the message says what to do."""
    with (
        connection(database_of(shop.source.reader_url)) as opened,
        pytest.raises(DatabaseAccessError, match="a connection pooler: give the address of the"),
        snapshot_of(opened, TOTESYS.source),
    ):
        pass
