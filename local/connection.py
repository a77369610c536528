"""Connections to databases: of the sandbox, and of the user.

The sandbox's own servers are set up with `connect`. `session` and `mysql_session` have the TLS and
the messages of the functions, which matters for databases that may be the user's.
"""

import csv
import io
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import unquote, urlsplit

import msgspec
import pg8000.native
from pg8000.native import identifier

from deployer.configuration.databases import DatabaseAddress
from deployer.errors import DeployError
from functions.common import mysql, postgres
from functions.common.database import Database
from functions.common.errors import PipelineError
from functions.common.pgconnection import PostgresConnection

_COPY_BYTES = 1 << 20


def connect(url: str) -> pg8000.native.Connection:
    """Open a connection to `postgresql://user:password@host:port/database`, percent-decoded.

    Raises OSError when nothing answers, pg8000's DatabaseError when the login is refused, and
    DatabaseAccessError when the server cannot prove that it knows the password, which it is not
    sent.
    """
    parts = urlsplit(url)
    link = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432))
    with ExitStack() as undo:
        undo.callback(link.close)
        # pg8000 leaves Nagle's algorithm on: each COPY ... FROM STDIN then waits 40 ms for an
        # acknowledgement that the server holds back, where 0.2 ms would do.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = PostgresConnection(
            f"the server at {parts.hostname}:{parts.port}",
            link,
            False,
            is_verified=False,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.removeprefix("/")),
        )
        undo.pop_all()
    return connection


@contextmanager
def transaction(connection: pg8000.native.Connection) -> Iterator[None]:
    """Commit what is done inside, or roll all of it back on an exception."""
    with ExitStack() as undo:
        connection.run("BEGIN")
        undo.callback(connection.run, "ROLLBACK")
        yield
        undo.pop_all()
    connection.run("COMMIT")


def copy_rows(
    connection: pg8000.native.Connection, table: str, rows: Iterable[Sequence[object]]
) -> None:
    """Insert rows that have all columns of a table, in their order; None is NULL."""
    connection.run(f"COPY {identifier(table)} FROM STDIN (FORMAT csv)", stream=_as_csv(rows))


def _as_csv(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the rows as CSV in pieces of about a megabyte; None is an empty field, so NULL."""
    piece = io.StringIO()
    writer = csv.writer(piece)
    for row in rows:
        writer.writerow(row)
        if piece.tell() > _COPY_BYTES:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


class DatabaseProblem(DeployError):
    """A database refuses the login or is not what it should be: fix it, or correct its URL."""


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
