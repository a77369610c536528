"""The one moment that a batch shows: a read-only transaction, and where it stands in the source.

Nothing here reads a row. https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC

import pg8000.native
from pg8000.native import identifier

from functions.common.copy import SESSION
from functions.common.manifests import Source
from functions.common.totesys import TABLES
from functions.extract.columns import SCHEMA, read_columns

SESSION_PARAMETERS = {
    **SESSION,
    # A policy that hides rows from us is an error, not a smaller table.
    "row_security": "off",
    # ALTER TABLE in the source may hold a table for long: give up, the next run tries again.
    "lock_timeout": "60s",
    "jit": "off",
    # Rows come in the order of the table, and so mostly in that of their keys: load likes that.
    "synchronize_seqscans": "off",
}

XIDS = 1 << 32  # xmin holds the lower 32 bits of a transaction id,
WINDOW = 1 << 31  # and age() tells older from newer within half of that.

LOCK_ATTEMPTS = 3
GONE = ("42P01", "42501")  # undefined_table, insufficient_privilege


@dataclass(frozen=True)
class Snapshot:
    """A moment of the source. `horizon`: every transaction below it had ended; `end`: the first
    that had not begun (64-bit transaction ids)."""

    source: Source
    horizon: int
    end: int

    def follows(self, source: Source, horizon: int) -> bool:
        """Tell whether changes since `horizon` of `source` can be told from this snapshot.

        They cannot when it is another server or database, when a restore took the server back or
        on to another timeline, or when half the range of xmin has gone by.
        """
        mine = self.source
        return (
            (mine.system_identifier, mine.timeline, mine.database)
            == (source.system_identifier, source.timeline, source.database)
            and horizon <= self.horizon
            and self.end - horizon < WINDOW
        )

    def widen(self, xid: int) -> int:
        """Return the 64-bit id of a transaction that this snapshot sees, given its lower 32."""
        return self.end - (self.end - xid) % XIDS


@contextmanager
def snapshot_of(connection: pg8000.native.Connection) -> Iterator[Snapshot]:
    """Hold one snapshot of the source for as long as the context lasts."""
    try:
        _begin(connection)
        yield _read(connection)
    finally:
        # Nothing was written; on a broken connection the server does this by itself.
        if connection._transaction_status != b"I":
            connection.run("ROLLBACK")


def _begin(connection: pg8000.native.Connection) -> None:
    """Begin the transaction with locks that keep ALTER TABLE and TRUNCATE out, and nothing else.

    A snapshot that is older than the commit of such a statement may see the table as empty, so the
    locks come before it. https://www.postgresql.org/docs/current/mvcc-caveats.html
    """
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        tables = [
            f"{identifier(SCHEMA)}.{identifier(name)}"
            for name, columns in read_columns(connection, TABLES).items()
            if columns.types and columns.refused is None
        ]
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if not tables:
            return
        try:
            connection.run(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
            return
        except pg8000.native.DatabaseError as error:
            # A table was renamed, dropped or closed to us while we waited for it.
            if attempt == LOCK_ATTEMPTS or error.args[0].get("C") not in GONE:
                raise
            connection.run("ROLLBACK")


def _read(connection: pg8000.native.Connection) -> Snapshot:
    # The first statement takes the snapshot. txid_* also serve PostgreSQL 12.
    [[horizon, end, at, database, system_identifier, timeline]] = connection.run(
        "SELECT txid_snapshot_xmin(txid_current_snapshot()),"
        " txid_snapshot_xmax(txid_current_snapshot()),"
        " statement_timestamp(), current_database(),"
        " (SELECT system_identifier::text FROM pg_control_system()),"
        " (SELECT timeline_id FROM pg_control_checkpoint())"
    )
    source = Source(system_identifier, timeline, database, at.astimezone(UTC))
    return Snapshot(source, horizon, end)
