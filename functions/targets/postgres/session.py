"""The PostgreSQL side of `functions.targets.session`."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from pg8000.native import DatabaseError, identifier

from functions.common.errors import RefusedRowsError
from functions.common.loaded import Evidence
from functions.common.pgconnection import PostgresConnection
from functions.common.sqlstate import condition, is_data_error
from functions.targets.postgres.careful import begin
from functions.targets.postgres.deletions import PostgresDeletions
from functions.targets.postgres.lock import LoaderLock
from functions.targets.postgres.tables import PostgresLayout, PostgresTable
from functions.targets.postgres.transaction import PostgresTransaction

_REFERENCE = "[23503]"

# What decides which rows tables accept: types, constraints, unique indexes and triggers.
_DEFINITIONS = """
    SELECT attrelid, attname::text, format_type(atttypid, atttypmod), attnotnull::text
    FROM pg_attribute WHERE attrelid = ANY(:oids) AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT conrelid, conname::text, pg_get_constraintdef(oid), convalidated::text
    FROM pg_constraint WHERE conrelid = ANY(:oids) OR contypid IN
        (SELECT atttypid FROM pg_attribute WHERE attrelid = ANY(:oids))
    UNION ALL SELECT indrelid, pg_get_indexdef(indexrelid), '', ''
    FROM pg_index WHERE indrelid = ANY(:oids) AND indisunique
    UNION ALL SELECT tgrelid, pg_get_triggerdef(t.oid), prosrc, tgenabled::text
    FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
    WHERE tgrelid = ANY(:oids) AND NOT tgisinternal
    ORDER BY 1, 2, 3, 4"""


class PostgresTables:
    """Tables of a warehouse, read in the connection's current transaction, if any."""

    start_precision = timedelta(0)

    def __init__(self, connection: PostgresConnection, layout: PostgresLayout) -> None:
        self.connection = connection
        self.layout = layout

    def has_rows(self, table: str) -> bool:
        """Return whether a table has any."""
        target = self.layout.table(table).target
        return bool(self.connection.run(f"SELECT 1 FROM {target} LIMIT 1"))

    def greatest_record(self, table: str) -> int | None:
        """Return the greatest record id of a history, None when it is empty."""
        found = self.layout.table(table)
        [[greatest]] = self.connection.run(f"SELECT max({_record(found)}) FROM {found.target}")
        return None if greatest is None else int(greatest)

    def newest_record(self, table: str, columns: Sequence[str]) -> Evidence | None:
        """Return the evidence of a history as it is now, None when it is empty."""
        found = self.layout.table(table)
        rows = self.connection.run(
            f"SELECT {_record(found)}, {_list(found, columns)} FROM {found.target}"
            f" ORDER BY {_record(found)} DESC LIMIT 1"
        )
        return Evidence.of(rows[0][0], columns, rows[0][1:]) if rows else None

    def holds(self, table: str, evidence: Evidence) -> bool:
        """Return whether a history has the record of an evidence, unchanged."""
        found = self.layout.table(table)
        rows = self.connection.run(
            f"SELECT {_list(found, evidence.columns)} FROM {found.target}"
            f" WHERE {_record(found)} = :record",
            record=evidence.record,
        )
        return any(map(evidence.is_of, rows))


class PostgresSession(PostgresTables):
    """A warehouse whose lock this connection holds; models find their tables in `schemas`."""

    def __init__(self, lock: LoaderLock, layout: PostgresLayout, schemas: Sequence[str]) -> None:
        super().__init__(lock.connection, layout)
        self._lock = lock
        self._schemas = schemas
        self._deletions = PostgresDeletions(self.connection, layout.identity.schema)

    @contextmanager
    def transaction(self, *, careful: bool = False) -> Iterator[PostgresTransaction]:
        """Begin a transaction, and commit it durably."""
        self.connection.run("BEGIN")
        self._lock.require()
        _commit_to_disk(self.connection)
        try:
            if careful:
                begin(self.connection)
            yield PostgresTransaction(
                self.connection, self.layout, self._schemas, self._deletions, careful
            )
            self.connection.run("COMMIT")
        except DatabaseError as error:
            code = error.args[0].get("C", "")
            if careful or not is_data_error(code):
                raise
            self.connection.run("ROLLBACK")
            raise RefusedRowsError(condition(code)) from None

    def definitions(self) -> str:
        """Return a digest of what decides which rows the tables accept."""
        oids = [table.oid for table in self.layout.identity.tables.values()]
        rows = self.connection.run(_DEFINITIONS, oids=oids)
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    def is_for_reference(self, reason: str) -> bool:
        """Return whether a row was refused because a row that it refers to is missing."""
        return _REFERENCE in reason

    def require_lock(self) -> None:
        """Raise WarehouseSetupError unless the session still holds the lock."""
        self._lock.require()


def _record(table: PostgresTable) -> str:
    return str(identifier(str(table.record_id)))


def _list(table: PostgresTable, columns: Sequence[str]) -> str:
    """Return columns as SQL: amounts as numbers, whose text may change, all others as text."""
    found = [table.column(name) for name in columns]
    return ", ".join(
        identifier(column) + ("" if table.types[column].startswith("numeric") else "::text")
        for column in found
    )


def _commit_to_disk(connection: PostgresConnection) -> None:
    """Make the commit durable, because a marker will claim so; only `off` is weaker."""
    connection.run(
        "SELECT set_config('synchronous_commit', 'on', true)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
