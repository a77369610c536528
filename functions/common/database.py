"""The address of a database, from a secret, and the sockets and TLS of both kinds of connection.

The password passes from Secrets Manager to the driver and nowhere else. No driver is imported here.
"""

import json
import socket
import ssl
import struct
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from botocore.exceptions import ClientError

from etl.rds import region_of
from functions.common import rds
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseUnavailableError,
    SettingsError,
)
from functions.common.settings import required
from functions.common.storage import error_code

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from etl import Postgres
    from etl.targets import Target


CONNECT_SECONDS = 10.0

# A dead peer is detected within a minute, and a long statement may still be silent: keepalive
# probes are answered by the peer's kernel.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

LONGEST_SECONDS = 900.0  # that a function may run: Lambda's own limit
SHORTEST_SECONDS = 1.0  # 0 would mean no limit, or no wait at all
SPARE_SECONDS = 10.0  # for an error to arrive and to be reported

# Errors that a driver raises for messages that are not of its protocol.
_NOT_THE_PROTOCOL = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


# Of the engines that a secret of RDS may name; the last part of `aurora-postgresql` is one too.
PORTS = {"postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306}


@dataclass(frozen=True)
class DatabaseSecret:
    """A secret by its id, and what is `given` instead of what it says, or because it does not.

    The secret is ours, or in one of the forms that Amazon RDS and its users have:
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """

    client: "SecretsManagerClient"
    id: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> "Database":
        """Return the database as the secret describes it now; raise SettingsError if it cannot."""
        try:
            # No variable: a traceback would show it.
            database = _decoded(
                self.client.get_secret_value(SecretId=self.id).get("SecretString", ""), self
            )
        except ClientError as error:
            raise SettingsError(
                f"secret {self.id} cannot be read ({error_code(error)}): run deploy.py again"
            ) from error
        if database is None:
            what = _THEIRS if self.id.startswith("arn:") else "a database's: run deploy.py again"
            raise SettingsError(f"secret {self.id} is not {what}")
        return database


_THEIRS = (
    "a database's: it needs username and password, and host and dbname too unless they are "
    "in <NAME>_DATABASE_ADDRESS"
)


class Database(msgspec.Struct, frozen=True, eq=False):
    """The address of a database and the account there, as its secret has them.

    `sslmode` is `disable`, `require` (encrypted; with a `ca` the certificate must be signed by one
    of these authorities, for any name) or `verify-full` (certificate and name). `ca` is the PEM
    text of the authorities to trust instead of the system's. With `auth` `iam` the account has no
    password: a token is made for each login. `secret` is the DatabaseSecret that describes it; two
    that describe the same are equal.
    """

    host: str
    port: int
    username: str
    password: str
    dbname: str
    sslmode: Literal["disable", "require", "verify-full"] = "verify-full"
    ca: str | None = None
    auth: Literal["password", "iam"] = "password"
    secret: Any = None  # msgspec cannot resolve its type, which needs one of boto3's stubs

    def __str__(self) -> str:
        return f"database {self.dbname} at {self.host}:{self.port} as {self.username}"

    __repr__ = __str__  # keeps the password out of traces and logs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and self._described == other._described

    def __hash__(self) -> int:
        return hash(self._described)

    @property
    def _described(self) -> tuple[object, ...]:
        return msgspec.structs.astuple(self)[:-1]

    @property
    def login_step(self) -> str:
        """What to do when a login is refused."""
        if self.auth == "iam":
            return "let the account log in by IAM, as docs/accounts.md says"
        is_theirs = self.secret is not None and self.secret.id.startswith("arn:")
        return f"check user and password of the {'secret' if is_theirs else 'URL'}"


def database_from_secret(
    client: "SecretsManagerClient", secret_id: str, given: str = ""
) -> Database:
    """Return the database of a secret; raise SettingsError if it cannot be read.

    `given` is JSON with what the secret does not say.
    """
    return DatabaseSecret(client, secret_id, json.loads(given or "{}")).read()


def stored_database(
    client: "SecretsManagerClient", settings: Mapping[str, str], part: "Postgres | Target"
) -> Database:
    """Return the database of a source or a target by the function's settings; raise as above."""
    secret = required(settings, part.secret_setting)
    return database_from_secret(client, secret, settings.get(part.address_setting, ""))


def _decoded(text: str, secret: DatabaseSecret) -> Database | None:
    """Return the database of a secret's text; None if it is malformed.

    An error would keep the decoder's message and these variables, which hold parts of the secret.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
        engine = str(found.get("engine", "")).rpartition("-")[2]
        port = {"port": PORTS[engine]} if engine in PORTS else {}
        # Of a server that trusts its clients, the password is empty.
        known = {
            name: value
            for name, value in found.items()
            if value not in (None, "") or name == "password"
        }
        whole = {**port, **known, **secret.given, "secret": None}  # nosec B105
        # Some tools write the port as text.
        database = msgspec.convert(whole, Database, strict=False)
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.structs.replace(database, secret=secret)


@contextmanager
def dialled(database: Database, server: str) -> Iterator[socket.socket]:
    """Connect to the address of a database, for a driver to log in over it within the context.

    The connection stays open unless that fails. `server` is what should answer, such as MySQL.
    Raises DatabaseUnavailableError if nothing answers, or something else.
    """
    peer = _reached(database)
    try:
        yield peer
    except BaseException as error:
        peer.close()
        _forget_variables(error)
        if isinstance(error, _NOT_THE_PROTOCOL) and not isinstance(error, OSError):
            raise DatabaseUnavailableError(
                f"{database}: the server is not {server}: is the address right?"
            ) from error
        raise


def _reached(database: Database) -> socket.socket:
    try:
        peer = socket.create_connection((database.host, database.port), CONNECT_SECONDS)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no DNS name
        raise DatabaseUnavailableError(
            f"{database}: cannot be reached ({error}): is the server up, and is the address right?"
        ) from error
    try:
        _set_options(peer)
    except BaseException:
        peer.close()
        raise
    return peer


def _set_options(peer: socket.socket) -> None:
    for option, value in KEEPALIVE.items():
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # COPY FROM STDIN ends in two small packets: with Nagle's algorithm each waits 40 ms.
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def tls_context(database: Database) -> ssl.SSLContext | Literal[False]:
    """Return the TLS context; False for a connection that is not encrypted."""
    if database.sslmode == "disable":
        return False
    context = ssl.create_default_context(cadata=database.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not database.ca and (authorities := rds.authorities(database.host)):
        context.load_verify_locations(authorities)
    if database.sslmode == "require":
        context.check_hostname = False
        # As libpq: a named authority must have signed the certificate.
        context.verify_mode = ssl.CERT_REQUIRED if database.ca else ssl.CERT_NONE
    return context


def encryption_of(peer: socket.socket) -> str:
    """Return the version of TLS of a connection, such as TLSv1.3, or that there is none."""
    version = peer.version() if isinstance(peer, ssl.SSLSocket) else None
    return version or "not encrypted"


def untrusted(database: Database, error: ssl.SSLCertVerificationError) -> DatabaseAccessError:
    """Return the error for a certificate that is not trusted."""
    return DatabaseAccessError(
        f"{database}: its certificate is not trusted ({error.verify_message}): "
        f"{_next_step(database)} to encrypt without checking who answers"
    )


def _next_step(database: Database) -> str:
    if database.sslmode == "require":
        return "correct the file of ?sslrootcert= in the URL, or leave it out"
    if region := region_of(database.host):
        bundle = f"Amazon RDS's certificate bundle of {region}"
        return f"add ?sslrootcert=<{bundle}> to the URL, or ?sslmode=require"
    return "add ?sslrootcert=<the authority's PEM file> to the URL, or ?sslmode=require"


def without_tls(database: Database) -> DatabaseAccessError:
    """Return the error for a server that does not support TLS."""
    return DatabaseAccessError(
        f"{database}: it does not speak TLS: add ?sslmode=disable to the URL if the network "
        "between is your own"
    )


def spare(seconds: float) -> float:
    """Return by how much the server's limit is shorter than the caller's seconds."""
    return min(SPARE_SECONDS, seconds / 2)


def _forget_variables(error: BaseException | None) -> None:
    """Clear the driver's frames: a traceback with variables would show the password."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
