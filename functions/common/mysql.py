"""Connections to MySQL and MariaDB, with TLS, limits, and a session that changes no value.

Every error of the driver becomes one of ours here, which names the database and the next step.
Values are removed from what the server says as it arrives: see `mysqlcodes`.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, NoReturn

import pymysql
from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS
from pymysql.cursors import SSCursor

from etl import product
from functions.common.database import (
    CONNECT_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Database,
    dialled,
    encryption_of,
    spare,
    tls_context,
    untrusted,
    without_tls,
)
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseStatementError,
    DatabaseUnavailableError,
    PipelineError,
)
from functions.common.logins import logged_in, password_of
from functions.common.mysqlcodes import Condition, described

SQL_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO"
)

# Set explicitly, because DEFAULT would be the server's own.
SESSION = {
    "sql_mode": f"'{SQL_MODE}'",
    "time_zone": "'+00:00'",
    "lc_time_names": "'en_US'",
    "completion_type": "'NO_CHAIN'",
    "sql_select_limit": "18446744073709551615",
    "sql_big_selects": "1",
    "sql_safe_updates": "0",
    "sql_auto_is_null": "0",
    "sql_notes": "1",  # the rounding of a number is a note
    "foreign_key_checks": "1",
    "unique_checks": "1",
    "lock_wait_timeout": "60",
    "innodb_lock_wait_timeout": "60",
    "net_read_timeout": "60",
    "net_write_timeout": "60",
}

ROWS_AT_A_TIME = 16_384  # of a streamed result

_RIGHTS = {1044, 1142, 1143, 1227, 1370}
_LOGIN = {1045, 1251, 1698, 1820, 1862, 2059, 2061, 3118, 3159, 4151}
_HOST = {1129, 1130}
_NO_DATABASE = {1046, 1049}
_OF_FILES = range(1, 1000)  # such as of a full disk
_FOR_NOW = {
    1021, 1026, 1028, 1030, 1037, 1038, 1040, 1041, 1053, 1114, 1135, 1158, 1159, 1160, 1161,
    1203, 1205, 1213, 1226, 1290, 1317, 1412, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014,
    2026, 2055, 3024, 4031,
}  # fmt: skip
_DATA_TRUNCATED = 1265
_NO_TLS = "doesn't support"


class ServerError(pymysql.err.DatabaseError):
    """The server's error for a statement, without values."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition.code, str(condition), sqlstate=condition.state)
        self.condition = condition

    @property
    def is_for_now(self) -> bool:
        """Whether it is about the server or the connection rather than the statement."""
        code, state = self.condition.code, self.condition.state
        return code in _OF_FILES or code in _FOR_NOW or state[:2] == "08"


