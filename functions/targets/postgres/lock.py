"""One loader at a time, which no other role can block.

Any role can take any advisory lock, so a lock counts only if its holder may insert into all tables
that are loaded. Each loader takes one with its own number, and then looks for others: two that
start together see each other, and both stop.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pg8000.native import literal

from etl import product
from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection


@dataclass(frozen=True)
class LoaderLock:
    """The advisory lock of a session, which a pooler may change between transactions."""

    connection: PostgresConnection
    key: str
    number: int

    def require(self) -> None:
        """Raise WarehouseSetupError unless this very session holds the lock."""
        # Without parameters, which take two messages, between which a pooler may switch sessions.
        [[is_ours]] = self.connection.run(
            f"SELECT EXISTS (SELECT FROM pg_locks WHERE {self._condition()}"
            f" AND objid = {self.number} AND pid = pg_backend_pid())"
        )
        if not is_ours:
            raise _pooled()

    def is_taken(self, schema: str, tables: Mapping[str, Collection[str]]) -> bool:
        """Return whether another session that may insert into all tables has such a lock.

        `tables` are their names by schema; `schema` is the warehouse's own.
        """
        # While a managed warehouse has no table yet, roles that may create one count.
        rights = (
            "SELECT coalesce(bool_and(has_table_privilege(a.usesysid, c.oid, 'INSERT')),"
            " has_database_privilege(a.usesysid, current_database(), 'CREATE') OR EXISTS"
            " (SELECT FROM pg_namespace AS own WHERE own.nspname = :schema"
            " AND has_schema_privilege(a.usesysid, own.oid, 'CREATE')))"
            " FROM unnest(:schemas::text[], :names::text[]) AS t (schema, name)"
            " JOIN pg_namespace AS n ON n.nspname = t.schema"
            " JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name"
            " WHERE c.relkind IN ('r', 'p')"
        )
        homes = [(home, name) for home, names in tables.items() for name in names]
        [[is_taken]] = self.connection.run(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity AS a USING (pid)"
            f" WHERE {self._condition()} AND pid <> pg_backend_pid() AND ({rights}))",
            schema=schema,
            schemas=[home for home, _ in homes],
            names=[name for _, name in homes],
        )
        return bool(is_taken)

    def release(self) -> None:
        """Release the lock, which a pooled session would keep; raise as `require` does."""
        [[was_ours]] = self.connection.run(f"SELECT pg_advisory_unlock({self.key}, {self.number})")
        if not was_ours:
            raise _pooled()

    def _condition(self) -> str:
        return (
            "locktype = 'advisory' AND granted AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            f" AND classid = ({self.key}::bigint & 4294967295)::oid"
        )


@contextmanager
def only_loader(
    connection: PostgresConnection, schema: str, tables: Mapping[str, Collection[str]]
) -> Iterator[LoaderLock | None]:
    """Hold the lock during the context; yield None if another loader has it.

    `schema` is the warehouse's own, `tables` are the names of its tables by schema. The lock ends
    with the session, also when the connection breaks. Raises WarehouseSetupError where a pooler
    shares sessions between transactions, so that no lock can be held.
    """
    key = f"hashtext({literal(f'{product.NAME} {schema}')})"
    lock = LoaderLock(connection, key, _take(connection, key))
    lock.require()
    yield None if lock.is_taken(schema, tables) else lock
    lock.release()


def _take(connection: PostgresConnection, key: str) -> int:
    """Take a lock under a random free number, and return the number."""
    while True:
        number = secrets.randbits(31)
        [[is_ours]] = connection.run(f"SELECT pg_try_advisory_lock({key}, {number})")
        if is_ours:
            return number


def _pooled() -> WarehouseSetupError:
    return WarehouseSetupError(
        "the warehouse is behind a pooler in transaction mode, so that the loader cannot keep its "
        "lock: connect to the server itself, or to a pool of sessions"
    )
