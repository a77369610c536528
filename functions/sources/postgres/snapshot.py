"""The snapshot of a batch: a read-only transaction, and its position in the source.

No row is read here.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pg8000.native
from pg8000.native import literal

from etl import Postgres
from functions.common.errors import DatabaseAccessError, DatabaseUnavailableError
from functions.common.manifests import Instance, Source
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import SESSION
from functions.sources.postgres.columns import read_names, sql_name
from functions.sources.postgres.history import XIDS, Probe, Snapshot

SESSION_PARAMETERS = {
    **SESSION,
    # A row-level security policy that hides rows is an error, not a smaller table.
    "row_security": "off",
    # A session that waits while it holds a lock may deadlock, and after `deadlock_timeout` (by
    # default 1 s) the server may end the other's transaction. So a wait ends long before that.
    "lock_timeout": "10ms",
    "jit": "off",
    # Rows come in the order of the table, mostly that of their keys, which makes load faster.
    "synchronize_seqscans": "off",
    # Otherwise settings of the role or database apply to statements outside the snapshot.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "off",
}

LOCK_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds
LOCKED = "55P03"  # lock_not_available
GONE = ("42P01", "42501")  # undefined_table, insufficient_privilege
UNSUPPORTED = "0A000"

# Ids that are looked up one by one, after their first wraparound: at most some 0.1 s.
RUNNING_AT_MOST = 100_000

_INSTANCE = """pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_bgwriter),
    pg_is_in_recovery()"""
_POSITION = """(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint"""
_NO_POSITION = "NULL::bigint"
_RECEIVED = """CASE WHEN pg_is_in_recovery() THEN
    (pg_last_wal_receive_lsn() - '0/0')::bigint END"""
# An id of a subtransaction is in no snapshot and, once released, in no lock: only its status says
# that its transaction has not ended.
_RUNNING = f"""CASE WHEN last > {XIDS} AND last - first <= {RUNNING_AT_MOST} THEN ARRAY(
    SELECT xid FROM generate_series(first, last - 1) AS xid
    WHERE txid_status(xid) = 'in progress') END"""
# The control file has the timeline of the last checkpoint; a replica may have left it since.
_TIMELINE = """greatest((SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()))"""
_SETTINGS = ", ".join(f"({literal(n)}, {literal(text)})" for n, text in SESSION_PARAMETERS.items())
_DROPPED = f"""ARRAY(SELECT name FROM (VALUES {_SETTINGS}) AS s (name, setting)
    WHERE current_setting(name) <> setting)"""

# The log goes on after the header of a page, 24 or 40 bytes; a replica that has replayed all of it
# stands before that header. https://www.postgresql.org/docs/current/wal-internals.html
PAGE_BYTES = 8192
HEADER_BYTES = 40


@contextmanager
def snapshot_of(
    connection: PostgresConnection,
    source: Postgres,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Snapshot]:
    """Hold one snapshot of a source, and locks on its tables, for as long as the context lasts.

    Raises DatabaseUnavailableError when a table stays locked, and DatabaseAccessError when a pooler
    does not keep the settings of the session.
    """
    try:
        probe = _begin(connection, source, sleep)
        yield _read(connection, probe)
    finally:
        # Nothing was written; on a broken connection the server does this by itself.
        if connection.has_transaction:
            connection.run("ROLLBACK")


def _begin(
    connection: PostgresConnection, source: Postgres, sleep: Callable[[float], None]
) -> Probe:
    """Begin the transaction with locks that block only ALTER TABLE, TRUNCATE and the like.

    A snapshot that is older than the commit of such a statement may see the table as empty, so the
    locks come before it. https://www.postgresql.org/docs/current/mvcc-caveats.html It waits for no
    lock: an attempt that does not get all of them releases those that it has.
    """
    for pause in (0.0, *LOCK_PAUSES):
        sleep(pause)
        tables = [sql_name(table) for table in read_names(connection, source.tables)]
        probe = _probe(connection)
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if not tables:
            return probe
        try:
            connection.run(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE NOWAIT")
            return probe
        except pg8000.native.DatabaseError as error:
            # A table is being altered, or was renamed, dropped or revoked meanwhile.
            if error.args[0].get("C") not in (LOCKED, *GONE):
                raise
            last = error
            connection.run("ROLLBACK")
    if last.args[0].get("C") != LOCKED:
        raise last
    raise DatabaseUnavailableError(
        f"{source.name}: {_locked_tables(connection, source)} locked by another session, as by "
        "ALTER TABLE: the next run tries again"
    ) from last


def _locked_tables(connection: PostgresConnection, source: Postgres) -> str:
    """Return which tables are locked exclusively, or about to be."""
    rows = connection.run(
        "SELECT DISTINCT c.relname::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE l.mode = 'AccessExclusiveLock' AND n.nspname = ANY(:schemas) AND l.database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
        schemas=list({table.schema for table in source.tables}),
    )
    names = [name for [name] in rows]
    return f"table {', '.join(names)} is" if names else "a table is repeatedly"


def _probe(connection: PostgresConnection) -> Probe:
    """Query the server's state before the snapshot, in a separate statement."""
    query = (
        f"SELECT {_INSTANCE}, {{}}, {{}}, last, {_RUNNING} FROM"
        " (SELECT txid_snapshot_xmin(now), txid_snapshot_xmax(now)"
        " FROM txid_current_snapshot() AS now) AS s (first, last)"
    )
    try:
        [[*instance, position, received, end, running]] = connection.run(
            query.format(_POSITION, _RECEIVED)
        )
    except pg8000.native.DatabaseError as error:
        if error.args[0].get("C") != UNSUPPORTED:  # by some servers that are only like PostgreSQL
            raise
        [[*instance, position, received, end, running]] = connection.run(
            query.format(_NO_POSITION, _NO_POSITION)
        )
    known = None if running is None else frozenset(running)
    return Probe(
        _instance(*instance), _end_of_record(position), end, known, _end_of_record(received)
    )


def _read(connection: PostgresConnection, probe: Probe) -> Snapshot:
    # The first statement takes the snapshot. txid_* also serve PostgreSQL 12.
    [[horizon, end, at, position, last_commit, dropped, *who]] = connection.run(
        "SELECT txid_snapshot_xmin(txid_current_snapshot()),"
        " txid_snapshot_xmax(txid_current_snapshot()), statement_timestamp(),"
        f" {_NO_POSITION if probe.position is None else _POSITION},"
        f" {'pg_last_xact_replay_timestamp()' if probe.position is not None else 'NULL'},"
        f" {_DROPPED}, (SELECT system_identifier::text FROM pg_control_system()), {_TIMELINE},"
        " current_database(), (SELECT oid FROM pg_database WHERE datname = current_database()),"
        f" {_INSTANCE}"
    )
    system_identifier, timeline, database, oid, *instance = who
    _require_one_session(dropped, probe.instance == _instance(*instance))
    source = Source(
        system_identifier,
        timeline,
        database,
        at.astimezone(UTC),
        database_oid=oid,
        end=end,
        position=_end_of_record(position),
        instances=[probe.instance],
    )
    return Snapshot(source, horizon, probe, last_commit)


def _instance(started_at: datetime, stats_reset: Any, in_recovery: bool) -> Instance:
    reset = None if stats_reset is None else stats_reset.astimezone(UTC)
    return Instance(started_at.astimezone(UTC), reset, in_recovery)


def _end_of_record(position: int | None) -> int | None:
    """Return a position at the start of a page, if it is right after the page's header."""
    if position is None or position % PAGE_BYTES > HEADER_BYTES:
        return position
    return position - position % PAGE_BYTES


def _require_one_session(dropped: list[str], is_same_server: bool) -> None:
    """Raise an error when a pooler loses the session's settings or changes servers in between.

    Some poolers drop settings that they do not know, and then values have another text.
    """
    if dropped:
        raise DatabaseAccessError(
            f"source: the session has lost its settings {', '.join(sorted(dropped))}, as behind a "
            "connection pooler: give the address of the server itself"
        )
    if not is_same_server:
        raise DatabaseUnavailableError(
            "source: another server answers than a moment ago: the next run tries again"
        )