class MysqlConnection(Connection):
    """A session with all its variables set.

    `packet` is the greatest length of a statement in bytes, `row_count` how many rows the last
    statement matched, changed or not.

    PyMySQL has no public access to its socket, its time limits, the result of a statement that runs
    without a cursor (several times as fast), and the packet in which an error arrives, whose text
    may quote values. This class, and nothing else, uses its private attributes.
    """

    server_version: str
    server_status: int
    _result: Any
    _sock: Any
    _read_timeout: float
    _write_timeout: float

    packet = 0
    row_count = 0

    @property
    def encryption(self) -> str:
        """The version of TLS, such as TLSv1.3, or that there is none."""
        return encryption_of(self._sock)

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB."""
        return "mariadb" in self.server_version.lower()

    def run(self, sql: str | bytes) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows, if it has any. Raises ServerError."""
        self.query(sql)
        self.row_count = int(self._result.affected_rows or 0)
        return list(self._result.rows or ())

    def stream(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query and yield its rows, ROWS_AT_A_TIME at a time; raise as `run` does.

        No other statement may run meanwhile.
        """
        with self.cursor(SSCursor) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(ROWS_AT_A_TIME):
                yield list(rows)

    def store(self, sql: bytes) -> None:
        """Run an INSERT of literals; raise ServerError also if a value is not stored exactly.

        Even in strict mode the server only notes that it rounds a number or cuts off blanks.
        """
        if not self.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            raise changed_session()
        self.run(sql)
        if self._result.warning_count:
            self._require_harmless(self.run("SHOW WARNINGS"))

    def _require_harmless(self, warnings: list[tuple[Any, ...]]) -> None:
        """Raise ServerError for a warning about a value, or if the server hides its warnings."""
        for _, code, text in warnings or [("", _DATA_TRUNCATED, "")]:
            condition = described(int(code), "01000", text)
            if condition.is_about_data:
                raise ServerError(condition)

    def limit_silence(self, seconds: float) -> None:
        """Raise an error from then on when the server says nothing for some seconds."""
        self._read_timeout = self._write_timeout = seconds

    def hang_up(self) -> None:
        """Close the connection, also where the trace of an error still holds what reads from it."""
        peer = self._sock
        try:
            with suppress(pymysql.err.Error, OSError):
                self.close()
        finally:
            if peer is not None:
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)

    def _read_packet(self, *args: Any) -> Any:
        try:
            return super()._read_packet(*args)  # type: ignore[no-untyped-call]
        except pymysql.err.Error as error:
            code, text = (*error.args, "", "")[:2]
            state = str(getattr(error, "sqlstate", None) or "HY000")
            error.args = ()  # its text may quote values
            raise ServerError(
                described(code if isinstance(code, int) else 2014, state, str(text))
            ) from None


def changed_session() -> DatabaseAccessError:
    """Return the error for statements that run in another session."""
    return DatabaseAccessError(
        "the session of the warehouse is not the one that was set up: a proxy shares sessions "
        "between statements: connect to the server itself"
    )


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Return a text as a literal; in these sessions the only escape is a doubled quote."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def connection(
    database: Database, seconds: float = LONGEST_SECONDS, /
) -> Iterator[MysqlConnection]:
    """Open a connection, translate all errors of the driver, and close it at the end.

    `seconds` is how long the caller may still run: the server ends queries and idle sessions that
    last longer, and the connection fails when the server is silent for so long.
    """
    seconds = max(seconds, SHORTEST_SECONDS)
    opened = logged_in(database, lambda each: _opened(each, seconds))
    with translated_errors(database):
        try:
            yield opened
        finally:
            opened.hang_up()


def _opened(database: Database, seconds: float) -> MysqlConnection:
    with translated_errors(database):
        opened = _connect(database)
        try:
            opened.limit_silence(seconds - spare(seconds) / 2)
            _set_up(opened, seconds)
        except BaseException:
            opened.hang_up()
            raise
    return opened


def _set_up(opened: MysqlConnection, seconds: float) -> None:
    """Set the variables that all statements rely on, and the session's time limits."""
    limit = max(1.0, seconds - spare(seconds))
    time = (
        ("max_statement_time", limit) if opened.is_mariadb else ("max_execution_time", limit * 1000)
    )
    variables = SESSION | {time[0]: str(round(time[1])), "wait_timeout": str(round(seconds) or 1)}
    settings = ", ".join(f"SESSION {name} = {value}" for name, value in variables.items())
    opened.run(f"SET {settings}")
    opened.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE")
    [[packet]] = opened.run("SELECT @@max_allowed_packet")
    opened.packet = int(packet)


def _connect(database: Database) -> MysqlConnection:
    is_verified = database.sslmode == "verify-full"
    tls = tls_context(database)
    opened = MysqlConnection(
        host=database.host,
        user=database.username,
        password=password_of(database).encode(),
        database=database.dbname,
        charset="utf8mb4",
        autocommit=True,
        program_name=product.NAME,
        ssl=tls or None,
        ssl_disabled=not tls,
        read_timeout=CONNECT_SECONDS,
        write_timeout=CONNECT_SECONDS,
        auth_plugin_map={} if is_verified else dict.fromkeys(_Revealing.PLUGINS, _Revealing),
        defer_connect=True,
    )
    with dialled(database, "MySQL") as peer:
        opened.connect(peer)
    return opened


class _Revealing:
    """Refuses logins that reveal the password to a server whose identity is not verified."""

    PLUGINS: ClassVar = ("mysql_clear_password", "dialog", "mysql_old_password")

    def __init__(self, _: object) -> None:
        pass

    def authenticate(self, _: object) -> NoReturn:
        raise DatabaseAccessError(
            "the server asks for the password itself, and it is not verified whose it is: have the "
            "account log in by caching_sha2_password, or use ?sslmode=verify-full"
        )


@contextmanager
def translated_errors(database: Database) -> Iterator[None]:
    """Turn errors of the driver, within, into DatabaseAccessError, -Unavailable or -Failed."""
    try:
        yield
    except ServerError as error:
        raise _from_server(database, error) from error
    except pymysql.err.Error as error:
        raise _from_driver(database, error) from error
    except RuntimeError as error:
        if "package is required" not in str(error):
            raise
        raise DatabaseAccessError(
            f"{database}: the account logs in in a way that needs TLS, or a package that is not "
            "here: use ?sslmode=require or verify-full, or let it log in by caching_sha2_password"
        ) from error
    except OSError as error:
        raise DatabaseUnavailableError(f"{database}: the connection broke ({error})") from error


def _from_driver(database: Database, error: pymysql.err.Error) -> PipelineError:
    """Return the error for one of the driver itself."""
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(database, cause)
    if _NO_TLS in str(error):
        return without_tls(database)
    why = cause or (error.args[1] if len(error.args) > 1 else "it was closed")
    return DatabaseUnavailableError(f"{database}: the connection broke ({why})")


def _from_server(database: Database, error: ServerError) -> PipelineError:
    """Return the error for one of the server."""
    condition = error.condition
    if condition.code in _LOGIN:
        return DatabaseAccessError(f"{database}: {condition}: {database.login_step}", is_login=True)
    steps: Mapping[str, set[int]] = {
        "ask for the right to be granted": _RIGHTS,
        "let it accept connections from this host": _HOST,
        "check the database name of the URL": _NO_DATABASE,
    }
    for step, codes in steps.items():
        if condition.code in codes:
            return DatabaseAccessError(f"{database}: {condition}: {step}")
    if error.is_for_now:
        return DatabaseUnavailableError(f"{database}: {condition}")
    return DatabaseStatementError(f"{database}: {condition}")
