"""A real PostgreSQL for the tests, one for the whole session, and fresh databases on it."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest
from pg8000.native import identifier

from local.connection import connect
from local.databases import READER, WRITER, create_source, create_warehouse, source_writer_url
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


@pytest.fixture
def new_source(postgres: PostgresServer, database_numbers: Iterator[int]) -> Callable[..., Source]:
    """Return a function of a scale (0 leaves the tables empty) that makes a shop database."""

    def make(scale: float = SAMPLE_SCALE) -> Source:
        name, template = f"totesys {next(database_numbers)}", f"totesys of scale {scale}"
        create_source(postgres, "totesys", now=SAMPLE_NOW, scale=scale, database=template)
        _copy_source(postgres, template, name)
        reader_url = create_source(postgres, "totesys", now=SAMPLE_NOW, scale=scale, database=name)
        writer_url = source_writer_url(postgres, name)
        return Source(name, reader_url, writer_url, postgres.superuser_url(name))

    return make


def _copy_source(server: PostgresServer, template: str, name: str) -> None:
    """Copy a shop, in a quarter of the time that filling it takes."""
    database = identifier(name)
    with connect(server.superuser_url()) as connection:
        connection.run(f"CREATE DATABASE {database} TEMPLATE {identifier(template)}")
        # What roles may do with the database itself is not copied.
        connection.run(f"GRANT CONNECT ON DATABASE {database} TO {READER}, {WRITER}")


@pytest.fixture
def new_warehouse(
    postgres: PostgresServer, database_numbers: Iterator[int]
) -> Callable[..., Warehouse]:
    """Return a function of a schema's name that makes a warehouse."""

    def make(schema: str = "public") -> Warehouse:
        name = f"warehouse {next(database_numbers)}"
        loader_url = create_warehouse(postgres, "totesys", schema, database=name)
        return Warehouse(name, schema, loader_url, postgres.superuser_url(name))

    return make
