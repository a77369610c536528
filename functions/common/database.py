"""Connections to the source and the warehouse, from a secret, with TLS.

Every failure of the driver becomes one of our errors here, in words that name the database and the
next step. The password goes from Secrets Manager into the driver and nowhere else.
"""

import socket
import ssl
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

import msgspec
import pg8000.native
from botocore.exceptions import ClientError
from scramp import ScramException  # type: ignore[import-untyped]  # the login part of pg8000

from etl import product
from functions.common.errors import (
    DatabaseFailed,
    DatabaseRefused,
    DatabaseUnavailable,
    PipelineError,
    SettingsError,
)
from functions.common.login import GuardedConnection
from functions.common.sqlstate import condition, described, may_quote, without_values
from functions.common.storage import error_code

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CONNECT_SECONDS = 10.0

# A dead peer is noticed within a minute, while a long statement may be silent for as long as it
# needs: keepalive probes are answered by the peer's kernel.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
# The server does the same, so that a killed function's transaction and locks end with it.
SESSION_PARAMETERS = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "lock_timeout": "60s",
}

LONGEST_SECONDS = 900.0  # that a function may run: Lambda's own limit
SHORTEST_SECONDS = 1.0  # a limit of 0 would mean none, or no wait at all
SPARE_SECONDS = 10.0  # for the error to come back, and to be reported

# What the driver raises for messages that are none of PostgreSQL's.
NOT_POSTGRESQL = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


class Database(msgspec.Struct, frozen=True):
    """Where a database is and who we are there: the form of its secret.

    `sslmode` is `disable`, `require` (encrypted; with a `ca` the certificate has to be one of
    these authorities, for whatever name) or `verify-full` (certificate and name). `ca` is the PEM
    text of the authorities to trust instead of the system's.
    """

    host: str
    port: int
    username: str
    password: str
    dbname: str
    sslmode: Literal["disable", "require", "verify-full"] = "verify-full"
    ca: str | None = None

    def __str__(self) -> str:
        return f"database {self.dbname} at {self.host}:{self.port} as {self.username}"

    __repr__ = __str__  # the password is in no trace and no log


def database_from_secret(client: "SecretsManagerClient", secret_id: str) -> Database:
    """Return the database that a secret names; raise SettingsError if it cannot be read."""
    try:
        database = _decoded(client.get_secret_value(SecretId=secret_id).get("SecretString", ""))
    except ClientError as error:
        raise SettingsError(
            f"secret {secret_id} cannot be read ({error_code(error)}): run deploy.py again"
        ) from error
    if database is None:
        raise SettingsError(f"secret {secret_id} is not a database's: run deploy.py again")
    return database


def _decoded(secret: str) -> Database | None:
    """Return the database that a secret's text is, None if it is not one.

    Not an error, which would keep the decoder's message and the variables here: both hold a piece
    of the secret.
    """
    try:
        return msgspec.json.decode(secret, type=Database)
    except (msgspec.DecodeError, RecursionError):
        return None


@contextmanager
def connection(
    database: Database, seconds: float = LONGEST_SECONDS, /, **parameters: str
) -> Iterator[pg8000.native.Connection]:
    """Open a connection, close it at the end, and put every driver error into our words.

    `seconds` is how long the caller may still run: the server ends a statement, an idle session
    and an open transaction that last longer, and a server that is silent for so long is given up.
    `parameters` are run-time parameters of the session, such as `datestyle`.
    """
    seconds = max(seconds, SHORTEST_SECONDS)
    with translated_errors(database):
        opened = _connect(database, _limits(seconds) | SESSION_PARAMETERS | parameters)
        try:
            _set_newer_limits(opened, seconds)
            # Longer than the server's own limit, whose error says more.
            opened._usock.settimeout(seconds - _spare(seconds) / 2)
            yield opened
        finally:
            _hang_up(opened)


def _hang_up(opened: pg8000.native.Connection) -> None:
    """Close a connection, also where the trace of an error still holds what reads from it."""
    peer = opened._usock
    try:
        opened.close()
    finally:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)


def _spare(seconds: float) -> float:
    return min(SPARE_SECONDS, seconds / 2)


def _limits(seconds: float) -> dict[str, str]:
    """Return the session's limits, which hold whatever is set for the role or the database."""
    limit = str(round(1000 * max(1.0, seconds - _spare(seconds))))
    return {"statement_timeout": limit, "idle_in_transaction_session_timeout": limit}


