"""Logins: what a server learns of a password, and for how long it may be silent."""

import ssl
import time
from collections.abc import Callable
from typing import Any

import boto3
import msgspec
import pytest
import trustme
from pg8000.native import literal

from functions.common.database import Database
from functions.common.errors import DatabaseAccessError, DatabaseUnavailableError
from functions.common.postgres import connection
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.reconcile import handler as reconcile_handler
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.fake_server import FakeServer, Link, Script, playing, scram

PASSWORD = "Tr0ub4dor&3"
MODES = ["disable", "require", "require with an authority"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost")


@pytest.fixture(scope="module")
def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


def database(server: FakeServer, mode: str, authority: trustme.CA, **changes: Any) -> Database:
    """Return the address of a server as one of `MODES`, or of `verify-full`, says it."""
    sslmode, *rest = mode.split()
    ca = authority.cert_pem.bytes().decode() if rest or sslmode == "verify-full" else None
    good = Database("localhost", server.port, "reader", PASSWORD, "totesys", sslmode, ca)  # type: ignore[arg-type]
    return msgspec.structs.replace(good, **changes)


def cleartext(link: Link) -> None:
    link.ask(3)
    link.receive()
    link.serve()


def md5(link: Link) -> None:
    link.ask(5, b"salt")
    link.receive()
    link.serve()


def nothing(link: Link) -> None:
    link.serve()


def not_even_a_welcome(link: Link) -> None:
    link.ready()
    link.receive()


def another_login(link: Link) -> None:
    link.ask(7)


def only_sha_1(link: Link) -> None:
    link.ask(10, b"SCRAM-SHA-1\0\0")


def open_and_close(address: Database) -> None:
    with connection(address):
        pass


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (cleartext, "asks for the password by cleartext, and it is not verified whose it is"),
        (md5, "asks for the password by md5, and it is not verified whose it is"),
        (nothing, "lets us in without asking for the password, so it may be anybody's"),
        (not_even_a_welcome, "lets us in without asking for the password, so it may be anybody's"),
        (scram(PASSWORD, proof="missing"), "lets us in without asking for the password"),
        (scram(PASSWORD, proof="forged"), "does not prove that it knows the password"),
        (another_login, "asks for another login than by password (method 7)"),
        (only_sha_1, "offers no SCRAM-SHA-256"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_server_that_may_be_anybodys_gets_no_password(
    script: Script, said: str, mode: str, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """Without a verified certificate and name only SCRAM is used, and both sides have to pass."""
    with playing(script, None if mode == "disable" else context) as server:
        address = database(server, mode, authority)
        with pytest.raises(DatabaseAccessError) as failure:
            open_and_close(address)

    assert f"{address}: the server {said}" in str(failure.value)
    answers = [message for message in server.received if message[:1] == b"p"]
    assert not any(PASSWORD.encode() in message or b"md5" in message for message in answers)


@pytest.mark.parametrize("script", [cleartext, md5, nothing, scram(PASSWORD)])
def test_a_verified_server_asks_as_it_likes(
    script: Script, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """Behind a checked certificate and name every login by password works."""
    with playing(script, context) as server:
        open_and_close(database(server, "verify-full", authority))


@pytest.mark.parametrize("mode", [*MODES, "verify-full"])
def test_scram_works_everywhere(mode: str, authority: trustme.CA, context: ssl.SSLContext) -> None:
    """A usual server, which asks by SCRAM, is reached in every mode."""
    with playing(scram(PASSWORD), None if mode == "disable" else context) as server:
        open_and_close(database(server, mode, authority))


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_scram_is_bound_to_the_certificate(
    mode: str, authority: trustme.CA, certificate: trustme.LeafCert, context: ssl.SSLContext
) -> None:
    """Where the server offers channel binding, nobody can pass the login on from elsewhere."""
    pem = certificate.cert_chain_pems[0].bytes().decode()
    other = authority.issue_cert("localhost").cert_chain_pems[0].bytes().decode()

    with playing(scram(PASSWORD, pem), context) as server:
        open_and_close(database(server, mode, authority))
    assert server.received[0].startswith(b"pSCRAM-SHA-256-PLUS\0")

    refused = pytest.raises(DatabaseAccessError, match="check user and password")
    with playing(scram(PASSWORD, other), context) as between, refused:
        open_and_close(database(between, mode, authority))


def test_an_address_without_a_password_needs_no_login(authority: trustme.CA) -> None:
    """A server that trusts its callers is used by leaving the password out of the URL."""
    with playing(nothing) as server:
        open_and_close(database(server, "disable", authority, password=""))


def test_a_required_authority_must_have_signed(
    authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """`require` with an authority checks the chain, and not the name, as libpq does."""
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(stranger)
    misnamed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("db.example.com").configure_cert(misnamed)

    with playing(scram(PASSWORD), misnamed) as server:
        open_and_close(database(server, MODES[-1], authority))
    with playing(scram(PASSWORD), stranger) as server:
        address = database(server, MODES[-1], authority)
        with pytest.raises(DatabaseAccessError) as failure:
            open_and_close(address)

    assert str(failure.value).startswith(f"{address}: its certificate is not trusted (")
    assert str(failure.value).endswith(
        "correct the file of ?sslrootcert= in the URL, or leave it out to encrypt without "
        "checking who answers"
    )


@pytest.mark.parametrize("answer", [b"R\0\0\0\4", b"R\0\0\0\1", b"?\0\0\0\5x"])
def test_what_is_not_postgresql_is_named_as_such(answer: bytes, authority: trustme.CA) -> None:
    """An address that leads to another kind of server is one clear error."""

    def speak(link: Link) -> None:
        link._peer.sendall(answer)

    with playing(speak) as server:
        address = database(server, "disable", authority)
        with pytest.raises(DatabaseUnavailableError) as failure:
            open_and_close(address)

    assert str(failure.value) == (f"{address}: the server is not PostgreSQL: is the address right?")


def falls_silent(link: Link) -> None:
    """Log in, answer once, and then nothing more: a server that hangs."""
    link.ask(0)
    link.ready()
    link.receive()
    link.send(b"C", b"SELECT 0\0")
    link.ready()
    while link.receive():
        pass


@pytest.mark.parametrize(
    ("handler", "side"),
    [
        (extract_handler, "source"),
        (load_handler, "warehouse"),
        (reconcile_handler, "warehouse"),
    ],
    ids=["extract", "load", "reconcile"],
)
def test_a_server_that_hangs_ends_the_run(
    functions: Functions, handler: Any, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No function waits for a silent server for longer than it may run: it says so, and ends."""
    secrets = boto3.client("secretsmanager")
    lake = functions.ingestion.removesuffix("-ingestion")
    with playing(falls_silent) as server:
        hung = Database("localhost", server.port, "reader", "", "totesys", "disable")
        secrets.put_secret_value(
            SecretId=f"{lake}/{side}", SecretString=msgspec.json.encode(hung).decode()
        )
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match="the connection broke"):
            handler.handler({}, Context(handler.__name__, milliseconds=3000))

    assert 1 < time.monotonic() - began < 300  # and not the 900 s of Lambda


Role = Callable[..., Database]


@pytest.fixture
def role(postgres: PostgresServer) -> Any:
    """A role for which the owners of the server have set limits."""
    with connect(postgres.superuser_url()) as superuser:
        superuser.run(f"CREATE ROLE limited LOGIN PASSWORD {literal(PASSWORD)}")
        for name in (
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
            "transaction_timeout",
        ):
            superuser.run(f"ALTER ROLE limited SET {name} = '50ms'")
        superuser.run("GRANT CONNECT ON DATABASE postgres TO limited")
        yield Database(postgres.host, postgres.port, "limited", PASSWORD, "postgres", "disable")
        superuser.run("DROP OWNED BY limited")
        superuser.run("DROP ROLE limited")


def test_limits_of_the_role_do_not_end_us_early(role: Database) -> None:
    """Limits of the role end neither our statements nor our pauses."""
    with connection(role) as opened:
        opened.run("SELECT pg_sleep(0.2)")
        time.sleep(0.2)
        opened.run("BEGIN")
        time.sleep(0.2)
        opened.run("SELECT pg_sleep(0.2)")
        opened.run("COMMIT")


def test_a_session_has_every_limit(role: Database) -> None:
    """Statements, locks, pauses and dead peers are bounded by what the function has left."""
    with connection(role, 100.0) as opened:
        found = dict(
            opened.run(
                "SELECT name, setting || coalesce(unit, '') FROM pg_settings"
                " WHERE name LIKE '%timeout' AND context = 'user' AND name !~ '^(tcp|wal)_|check'"
                " OR name LIKE 'tcp_keep%'"
            )
        )
        silence = opened._usock.gettimeout()

    assert found == {
        "statement_timeout": "90000ms",
        "transaction_timeout": "100000ms",
        "idle_in_transaction_session_timeout": "90000ms",
        "idle_session_timeout": "100000ms",
        "lock_timeout": "60000ms",
        "tcp_keepalives_idle": "30s",
        "tcp_keepalives_interval": "10s",
        "tcp_keepalives_count": "3",
    }
    assert silence == 95.0


def test_a_statement_that_takes_too_long_is_ended(role: Database) -> None:
    """The server ends a statement before the function's own time is up, and says so."""
    with pytest.raises(DatabaseUnavailableError) as failure, connection(role, 3.0) as opened:
        opened.run("SELECT pg_sleep(60)")

    assert str(failure.value) == f"{role}: canceling statement due to statement timeout"
