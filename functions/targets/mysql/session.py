"""The MySQL side of `functions.targets.session`."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from functions.common.errors import RefusedRowsError
from functions.common.loaded import Evidence
from functions.common.mysql import MysqlConnection, ServerError, literal, quoted
from functions.targets.mysql import careful
from functions.targets.mysql.deletions import MysqlDeletions
from functions.targets.mysql.lock import LoaderLock
from functions.targets.mysql.tables import MysqlLayout, MysqlTable, with_rows
from functions.targets.mysql.transaction import MysqlTransaction

# What decides which rows tables accept, by the catalogue's table. Of triggers an account sees those
# of tables for which it has the right TRIGGER.
_DEFINITIONS = {
    "COLUMNS": """TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT,
        COLLATION_NAME, EXTRA""",
    "STATISTICS": """TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART,
        NON_UNIQUE""",
    "KEY_COLUMN_USAGE": """TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME,
        REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME""",
    "TABLE_CONSTRAINTS": "*",
    "CHECK_CONSTRAINTS": "*",
    "TRIGGERS": """EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION,
        ACTION_TIMING, ACTION_ORDER, ACTION_STATEMENT""",
}
_BY_SCHEMA = {"CHECK_CONSTRAINTS": "CONSTRAINT_SCHEMA", "TRIGGERS": "EVENT_OBJECT_SCHEMA"}


class MysqlTables:
    """Tables of a warehouse, read in the connection's current transaction, if any."""

    # The server reports its uptime in whole seconds.
    start_precision = timedelta(seconds=2)

    def __init__(self, connection: MysqlConnection, layout: MysqlLayout) -> None:
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
        return Evidence.of(int(rows[0][0]), columns, rows[0][1:]) if rows else None

    def holds(self, table: str, evidence: Evidence) -> bool:
        """Return whether a history has the record of an evidence, unchanged."""
        found = self.layout.table(table)
        rows = self.connection.run(
            f"SELECT {_list(found, evidence.columns)} FROM {found.target}"
            f" WHERE {_record(found)} = {evidence.record}"
        )
        return any(map(evidence.is_of, rows))


class MysqlSession(MysqlTables):
    """A warehouse whose lock this connection holds."""

    def __init__(self, lock: LoaderLock, layout: MysqlLayout) -> None:
        super().__init__(lock.connection, layout)
        self._lock = lock

    @contextmanager
    def transaction(self, *, careful: bool = False) -> Iterator[MysqlTransaction]:
        """Begin a transaction, and commit it.

        When it becomes durable depends on the server's innodb_flush_log_at_trx_commit: what a crash
        loses is detected by evidence.
        """
        self.connection.run("START TRANSACTION")
        self._lock.require()
        deletions = MysqlDeletions(self.connection, self.layout.identity.schema)
        transaction = MysqlTransaction(self.connection, self.layout, deletions, careful)
        try:
            yield transaction
            transaction.drop()
            self._lock.require()
            self.connection.run("COMMIT")
        except ServerError as error:
            if careful or not error.condition.is_about_data:
                raise
            self.connection.run("ROLLBACK")
            transaction.drop()
            raise RefusedRowsError(str(error.condition)) from None
        self.layout = with_rows(self.connection, self.layout)

    def definitions(self) -> str:
        """Return a digest of what decides which rows the tables accept."""
        tables = list(self.layout.all.values())
        named = ", ".join(f"({literal(each.schema)}, {literal(each.actual)})" for each in tables)
        schemas = ", ".join({literal(each.schema): None for each in tables})
        found = []
        for name, columns in _DEFINITIONS.items():
            where = f"(TABLE_SCHEMA, TABLE_NAME) IN ({named})"
            if name in _BY_SCHEMA:
                where = f"{_BY_SCHEMA[name]} IN ({schemas})"
            rows = self.connection.run(
                f"SELECT {columns} FROM information_schema.{name} WHERE {where}"
            )
            found.append(sorted(map(repr, rows)))
        return hashlib.sha256(repr(found).encode()).hexdigest()

    def is_for_reference(self, reason: str) -> bool:
        """Return whether a row was refused because a row that it refers to is missing."""
        return careful.is_for_reference(reason)

    def require_lock(self) -> None:
        """Raise WarehouseSetupError unless the session still holds the lock."""
        self._lock.require()


def _record(table: MysqlTable) -> str:
    return quoted(str(table.record_id))


def _list(table: MysqlTable, columns: Sequence[str]) -> str:
    return ", ".join(quoted(table.column(name)) for name in columns)
