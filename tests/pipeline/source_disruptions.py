"""Disruptions of a source: histories that end, ids that come again, tables out of reach."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pg8000.native

from local.databases import READER
from tests.pipeline import ground
from tests.pipeline.scene import Condition, Disruption, Scene, copy_database, replace_database

IDS = 5_000  # more than a shop takes between a snapshot and the restore of it
ROWS = 3
ADVANCE = "pg_replication_slot_advance(slot_name, pg_current_wal_flush_lsn())"
DROP = "pg_drop_replication_slot(slot_name)"
SLOT_IN_USE = "55006"

MEANWHILE = {
    "staff": ("department", "department_name"),
    "department": ("staff", "first_name"),
    "counterparty": ("address", "city"),
    "address": ("counterparty", "counterparty_legal_name"),
    "sales_order": ("design", "design_name"),
    "design": ("staff", "last_name"),
}
"""A table that is closed to the reader, and the table and column that change in the meantime."""


def restore_source(scene: Scene) -> Iterator[Condition]:
    """Restore a volume snapshot; at times the ids of the lost history are used up again at once."""
    server = scene.place.servers.source
    with ExitStack() as undo:
        with scene.shop.gate.closed():
            snapshot = undo.enter_context(ground.volume_snapshot(server))
        yield scene.after(extract=2)
        with scene.another_history():
            ground.restore(server, snapshot)
            if scene.random.random() < 0.5:
                _use_ids(scene)


def _use_ids(scene: Scene) -> None:
    ground.run_sql(
        scene.place.source.superuser_url,
        "SET synchronous_commit = off",
        f"DO $$ BEGIN FOR i IN 1..{IDS} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;"
        " END $$",
    )


def fork_source(scene: Scene) -> Iterator[Condition]:
    """Drop the database, and make it again from an earlier copy under its name."""
    server, database = scene.place.servers.source, scene.place.source.database
    copy = f"{database} copy"
    with scene.shop.gate.closed():
        copy_database(server, database, copy)
    yield scene.after(extract=2)
    with scene.another_history():
        replace_database(server, database, copy)


def crash_source(scene: Scene) -> Iterator[Condition]:
    """Lose the last commits, which extracts may have shown, and use their ids again."""
    ground.let_commits_be_lost(scene.place.servers.source)
    yield scene.after(extract=2)
    with scene.another_history():
        ground.crash(scene.place.servers.source)


def lose_slots(scene: Scene) -> Iterator[Condition]:
    """Let somebody read what is in the slot, then drop it; where there is none, do nothing."""
    for change in (ADVANCE, DROP):
        _change_slots(scene, change)
        yield scene.after(extract=2)


def _change_slots(scene: Scene, change: str) -> None:
    url = scene.place.source.superuser_url
    free = "FROM pg_replication_slots WHERE NOT active AND database = current_database()"
    ground.wait_until(partial(_is_changed, url, f"SELECT {change} {free}"), "the slot is free")


def _is_changed(url: str, statement: str) -> bool:
    """Run a statement about slots; return False if extract uses one just then."""
    try:
        ground.run_sql(url, statement)
    except pg8000.native.DatabaseError as error:
        if error.args[0]["C"] != SLOT_IN_USE:
            raise
        return False
    return True


def wrap_source(scene: Scene) -> Iterator[Condition]:
    """Let transaction ids begin again in the next epoch, where frozen rows have the same ids."""
    server = scene.place.servers.source
    # Rows that somebody's snapshot keeps from being frozen would be lost for good.
    with scene.shop.gate.closed(), scene.storm.gate.closed():
        _change_slots(scene, DROP)  # which keeps the catalogue's rows from being frozen
        [[reached]] = ground.run_sql(server.superuser_url(), "SELECT pg_current_xact_id()::text")
        epoch = int(str(reached)) // ground.EPOCH
        ground.wrap(server, (epoch + 1) * ground.EPOCH + scene.random.randint(750, 2_000))
    yield scene.after(extract=1)


def close_table(scene: Scene) -> Iterator[Condition]:
    """Revoke the right to read a table, change another one, and grant the right again."""
    url = scene.place.source.superuser_url
    table = scene.random.choice([*MEANWHILE])
    ground.run_sql(url, f"REVOKE SELECT ON {table} FROM {READER}")
    yield scene.after(extract=1)
    partner, column = MEANWHILE[table]
    ground.run_sql(
        url,
        f"UPDATE {partner} SET {column} = 'changed while {table} was closed' WHERE {partner}_id IN"
        f" (SELECT {partner}_id FROM {partner} ORDER BY random() LIMIT {ROWS}"
        " FOR UPDATE SKIP LOCKED)",
    )
    yield scene.after(extract=1)
    ground.run_sql(url, f"GRANT SELECT ON {table} TO {READER}")


def lag_replica(scene: Scene) -> Iterator[Condition]:
    """Let a standby serve some of the extracts, and fall behind now and then."""
    place, server = scene.place, scene.place.servers.source
    with ground.standby_of(server) as standby:
        url = standby.url(READER, server.password(READER), place.source.database)
        scene.storm.replica = {"SOURCE_SECRET_ID": place.keep_secret("replica", url, standby.port)}
        for _ in range(2):
            ground.pause_replay(standby)
            yield scene.after(extract=2)
            ground.resume_replay(standby)
            yield scene.after(extract=1)
        scene.storm.replica = None


SOURCE_DISRUPTIONS: dict[str, Disruption] = {
    "source restored": restore_source,
    "source forked": fork_source,
    "source crashed": crash_source,
    "source wrapped": wrap_source,
    "slots lost": lose_slots,
    "table closed": close_table,
    "replica lagging": lag_replica,
}
