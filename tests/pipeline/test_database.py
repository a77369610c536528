"""Connections to a real PostgreSQL: every refusal is reported in one clear line."""

import json
import socket
import ssl
import string
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ECONNREFUSED
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trustme
from pg8000.native import literal

from deployer.configuration.databases import parse_database_url
from functions.common.database import Database
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseStatementError,
    DatabaseUnavailableError,
    PipelineError,
)
from functions.common.postgres import connection
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.tls_peer import TlsPeer

PASSWORD = "Tr0ub4dor&3"
ROLE = "visitor"
PASSWORDS = [
    string.punctuation,
    " leading, trailing and  double spaces ",
    "pässwörd-日本語",
    "%40%%s{}$1:name\\",
    "x" * 200,
]

Access = Callable[..., Database]


@pytest.fixture
def access(postgres: PostgresServer) -> Iterator[Access]:
    """Return a function that changes a part of a good address, of a role without any rights."""
    with connect(postgres.superuser_url()) as superuser:
        superuser.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD {literal(PASSWORD)}")
        superuser.run(f"GRANT CONNECT ON DATABASE postgres TO {ROLE}")
        good = Database(postgres.host, postgres.port, ROLE, PASSWORD, "postgres", "disable")
        yield lambda **changes: msgspec.structs.replace(good, **changes)
        superuser.run(f"DROP OWNED BY {ROLE}")
        superuser.run(f"DROP ROLE {ROLE}")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(postgres: PostgresServer) -> Iterator[Callable[..., TlsPeer]]:
    """Return a function that puts a peer, with a certificate or none, before PostgreSQL."""
    peers: list[TlsPeer] = []

    def start(certificate: trustme.LeafCert | None) -> TlsPeer:
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
        peers.append(TlsPeer(postgres.port, context))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def who_am_i(database: Database) -> str:
    with connection(database) as opened:
        [[user]] = opened.run("SELECT current_user::text")
    return str(user)


@contextmanager
def refusal(database: Database, kind: type[PipelineError], message: str) -> Iterator[None]:
    """Expect one error, that names the database and shows the password nowhere."""
    with pytest.raises(kind) as failure:
        yield
    assert str(failure.value) == f"{database}: {message}"
    shown = "".join(traceback.format_exception(failure.value))
    assert database.password not in shown


def test_a_wrong_password_is_reported(access: Access) -> None:
    """The message says which database, as whom, and what to check; never the password."""
    wrong = access(password="not-the-Passw0rd")
    message = (
        'password authentication failed for user "visitor": check user and password of the URL'
    )

    with refusal(wrong, DatabaseAccessError, message):
        who_am_i(wrong)


def test_a_missing_database_is_reported(access: Access) -> None:
    """The message says that the name is what to check."""
    wrong = access(dbname="tot esys")
    message = 'database "tot esys" does not exist: check the database name of the URL'

    with refusal(wrong, DatabaseAccessError, message):
        who_am_i(wrong)


def test_a_server_that_is_down_is_reported(access: Access) -> None:
    """A server that is down is a matter of trying again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    wrong = access(port=free)
    message = (
        f"cannot be reached ([Errno {ECONNREFUSED}] Connection refused): "
        "is the server up, and is the address right?"
    )

    with refusal(wrong, DatabaseUnavailableError, message):
        who_am_i(wrong)


@pytest.mark.parametrize("host", ["db..example.com", "x" * 64 + ".com"])
def test_an_unknown_host_is_reported(access: Access, host: str) -> None:
    """A misspelt host is reported like a server that is down."""
    wrong = access(host=host)

    with pytest.raises(DatabaseUnavailableError) as failure:
        who_am_i(wrong)
    assert str(failure.value).startswith(f"{wrong}: cannot be reached (")


def test_a_missing_right_is_reported(access: Access) -> None:
    """The message names the object, and that the right has to be granted."""
    message = "permission denied for table pg_authid: ask for the right to be granted"

    with refusal(access(), DatabaseAccessError, message), connection(access()) as opened:
        opened.run("SELECT * FROM pg_authid")


def test_a_statement_that_fails_is_reported(access: Access) -> None:
    """Errors of statements name the database too, with PostgreSQL's own code."""
    message = "division by zero [22012]"

    with refusal(access(), DatabaseStatementError, message), connection(access()) as opened:
        opened.run("SELECT 1/0")


def test_a_session_that_is_ended_is_reported(access: Access, postgres: PostgresServer) -> None:
    """A server that goes away in the middle of a run is a matter of trying again."""

    def outlive_the_session() -> None:
        with connection(access()) as opened, connect(postgres.superuser_url()) as superuser:
            [[process]] = opened.run("SELECT pg_backend_pid()")
            superuser.run("SELECT pg_terminate_backend(:process, 5000)", process=process)
            opened.run("SELECT 1")

    with pytest.raises(DatabaseUnavailableError) as failure:
        outlive_the_session()
    assert str(failure.value).startswith(f"{access()}: the connection broke (")


@pytest.mark.parametrize("password", PASSWORDS)
def test_any_password_works(access: Access, postgres: PostgresServer, password: str) -> None:
    """No character of a password has a meaning on its way to the server."""
    with connect(postgres.superuser_url()) as superuser:
        superuser.run(f"ALTER ROLE {ROLE} PASSWORD {literal(password)}")

    assert who_am_i(access(password=password)) == ROLE


def test_a_password_that_the_driver_cannot_send_is_reported(access: Access) -> None:
    """A character that the rules of the login do not know is reported, and not shown."""
    database = access(password=f"{PASSWORD}😀")
    message = (
        "the driver cannot log in (unassigned code points forbidden: other-error): "
        "is the password plain ASCII?"
    )

    with refusal(database, DatabaseAccessError, message):
        who_am_i(database)


