"""Connections to PostgreSQL, with TLS and limits.

Every error of the driver becomes one of ours here, which names the database and the next step.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pg8000.native
from scramp import ScramException  # type: ignore[import-untyped]  # the login part of pg8000

from etl import product
from functions.common.database import (
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Database,
    dialled,
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
from functions.common.pgconnection import PostgresConnection
from functions.common.sqlstate import condition, described, may_quote, without_values

SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    # A database may switch it off; a backslash in a name would then end the name's literal.
    "standard_conforming_strings": "on",
    # Functions that other roles may have created do not shadow PostgreSQL's own.
    # https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058
    "search_path": "pg_catalog",
    # Else types and defaults read from the catalogue look different: "text" instead of text.
    "quote_all_identifiers": "off",
    # The text of a value is the same, and the whole value, whatever the role's own settings are.
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
}
"""Session parameters by which values read the same, and names are quoted safely, for any role."""

# The server detects a dead peer as we do, so that a killed function's transaction and locks end.
_LIMITS = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "lock_timeout": "60s",
}


@contextmanager
def connection(
    database: Database, seconds: float = LONGEST_SECONDS, /, **parameters: str
) -> Iterator[PostgresConnection]:
    """Open a connection, translate all errors of the driver, and close it at the end.

    `seconds` is how long the caller may still run: the server ends statements, idle sessions and
    open transactions that last longer, and the connection fails when the server is silent for so
    long. `parameters` are run-time parameters of the session, such as `datestyle`.
    """
    seconds = max(seconds, SHORTEST_SECONDS)
    opened = logged_in(database, lambda each: _opened(each, seconds, parameters))
    with translated_errors(database):
        try:
            yield opened
        finally:
            opened.hang_up()


def _opened(database: Database, seconds: float, parameters: dict[str, str]) -> PostgresConnection:
    with translated_errors(database):
        opened = _connect(database, _limits(seconds) | _LIMITS | parameters)
        try:
            _set_newer_limits(opened, seconds)
            # Longer than the server's limit, whose error is more specific.
            opened.limit_silence(seconds - spare(seconds) / 2)
        except BaseException:
            opened.hang_up()
            raise
    return opened


def _limits(seconds: float) -> dict[str, str]:
    """Return the session's limits, which override those of the role and the database."""
    limit = str(round(1000 * max(1.0, seconds - spare(seconds))))
    return {"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}


def _set_newer_limits(opened: PostgresConnection, seconds: float) -> None:
    """Set the limits that are new in PostgreSQL 14 and 17; older servers would refuse the login.

    They are the longest, because they end the whole session.
    """
    opened.run(
        f"SELECT pg_catalog.set_config(name, '{round(1000 * max(2.0, seconds))}', false)"
        " FROM pg_catalog.unnest('{idle_session_timeout,transaction_timeout}'::text[]) AS name"
        " WHERE pg_catalog.current_setting(name, true) IS NOT NULL"
    )


def _connect(database: Database, parameters: dict[str, str]) -> PostgresConnection:
    with dialled(database, "PostgreSQL") as peer:
        return PostgresConnection(
            str(database),
            peer,
            tls_context(database),
            is_verified=database.sslmode == "verify-full",
            user=database.username,
            password=password_of(database),
            database=database.dbname,
            host=database.host,
            application_name=product.NAME,
            startup_params=parameters,
        )


@contextmanager
def translated_errors(database: Database) -> Iterator[None]:
    """Turn errors of the driver, within, into DatabaseAccessError, -Unavailable or -Failed."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        fields = dict(error.args[0])
        if may_quote(fields):
            error.args = (without_values(fields),)  # the traceback of the new error has it
        raise _from_server(database, fields) from error
    except ssl.SSLCertVerificationError as error:
        raise untrusted(database, error) from error
    except ScramException as error:
        raise DatabaseAccessError(
            f"{database}: the driver cannot log in ({error}): is the password plain ASCII?"
        ) from error
    except (pg8000.native.InterfaceError, OSError) as error:
        if "refuses SSL" in str(error):
            raise without_tls(database) from error
        raise DatabaseUnavailableError(f"{database}: the connection broke ({error})") from error


def _from_server(database: Database, fields: dict[str, str]) -> PipelineError:
    """Return the error for one of the server, by the codes of the manual's appendix A."""
    code = fields.get("C", "")
    message = condition(code) if may_quote(fields) else fields.get("M", "")
    match code[:2], code:
        case ("28", _):
            return DatabaseAccessError(
                f"{database}: {message}: {database.login_step}", is_login=True
            )
        case (_, "3D000"):
            return DatabaseAccessError(f"{database}: {message}: check the database name of the URL")
        case (_, "42501"):
            return DatabaseAccessError(f"{database}: {message}: ask for the right to be granted")
        case (_, "08P01") if "startup parameter" in message:
            return DatabaseAccessError(
                f"{database}: {message}: a pooler refuses the session's settings: connect to the "
                "server itself"
            )
        case ("08" | "53" | "57" | "40", _) | (_, "55P03"):
            return DatabaseUnavailableError(f"{database}: {message}")
    return DatabaseStatementError(f"{database}: {described(fields)}")
