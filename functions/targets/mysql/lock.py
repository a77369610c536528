"""One loader at a time: a lock of the server, held by the connection that writes.

It ends with the session, also when the connection breaks.
https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from etl import product
from functions.common.errors import WarehouseSetupError
from functions.common.mysql import MysqlConnection, literal

_NAME_CHARACTERS = 64


@dataclass(frozen=True)
class LoaderLock:
    """The lock of a session, which a proxy may change between statements."""

    connection: MysqlConnection
    name: str

    def require(self) -> None:
        """Raise WarehouseSetupError unless this very session holds the lock."""
        [[is_ours]] = self.connection.run(
            f"SELECT IS_USED_LOCK({literal(self.name)}) <=> CONNECTION_ID()"
        )
        if not is_ours:
            raise WarehouseSetupError(
                "the warehouse is behind a proxy that shares sessions between statements, so that "
                "the loader cannot keep its lock: connect to the server itself"
            )


@contextmanager
def only_loader(connection: MysqlConnection, schema: str) -> Iterator[LoaderLock | None]:
    """Hold the lock of a database during the context; yield None if another loader has it.

    Raises WarehouseSetupError where a proxy shares sessions between statements.
    """
    lock = LoaderLock(connection, lock_name(schema))
    [[is_taken]] = connection.run(f"SELECT GET_LOCK({literal(lock.name)}, 0)")
    if not is_taken:
        yield None
        return
    lock.require()
    yield lock
    lock.require()
    connection.run(f"DO RELEASE_LOCK({literal(lock.name)})")


def lock_name(schema: str) -> str:
    """Return the name of a database's lock, which fits the limit for any name."""
    digest = hashlib.sha256(schema.encode()).hexdigest()
    return f"{product.NAME}.{digest}"[:_NAME_CHARACTERS]
