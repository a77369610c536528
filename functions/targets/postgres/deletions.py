"""The table `deleted_rows` of a PostgreSQL warehouse."""

from collections.abc import Collection, Iterable
from datetime import datetime

import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in
from functions.common.pgconnection import PostgresConnection
from functions.targets.postgres.current import deletions_in
from functions.targets.postgres.tables import PostgresTable

FEW = 10_000  # keys that may be looked up one by one
STALE = 1_000  # rows that the planner may not know

KEYS = "deletion_keys"


class PostgresDeletions:
    """The deleted rows of one warehouse: see `functions.targets.session.DeletedRows`."""

    def __init__(self, connection: PostgresConnection, schema: str) -> None:
        self._connection = connection
        self._target = deletions_in(schema)
        self._unknown = STALE  # rows unknown to the planner; at first all

    def known(self, tables: Collection[str]) -> set[str]:
        """Return those of some tables that have a recorded deletion."""
        rows = self._connection.run(
            "SELECT t.name FROM unnest(:names::text[]) AS t (name)"
            f" WHERE EXISTS (SELECT FROM {self._target} AS d WHERE d.table_name = t.name)",
            names=list(tables),
        )
        return {name for [name] in rows}

    def add(self, table: str, keys: Iterable[pa.Array], at: datetime, batch: int) -> None:
        """Record that keys were deleted; a recorded deletion is not repeated."""
        self._run(
            stage_keys(self._connection, keys),
            f"INSERT INTO {self._target} (table_name, business_id, seen_gone_at, batch)"
            f" SELECT :name::text, k.key, :at::timestamptz, :batch::bigint"
            f" FROM {KEYS} AS k WHERE NOT EXISTS (SELECT FROM {self._target} AS d"
            " WHERE d.table_name = :name::text AND d.business_id = k.key"
            " AND d.seen_gone_at = :at::timestamptz)",
            name=table,
            at=at,
            batch=batch,
        )

    def mark_returned(self, table: str, keys: Iterable[pa.Array], at: datetime) -> None:
        """Mark the deletions of keys that have returned."""
        self._run(
            stage_keys(self._connection, keys),
            f"UPDATE {self._target} AS d SET seen_again_at = :at::timestamptz"
            f" FROM {KEYS} AS k"
            " WHERE d.table_name = :name::text AND d.business_id = k.key"
            " AND d.seen_gone_at < :at::timestamptz"
            " AND (d.seen_again_at IS NULL OR d.seen_again_at > :at::timestamptz)",
            name=table,
            at=at,
        )

    def _run(self, keys: int, statement: str, **values: str | int | datetime) -> None:
        """Run a statement that looks up `keys` keys in the table."""
        # Unlike others, this table has an index on its keys, and we own it.
        if self._unknown >= STALE:
            self._connection.run(f"ANALYZE {self._target}")
            self._unknown = 0
        avoided = ("nestloop",) if keys > FEW else ("hashjoin", "mergejoin")
        for method in avoided:
            self._connection.run(f"SET LOCAL enable_{method} = off")
        self._connection.run(statement, **values)
        self._unknown += self._connection.row_count
        for method in avoided:
            self._connection.run(f"SET LOCAL enable_{method} = on")


def stage_keys(connection: PostgresConnection, keys: Iterable[pa.Array]) -> int:
    """Put texts into the temporary table `KEYS`, as its column `key`; return how many.

    There is one for all tables, because a transaction can lock some thousand tables only.
    """
    connection.run(f"CREATE TEMPORARY TABLE IF NOT EXISTS {KEYS} (key text) ON COMMIT DROP")
    connection.run(f"TRUNCATE {KEYS}")
    rows = 0
    for each in keys:
        copy_in(connection, identifier(KEYS), ["key"], [pa.record_batch({"key": each})])
        rows += len(each)
    connection.run(f"ANALYZE {KEYS}")
    return rows


def having_keys(table: PostgresTable) -> str:
    """Return the query, for `delete_rows`, of the places of the rows with the staged keys."""
    return (
        f"SELECT d.ctid AS at, d.tableoid AS relation FROM {table.target} AS d"
        f" JOIN {KEYS} AS k ON {table.key_text('d')} = k.key"
    )
