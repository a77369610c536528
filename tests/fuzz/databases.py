"""Fuzz targets for addresses, settings and secrets, and for what a server answers to a login."""

import json
import socket
import struct
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st

from deployer.configuration.databases import SSL_MODES, parse_database_url
from deployer.configuration.dotenv_file import load_dotenv
from deployer.configuration.settings import Settings
from deployer.errors import AddressError, SettingsError
from functions.common import errors
from functions.common.database import Database, database_from_secret
from functions.common.postgres import connection
from tests.fuzz.mutations import JSON, damaged, rewritten
from tests.fuzz.target import Target

SECRET = "s3cretOfTheDatabase"
URL = f"postgresql://reader:{SECRET}@db.example.com:5432/totesys?sslmode=require"
WORD = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12
)
HOSTS = st.sampled_from(["localhost", "db.example.com", "127.0.0.1", "[::1]", "10.0.0.1"])


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _text(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")


def addresses(url: str) -> None:
    """A URL is an address that the functions get as it is, or refused without its password."""
    try:
        address = parse_database_url(url)
    except AddressError as error:
        assert SECRET not in _shown(error)
        return
    assert repr(address) == repr(replace(address, password="another"))
    secret = json.dumps(address.secret())
    read = msgspec.json.decode(secret, type=Database)
    assert {name: getattr(read, name) for name in address.secret()} == address.secret()


def encoded_addresses(parts: tuple[str, str, str, str, str | None]) -> None:
    """Whatever characters user, password and database have, percent-encoded they arrive."""
    user, password, host, name, mode = parts
    query = f"?sslmode={mode}" if mode else ""
    encoded = [quote(part, safe="") for part in (user, password, name)]
    address = parse_database_url(
        f"postgresql://{encoded[0]}:{encoded[1]}@{host}/{encoded[2]}{query}"
    )
    assert (address.username, address.password, address.dbname) == (user, password, name)
    assert address.host == host.strip("[]")
    assert address.sslmode in ("disable", "require", "verify-full")
    assert address.sslmode != "disable" or mode == "disable" or "." not in host or host[0] == "1"


def secrets(body: bytes) -> None:
    """A secret of Secrets Manager is a database, or is refused without a piece of it."""

    class Client:
        def get_secret_value(self, **_: str) -> dict[str, str]:
            return {"SecretString": body.decode("utf-8", "replace")}

    client: Any = Client()
    try:
        database = database_from_secret(client, "totesys/source")
    except errors.SettingsError as error:
        assert SECRET not in _shown(error)
        assert str(error) == "secret totesys/source is not a database's: run deploy.py again"
    else:
        assert isinstance(database, Database)


NAMES = st.sampled_from(
    [
        "SOURCE_DATABASE_URL",
        "WAREHOUSE_DATABASE_URL",
        "WAREHOUSE_SCHEMA",
        "WAREHOUSE_MANAGED",
        "ALERT_EMAIL",
        "NOTIFY",
        "PROJECT",
        "STAGE",
        "EXTRACT_SCHEDULE",
        "LOAD_SCHEDULE",
        "SANDBOX_EXPIRES_AT",
        "LAMBDA_RUNTIME",
    ]
)
PLAIN = st.characters(exclude_characters="'\\\0\r", exclude_categories=["Cs"])
VALUES = st.text(max_size=40) | st.sampled_from(
    [URL, "true", "rate(5 minutes)", "cron(0 3 * * ? *)", "0001-01-01T00:00:00+14:00", "a@b.c"]
)


def settings(environment: dict[str, str]) -> None:
    """Settings are read, or each problem is one line that names its variable."""
    try:
        read = Settings.read({"WAREHOUSE_DATABASE_URL": URL, **environment})
    except SettingsError as error:
        assert SECRET not in _shown(error)
        assert str(error).split("\n") == list(error.problems)
        for problem in error.problems:
            assert problem.split()[0].isupper()
            assert problem.isprintable(), problem
    else:
        assert SECRET not in repr(read)


def dotenv_files(body: bytes) -> None:
    """A file of settings is read as it is written, or is refused without a piece of it."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_bytes(body)
        try:
            load_dotenv(path, found, lambda _: None)
        except SettingsError as error:
            assert SECRET not in _shown(error)
    assert all("\0" not in name + value and "=" not in name for name, value in found.items())


def dotenv_values(value: str) -> None:
    """A value in single quotes is what it is, `$` and `#` included."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_text(f"ONE='{value}'\n", encoding="utf-8", newline="")
        load_dotenv(path, found, lambda _: None)
    assert found == {"ONE": value}


def logins(answers: bytes) -> None:
    """Whatever a server answers to a login, it gets no password, and its faults are our errors."""
    received: list[bytes] = []
    with _pair() as (ours, theirs):
        server = threading.Thread(target=_answer, args=(theirs, answers, received))
        server.start()
        database = Database("127.0.0.1", 5432, "reader", SECRET, "totesys", "disable")
        connecting = patch.object(socket, "create_connection", return_value=ours)
        try:
            with connecting, connection(database):
                pass
        except errors.PipelineError as error:
            assert SECRET not in str(error)
            assert str(error).isprintable()
        finally:
            ours.close()
            server.join()
    assert SECRET.encode() not in b"".join(received)
    assert b"md5" not in b"".join(received)


@contextmanager
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Open a connection, and return both of its ends; nothing of it lingers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with ours, theirs:
        yield ours, theirs


def _answer(client: socket.socket, answers: bytes, received: list[bytes]) -> None:
    with suppress(OSError):
        client.sendall(answers)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            received.append(piece)


def _message(code: bytes, body: bytes) -> bytes:
    return code + (len(body) + 4).to_bytes(4, "big") + body


MESSAGES = st.builds(
    _message,
    st.sampled_from([b"R", b"S", b"K", b"Z", b"E", b"N", b"C", b"T", b"D", b"G", b"H"]),
    st.binary(max_size=20)
    | st.sampled_from([0, 3, 5, 7, 10, 11, 12]).map(lambda code: code.to_bytes(4, "big"))
    | st.just(b"\0\0\0\x05salt")
    | st.just(b"\0\0\0\x0aSCRAM-SHA-256\0\0")
    | st.text(max_size=20).map(lambda text: b"\0\0\0\x0b" + text.encode("utf-8", "replace")),
)

TARGETS = (
    Target(addresses, damaged(st.just(URL.encode())).map(_text) | st.text()),
    Target(
        encoded_addresses,
        st.tuples(WORD, WORD, HOSTS, WORD, st.none() | st.sampled_from(SSL_MODES)),
    ),
    Target(
        secrets,
        rewritten(parse_database_url(URL).secret())
        | damaged(st.just(json.dumps(parse_database_url(URL).secret()).encode()))
        | JSON.map(lambda value: json.dumps(value).encode()),
    ),
    Target(settings, st.dictionaries(NAMES, VALUES)),
    Target(
        dotenv_files,
        damaged(st.just(f"ONE='{SECRET}'\n# TWO\nexport THREE=\"${{ONE}}\"\n".encode()))
        | st.binary(),
    ),
    Target(dotenv_values, st.text(PLAIN) | st.text(st.sampled_from('${}ONE#=" :-'))),
    Target(logins, damaged(st.lists(MESSAGES, max_size=6).map(b"".join))),
)
