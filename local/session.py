"""Sessions on the pipeline's two databases, with the TLS and the words that the functions have.

Here that counts for databases that may be the user's own; the server that comes with the sandbox
is prepared through `local.connection`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pg8000.native

from deployer.configuration.databases import DatabaseAddress
from deployer.errors import DeployError
from functions.common import mysql, postgres
from functions.common.database import Database
from functions.common.errors import PipelineError


class DatabaseProblem(DeployError):
    """A database turned us away or is not what it should be: fix it, or correct its URL."""


@contextmanager
def session(address: DatabaseAddress) -> Iterator[pg8000.native.Connection]:
    """Open a connection to PostgreSQL as the functions do.

    Raises DatabaseProblem for what goes wrong with it, or in the functions' code that uses it.
    """
    with _problems(), postgres.connection(_database(address)) as opened:
        yield opened


@contextmanager
def mysql_session(address: DatabaseAddress) -> Iterator[mysql.MysqlConnection]:
    """Open a connection to MySQL, likewise."""
    with _problems(), mysql.connection(_database(address)) as opened:
        yield opened


def _database(address: DatabaseAddress) -> Database:
    return msgspec.convert(address.secret(), Database)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        raise DatabaseProblem(str(error)) from error