def _set_newer_limits(opened: pg8000.native.Connection, seconds: float) -> None:
    """Set the limits that PostgreSQL 14 and 17 brought; at login an older one would refuse them.

    They are the longest, since they end the whole session.
    """
    opened.run(
        f"SELECT pg_catalog.set_config(name, '{round(1000 * max(2.0, seconds))}', false)"
        " FROM pg_catalog.unnest('{idle_session_timeout,transaction_timeout}'::text[]) AS name"
        " WHERE pg_catalog.current_setting(name, true) IS NOT NULL"
    )


def _connect(database: Database, parameters: dict[str, str]) -> GuardedConnection:
    try:
        peer = socket.create_connection((database.host, database.port), CONNECT_SECONDS)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no DNS name
        raise DatabaseUnavailable(
            f"{database}: cannot be reached ({error}): is the server up, and is the address right?"
        ) from error
    try:
        _set_options(peer)
        return GuardedConnection(
            str(database),
            peer,
            _tls(database),
            is_verified=database.sslmode == "verify-full",
            user=database.username,
            password=database.password,
            database=database.dbname,
            host=database.host,
            application_name=product.NAME,
            startup_params=parameters,
        )
    except BaseException as error:
        peer.close()
        _forget_variables(error)
        if isinstance(error, NOT_POSTGRESQL) and not isinstance(error, OSError):
            raise DatabaseUnavailable(
                f"{database}: what answers is not PostgreSQL: is the address right?"
            ) from error
        raise


def _set_options(peer: socket.socket) -> None:
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # COPY FROM STDIN ends in two small packets: with Nagle's algorithm each waits 40 ms.
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _forget_variables(error: BaseException | None) -> None:
    """Empty the driver's frames: a trace that shows variables would show the password there."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _tls(database: Database) -> ssl.SSLContext | Literal[False]:
    if database.sslmode == "disable":
        return False
    context = ssl.create_default_context(cadata=database.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if database.sslmode == "require":
        context.check_hostname = False
        # As libpq: who names an authority wants it to have signed.
        context.verify_mode = ssl.CERT_REQUIRED if database.ca else ssl.CERT_NONE
    return context


@contextmanager
def translated_errors(database: Database) -> Iterator[None]:
    """Turn errors of the driver, within, into DatabaseRefused, -Unavailable or -Failed."""
    try:
        yield
    except pg8000.native.DatabaseError as error:
        fields = dict(error.args[0])
        if may_quote(fields):
            error.args = (without_values(fields),)  # it is in the trace of ours
        raise _from_server(database, fields) from error
    except ssl.SSLCertVerificationError as error:
        raise DatabaseRefused(
            f"{database}: its certificate is not trusted ({error.verify_message}): "
            f"{_next_step(database)} to encrypt without checking who answers"
        ) from error
    except ScramException as error:
        raise DatabaseRefused(
            f"{database}: the driver cannot log in ({error}): is the password plain ASCII?"
        ) from error
    except (pg8000.native.InterfaceError, OSError) as error:
        if "refuses SSL" in str(error):
            raise DatabaseRefused(
                f"{database}: it does not speak TLS: add ?sslmode=disable to the URL if the "
                "network between is your own"
            ) from error
        raise DatabaseUnavailable(f"{database}: the connection broke ({error})") from error


def _next_step(database: Database) -> str:
    if database.sslmode == "require":
        return "correct the file of ?sslrootcert= in the URL, or leave it out"
    return "add ?sslrootcert=<the authority's PEM file> to the URL, or ?sslmode=require"


def _from_server(database: Database, fields: dict[str, str]) -> PipelineError:
    """Return our error for the server's; codes are those of appendix A of PostgreSQL's manual."""
    code = fields.get("C", "")
    message = condition(code) if may_quote(fields) else fields.get("M", "")
    match code[:2], code:
        case ("28", _):
            return DatabaseRefused(f"{database}: {message}: check user and password of the URL")
        case (_, "3D000"):
            return DatabaseRefused(f"{database}: {message}: check the database name of the URL")
        case (_, "42501"):
            return DatabaseRefused(f"{database}: {message}: ask for the right to be granted")
        case (_, "08P01") if "startup parameter" in message:
            return DatabaseRefused(
                f"{database}: {message}: a pooler refuses the session's settings: connect to the "
                "server itself"
            )
        case ("08" | "53" | "57" | "40", _) | (_, "55P03"):
            return DatabaseUnavailable(f"{database}: {message}")
    return DatabaseFailed(f"{database}: {described(fields)}")
