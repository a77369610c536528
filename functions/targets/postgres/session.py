"""The PostgreSQL side of `functions.targets.session`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from pg8000.native import DatabaseError

from functions.common.errors import RefusedRowsError
from functions.common.loaded import Evidence
from functions.common.pgconnection import PostgresConnection
from functions.common.sqlstate import condition, is_data_error
from functions.targets.postgres import evidence as records
from functions.targets.postgres.careful import begin
from functions.targets.postgres.definitions import definitions_of
from functions.targets.postgres.deletions import PostgresDeletions
from functions.targets.postgres.lock import LoaderLock
from functions.targets.postgres.tables import PostgresLayout
from functions.targets.postgres.transaction import PostgresTransaction

_REFERENCE = "[23503]"


class PostgresTables:
    """Tables of a warehouse, in whatever transaction its connection is in."""

    start_precision = timedelta(0)

    def __init__(self, connection: PostgresConnection, layout: PostgresLayout) -> None:
        self.connection = connection
        self.layout = layout

    def has_rows(self, table: str) -> bool:
        """Tell whether a table has any."""
        target = self.layout.table(table).target
        return bool(self.connection.run(f"SELECT 1 FROM {target} LIMIT 1"))

    def greatest_record(self, table: str) -> int | None:
        """Return the greatest record id of a history, None when it is empty."""
        return records.greatest_record(self.connection, self.layout.table(table))

    def newest_record(self, table: str, columns: Sequence[str]) -> Evidence | None:
        """Return the evidence of a history as it is now, None when it is empty."""
        return records.newest_record(self.connection, self.layout.table(table), columns)

    def holds(self, table: str, evidence: Evidence) -> bool:
        """Tell whether a history has the record of an evidence, as it was then."""
        return records.holds(self.connection, self.layout.table(table), evidence)


class PostgresSession(PostgresTables):
    """A warehouse whose lock this connection holds; models find their tables in `schemas`."""

    def __init__(self, lock: LoaderLock, layout: PostgresLayout, schemas: Sequence[str]) -> None:
        super().__init__(lock.connection, layout)
        self._lock = lock
        self._schemas = schemas
        self._deletions = PostgresDeletions(self.connection, layout.identity.schema)

    @contextmanager
    def transaction(self, *, careful: bool = False) -> Iterator[PostgresTransaction]:
        """Begin a transaction, and commit it to the disk."""
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
        """Return a digest of all that decides which rows the tables accept."""
        return definitions_of(self.connection, self.layout)

    def is_for_reference(self, reason: str) -> bool:
        """Tell whether a row was refused because one that it refers to was not there."""
        return _REFERENCE in reason

    def require_lock(self) -> None:
        """Raise WarehouseSetupError unless the session holds the lock still."""
        self._lock.require()


def _commit_to_disk(connection: PostgresConnection) -> None:
    """Have the transaction on the disk when it is committed, since a marker will say that it is.

    Only `off` is weaker than that.
    """
    connection.run(
        "SELECT set_config('synchronous_commit', 'on', true)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
