"""Connections to MySQL: whom they trust, what they are set to, and what is said when they fail."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
import trustme

from deployer.configuration.databases import parse_database_url
from functions.common.database import Database
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseStatementError,
    DatabaseUnavailableError,
)
from functions.common.mysql import SQL_MODE, connection, literal, quoted
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]
PASSWORD = "Tr0ub4dor'&3"


def database_of(warehouse: Warehouse, **changes: object) -> Database:
    secret = parse_database_url(warehouse.loader_url, "mysql").secret()
    return msgspec.structs.replace(msgspec.convert(secret, Database), **changes)


@pytest.fixture
def database(new_mysql_warehouse: New) -> Database:
    """An empty database, and who may do everything there, without TLS."""
    return database_of(new_mysql_warehouse(), sslmode="disable")


def test_a_session_is_what_all_statements_rely_on(database: Database) -> None:
    """Strict, in UTC, each statement for itself, with the rows that it asks for."""
    with connection(database, 60) as opened:
        [[mode, zone, autocommit, limit]] = opened.run(
            "SELECT @@sql_mode, @@time_zone, @@autocommit, @@sql_select_limit"
        )
        text = "it's \\ \0 €𝄞"
        assert opened.run(f"SELECT {literal(text)} AS {quoted('a`b')}") == [(text,)]
        assert opened.packet >= 1 << 20
    assert set(mode.split(",")) == set(SQL_MODE.split(","))
    assert (zone, autocommit, limit) == ("+00:00", 1, 2**64 - 1)


def test_a_certificate_is_verified_with_its_name(database: Database, mysql_ca: trustme.CA) -> None:
    """An authority that signed it is enough only for whom asks for no more than that."""
    ca = mysql_ca.cert_pem.bytes().decode()
    for mode, authority in (("require", None), ("require", ca), ("verify-full", ca)):
        trusting = msgspec.structs.replace(database, sslmode=mode, ca=authority)
        with connection(trusting, 60) as opened:
            [[_, cipher]] = opened.run("SHOW STATUS LIKE 'Ssl_cipher'")
            assert cipher
    other = trustme.CA().cert_pem.bytes().decode()
    for mode in ("require", "verify-full"):
        wrong = msgspec.structs.replace(database, sslmode=mode, ca=other)
        with pytest.raises(DatabaseAccessError, match="is not trusted"), connection(wrong):
            pass
    elsewhere = msgspec.structs.replace(database, host="localhost", sslmode="verify-full", ca=ca)
    with pytest.raises(DatabaseAccessError, match="is not trusted"), connection(elsewhere):
        pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": PASSWORD}, "Access denied .*check user and password of the URL"),
        ({"dbname": "nothing"}, "(Access denied|Unknown database).*"),
        ({"port": 1}, "cannot be reached"),
        ({"host": "no such host"}, "cannot be reached"),
    ],
)
def test_who_is_turned_away_learns_the_next_step(
    database: Database, changes: dict[str, object], message: str
) -> None:
    """The line names the database and the account, and never the password."""
    wrong = msgspec.structs.replace(database, **changes)
    with pytest.raises((DatabaseAccessError, DatabaseUnavailableError), match=message) as failed:  # noqa: SIM117
        with connection(wrong, 60):
            pass
    assert PASSWORD not in str(failed.value)


def test_no_value_of_a_statement_is_in_an_error(database: Database) -> None:
    """Nor in the errors that led to it, which a trace shows."""
    for statement in (f"SELCT {literal(PASSWORD)}", f"SELECT CAST({literal(PASSWORD)} AS no)"):
        with pytest.raises(DatabaseStatementError) as failed, connection(database, 60) as opened:
            opened.run(statement)
        shown, error = "", failed.value
        while error is not None:
            shown += repr(error)
            error = error.__cause__ or error.__context__  # type: ignore[assignment]
        assert "Tr0ub4dor" not in shown


def test_a_query_that_takes_too_long_is_ended(database: Database) -> None:
    """By the server, while the caller still has the time to say so."""
    numbers = " CROSS JOIN ".join(f"information_schema.COLUMNS AS c{n}" for n in range(4))
    with pytest.raises(DatabaseUnavailableError, match=r"\[(70100/1969|HY000/3024)\]"):  # noqa: SIM117
        with connection(database, 3) as opened:
            opened.run(f"SELECT count(*) FROM {numbers}")


@contextmanager
def peer(answer: bytes) -> Iterator[int]:
    """Listen on a port of loopback; whoever connects gets an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.sendall(answer)
                    client.settimeout(5)
                    try:
                        while client.recv(4096):
                            client.sendall(packet(2, SWITCH))
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


# A server that speaks no TLS, and then asks for the password as it is.
GREETING = (
    b"\x0a8.0.0\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", 0xF7FF)
    + b"\x21" + struct.pack("<H", 2) + struct.pack("<H", 0x81FF - 0x0000) + b"\x15"
    + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip
SWITCH = b"\xfemysql_clear_password\0"


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
def test_a_server_that_speaks_no_tls_gets_no_login(sslmode: str) -> None:
    """Nothing is sent in the clear to one that only says that it cannot encrypt."""
    greeting = GREETING.replace(struct.pack("<H", 0xF7FF), struct.pack("<H", 0xF7FF & ~0x800))
    with peer(packet(0, greeting)) as port:
        database = Database("127.0.0.1", port, "me", PASSWORD, "d", sslmode)  # type: ignore[arg-type]
        with (
            pytest.raises(DatabaseAccessError, match="it does not speak TLS"),
            connection(database),
        ):
            pass


def test_the_password_itself_is_given_to_nobody_unverified() -> None:
    """A server of which nobody knows whose it is cannot ask for it."""
    with peer(packet(0, GREETING)) as port:
        database = Database("127.0.0.1", port, "me", PASSWORD, "d", "disable")
        with pytest.raises(DatabaseAccessError, match="asks for the password itself"):  # noqa: SIM117
            with connection(database):
                pass


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", packet(0, b"\xff"), b"\0\0\0\0"]
)
def test_what_is_no_mysql_is_said_to_be_none(answer: bytes) -> None:
    """Whatever answers, it is one clear line."""
    with peer(answer) as port:
        database = Database("127.0.0.1", port, "me", PASSWORD, "d", "disable")
        with (
            pytest.raises(
                DatabaseUnavailableError, match=r"not MySQL|the connection broke|\[HY000"
            ),
            connection(database),
        ):
            pass


def test_a_server_cannot_ask_for_a_file(database: Database) -> None:
    """LOAD DATA LOCAL is not offered, so a server's wish for a file of ours is an error."""
    with connection(database, 60) as opened:
        opened.run("CREATE TABLE t (a text)")
    with (
        pytest.raises((DatabaseStatementError, DatabaseAccessError)),
        connection(database, 60) as opened,
    ):
        opened.run("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t")
