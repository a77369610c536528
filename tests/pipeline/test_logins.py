"""Logins while a password is rotated, and by tokens of IAM, as servers see them."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme
from pg8000.native import literal

from functions.common import postgres as pg
from functions.common import rds
from functions.common.database import Database, DatabaseSecret
from functions.common.errors import DatabaseAccessError, DatabaseUnavailableError
from functions.common.mysql import connection as mysql_connection
from local.connection import connect
from local.postgres import PostgresServer
from tests.pipeline.fake_server import Link, playing

ROLE = "rotated"


class Rotating:
    """Secrets Manager, in the middle of a rotation: each answer has the next password."""

    def __init__(self, server: PostgresServer, *passwords: str) -> None:
        self._server = server
        self._passwords = list(passwords)

    def get_secret_value(self, **_: str) -> dict[str, str]:
        password = self._passwords.pop(0)
        address = {"host": self._server.host, "port": self._server.port, "sslmode": "disable"}
        login = {"username": ROLE, "password": password, "dbname": "postgres"}
        return {"SecretString": json.dumps({**address, **login})}


@pytest.fixture
def role(postgres: PostgresServer) -> Iterator[None]:
    with connect(postgres.superuser_url()) as superuser:
        superuser.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD {literal('new')}")
        superuser.run(f"GRANT CONNECT ON DATABASE postgres TO {ROLE}")
        yield
        superuser.run(f"DROP OWNED BY {ROLE}")
        superuser.run(f"DROP ROLE {ROLE}")


def opened_with(server: PostgresServer, *passwords: str) -> str:
    client: Any = Rotating(server, *passwords)
    with pg.connection(DatabaseSecret(client, "shop/dev/source").read(), 30) as opened:
        [[user]] = opened.run("SELECT session_user")
    return str(user)


def test_a_login_follows_a_rotation(postgres: PostgresServer, role: None) -> None:
    """The password that was read a moment ago is refused, and the next one is accepted."""
    assert opened_with(postgres, "old", "new") == ROLE


def test_a_wrong_password_stays_an_error(postgres: PostgresServer, role: None) -> None:
    """After the second look; nothing of it is in the message."""
    with pytest.raises(DatabaseAccessError, match="check user and password") as failure:
        opened_with(postgres, "old", "older")

    assert "old" not in str(failure.value)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    rds._client.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(made)
    return made


def by_iam(port: int, authority: trustme.CA) -> Database:
    ca = authority.cert_pem.bytes().decode()
    return Database("localhost", port, "loader", "", "shop", "verify-full", ca, auth="iam")


def test_postgresql_gets_a_token_as_its_password(
    credentials: None, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """In the clear within TLS, as RDS asks for it, and a new one each time."""

    def as_rds(link: Link) -> None:
        link.ask(3)
        link.receive()
        link.serve()

    with (
        playing(as_rds, context) as server,
        pg.connection(by_iam(server.port, authority), 30) as opened,
    ):
        opened.run("SELECT 1")
        token = server.received[0].decode()
    assert token.startswith(f"plocalhost:{server.port}/?Action=connect&DBUser=loader&")


def test_a_refused_token_says_what_to_grant(
    credentials: None, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """There is no password to correct."""

    def refuse(link: Link) -> None:
        link.ask(3)
        link.receive()
        link.send(b"E", b"SFATAL\0C28P01\0MPAM authentication failed\0\0")

    with (
        playing(refuse, context) as server,
        pytest.raises(DatabaseAccessError, match=r"PAM .*: let the account log in by IAM"),
        pg.connection(by_iam(server.port, authority), 30),
    ):
        pass


# A server that speaks TLS, and asks for the password as it is.
GREETING = (
    b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", 0xF7FF | 0x0800)
    + b"\x21" + struct.pack("<H", 2) + struct.pack("<H", 0x81FF) + b"\x15"
    + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip
SWITCH = b"\xfemysql_clear_password\0"


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def received(peer: socket.socket) -> bytes:
    head = peer.recv(4)
    return peer.recv(int.from_bytes(head[:3], "little"))


@contextmanager
def mysql_of_rds(context: ssl.SSLContext) -> Iterator[tuple[int, list[bytes]]]:
    """Listen for one login; yield the port, and the passwords that are given."""
    passwords: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            client.sendall(packet(0, GREETING))
            received(client)
            with context.wrap_socket(client, server_side=True) as inside:
                received(inside)
                inside.sendall(packet(3, SWITCH))
                passwords.append(received(inside))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], passwords
        thread.join()


def test_mysql_gets_a_token_as_its_password(
    credentials: None, authority: trustme.CA, context: ssl.SSLContext
) -> None:
    """By the plugin that sends it as it is, within TLS."""
    with mysql_of_rds(context) as (port, passwords):  # noqa: SIM117
        with pytest.raises(DatabaseUnavailableError):  # it hangs up then
            with mysql_connection(by_iam(port, authority), 30):
                pass
    [password] = passwords
    assert password.decode().startswith(f"localhost:{port}/?Action=connect&DBUser=loader&")