def test_parameters_hold_for_the_session(access: Access) -> None:
    """A session is opened with its parameters, and closed at the end."""
    with connection(access(), datestyle="SQL, DMY") as opened:
        assert opened.run("SHOW datestyle") == [["SQL, DMY"]]
        socket_of_it = opened._usock
    assert socket_of_it.fileno() == -1


def test_a_checked_certificate_is_accepted(
    access: Access, authority: trustme.CA, tls: Callable[..., TlsPeer]
) -> None:
    """With the right authority and the right name the connection is encrypted and works."""
    peer = tls(authority.issue_cert("localhost"))
    database = access(host="localhost", port=peer.port, sslmode="verify-full", ca=pem(authority))

    assert who_am_i(database) == ROLE


TRUST = (
    ": add ?sslrootcert=<the authority's PEM file> to the URL, or ?sslmode=require to encrypt "
    "without checking who answers"
)


def test_a_certificate_of_another_authority_is_refused(
    access: Access, authority: trustme.CA, tls: Callable[..., TlsPeer]
) -> None:
    """Somebody else's certificate is not trusted, and the message says what may be done."""
    peer = tls(trustme.CA().issue_cert("localhost"))
    database = access(host="localhost", port=peer.port, sslmode="verify-full", ca=pem(authority))

    with pytest.raises(DatabaseAccessError) as failure:
        who_am_i(database)
    assert str(failure.value).startswith(f"{database}: its certificate is not trusted (")
    assert str(failure.value).endswith(TRUST)


def test_an_authority_that_the_system_does_not_know_is_refused(
    access: Access, authority: trustme.CA, tls: Callable[..., TlsPeer]
) -> None:
    """Without its own authority a database needs a certificate of a public one."""
    peer = tls(authority.issue_cert("localhost"))
    database = access(host="localhost", port=peer.port, sslmode="verify-full")
    message = "its certificate is not trusted (unable to get local issuer certificate)" + TRUST

    with refusal(database, DatabaseAccessError, message):
        who_am_i(database)


def test_a_certificate_of_another_host_is_refused(
    access: Access, authority: trustme.CA, tls: Callable[..., TlsPeer]
) -> None:
    """A trusted authority's certificate for another name does not do."""
    peer = tls(authority.issue_cert("db.example.com"))
    database = access(host="localhost", port=peer.port, sslmode="verify-full", ca=pem(authority))
    reason = "Hostname mismatch, certificate is not valid for 'localhost'."

    with refusal(
        database, DatabaseAccessError, f"its certificate is not trusted ({reason}){TRUST}"
    ):
        who_am_i(database)


def test_require_encrypts_whoever_answers(access: Access, tls: Callable[..., TlsPeer]) -> None:
    """`require` takes any certificate, of any authority and for any name."""
    peer = tls(trustme.CA().issue_cert("db.example.com"))

    assert who_am_i(access(port=peer.port, sslmode="require")) == ROLE


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
def test_a_server_without_tls_is_refused(
    access: Access, tls: Callable[..., TlsPeer], sslmode: str
) -> None:
    """No mode that asks for TLS goes on without; the message says how to allow that."""
    database = access(port=tls(None).port, sslmode=sslmode)
    message = (
        "it does not speak TLS: add ?sslmode=disable to the URL if the network between is your own"
    )

    with refusal(database, DatabaseAccessError, message):
        who_am_i(database)


def test_the_server_itself_says_that_it_has_no_tls(access: Access) -> None:
    """The bundled PostgreSQL was built without TLS, and is refused in the same words."""
    database = access(sslmode="require")

    with pytest.raises(DatabaseAccessError, match="it does not speak TLS"):
        who_am_i(database)


ELSEWHERE = "db.example.com"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a name that is not this machine's lead to this machine."""
    look_up = socket.getaddrinfo

    def look_up_here(host: str, *rest: Any, **more: Any) -> Any:
        return look_up("127.0.0.1" if host == ELSEWHERE else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)


def by_url(port: int, query: str = "") -> Database:
    """Return what a function gets of a URL: through the settings and the secret."""
    user = f"{ROLE}:{quote(PASSWORD)}"
    address = parse_database_url(f"postgresql://{user}@{ELSEWHERE}:{port}/postgres{query}")
    return msgspec.json.decode(json.dumps(address.secret()), type=Database)


@pytest.mark.usefixtures("access", "elsewhere")
def test_a_url_that_says_nothing_of_tls_means_checked_tls(
    authority: trustme.CA, tls: Callable[..., TlsPeer], tmp_path: Path
) -> None:
    """From the URL to the wire: a server elsewhere is who it says it is, or gets no password."""
    certified = tls(authority.issue_cert(ELSEWHERE)).port
    misnamed = tls(authority.issue_cert("other.example.com")).port
    bare = tls(None).port
    pem_file = tmp_path / "authority.pem"
    pem_file.write_text(pem(authority))
    trusting = f"?sslrootcert={pem_file}"

    assert who_am_i(by_url(certified, trusting)) == ROLE
    for port, query in ((certified, ""), (misnamed, ""), (misnamed, trusting)):
        with pytest.raises(DatabaseAccessError, match="its certificate is not trusted"):
            who_am_i(by_url(port, query))
    for query in ("", "?sslmode=prefer", "?sslmode=allow", "?sslmode=verify-ca"):
        with pytest.raises(DatabaseAccessError, match="it does not speak TLS"):
            who_am_i(by_url(bare, query))
