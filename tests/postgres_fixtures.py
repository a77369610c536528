"""A real PostgreSQL for the tests, one for the whole session, and fresh databases on it."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import count
from pathlib import Path

import pytest
from pg8000.native import Connection, identifier, to_statement

from local.connection import connect
from local.databases import (
    LOADER,
    READER,
    WRITER,
    create_source,
    create_warehouse,
    source_writer_url,
)
from local.postgres import PostgresServer
from tests.memory import fast_folder

# A Saturday: the sample ends on Friday, 15 November 2024.
SAMPLE_NOW = datetime(2024, 11, 16, 12)
SAMPLE_SCALE = 0.02


@dataclass(frozen=True)
class Source:
    """A separate shop database, and its URLs by role."""

    database: str
    reader_url: str
    writer_url: str
    superuser_url: str


NOWHERE = Source("", "postgresql://nobody:password@127.0.0.1:1/none", "", "")
"""For pipelines that read no database: nothing asks it."""


@dataclass(frozen=True)
class Warehouse:
    """A separate, prepared, empty warehouse, and its URLs by role."""

    database: str
    schema: str
    loader_url: str
    superuser_url: str


@pytest.fixture(scope="session", autouse=True)
def known_statements() -> Iterator[None]:
    """Let pg8000 look for the parameters of a statement once: it does, character by character."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pg8000.native.to_statement", lru_cache(500)(to_statement))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a server in a folder whose name has a space; it and its folder are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="postgres tests ", dir=fast_folder()) as folder:
        directory = Path(folder)
        # As root the server runs as nobody, who has to get in.
        directory.chmod(0o711)
        with PostgresServer(directory) as server:
            yield server


@pytest.fixture(scope="session")
def database_numbers() -> Iterator[int]:
    """Number the databases of the session."""
    return count(1)


@pytest.fixture(autouse=True)
def databases_of_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop what a test creates on the session's server: a whole run would keep 8 GB.

    Templates stay, for the tests after it.
    """
    if "postgres" not in request.fixturenames:
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    before = _databases(server)
    yield
    with connect(server.superuser_url()) as connection:
        for name in _databases(server) - before:
            drop_database(connection, name)


def drop_database(connection: Connection, database: str) -> None:
    """Drop a database, whoever uses it.

    FORCE ends the sessions too late where one of them reads a slot: PostgreSQL refuses first.
    """
    end_sessions(connection, database)
    connection.run(f"DROP DATABASE {identifier(database)} WITH (FORCE)")


def end_sessions(connection: Connection, database: str) -> None:
    """End all sessions in a database, and let no ordinary role open another one."""
    connection.run(f"ALTER DATABASE {identifier(database)} CONNECTION LIMIT 0")
    connection.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name",
        name=database,
    )


def _databases(server: PostgresServer) -> set[str]:
    with connect(server.superuser_url()) as connection:
        rows = connection.run("SELECT datname::text FROM pg_database WHERE NOT datistemplate")
    return {name for [name] in rows}


def keep_as_template(server: PostgresServer, database: str) -> None:
    """Keep a database for the tests after this one."""
    with connect(server.superuser_url()) as connection:
        connection.run(f"ALTER DATABASE {identifier(database)} IS_TEMPLATE true")


@pytest.fixture
def new_source(postgres: PostgresServer, database_numbers: Iterator[int]) -> Callable[..., Source]:
    """Return a function of a scale (0 leaves the tables empty) that makes a shop database."""

    def make(scale: float = SAMPLE_SCALE) -> Source:
        name = f"totesys {next(database_numbers)}"

        def fill(template: str) -> None:
            create_source(postgres, "totesys", now=SAMPLE_NOW, scale=scale, database=template)

        rights = f"GRANT CONNECT ON DATABASE {identifier(name)} TO {READER}, {WRITER}"
        _copy(postgres, f"totesys of scale {scale}", name, fill, rights)
        reader_url = postgres.url(READER, postgres.password(READER), name)
        writer_url = source_writer_url(postgres, name)
        return Source(name, reader_url, writer_url, postgres.superuser_url(name))

    return make


def _copy(
    server: PostgresServer, template: str, name: str, fill: Callable[[str], None], rights: str
) -> None:
    """Copy a database that `fill` creates once: in a quarter of the time that filling it takes.

    `rights` is the statement for the rights to the database itself, which are not copied.
    """
    database = identifier(name)
    with connect(server.superuser_url()) as connection:
        found = connection.run("SELECT FROM pg_database WHERE datname = :name", name=template)
        if not found:
            fill(template)
            keep_as_template(server, template)
        # Copied as files: half the time of a copy through the log, in databases so small.
        connection.run(
            f"CREATE DATABASE {database} TEMPLATE {identifier(template)} STRATEGY FILE_COPY"
        )
        connection.run(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        connection.run(rights)


@pytest.fixture
def new_warehouse(
    postgres: PostgresServer, database_numbers: Iterator[int]
) -> Callable[..., Warehouse]:
    """Return a function of a schema's name that makes a warehouse."""

    def make(schema: str = "public") -> Warehouse:
        name = f"warehouse {next(database_numbers)}"

        def fill(template: str) -> None:
            create_warehouse(postgres, "totesys", schema, database=template)

        rights = f"GRANT CONNECT, TEMPORARY ON DATABASE {identifier(name)} TO {LOADER}"
        _copy(postgres, f"warehouse in {schema}", name, fill, rights)
        loader_url = postgres.url(LOADER, postgres.password(LOADER), name)
        return Warehouse(name, schema, loader_url, postgres.superuser_url(name))

    return make
