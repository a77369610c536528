"""The two databases of the sandbox: the live `totesys`, and the prepared warehouse.

Each is made once, whole or not at all, and then left as it is. The roles whose URLs leave this
module have the rights that they have in the real systems and no others.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import pg8000.native
from pg8000.native import identifier

from local.connection import connect, transaction
from local.declared import statements
from local.dimensions import Row
from local.postgres import PostgresServer
from local.totesys import sample

READER = "totesys_reader"
WRITER = "totesys_app"
LOADER = "warehouse_loader"

DEFAULT_SEED = 1

_SQL = Path(__file__).parent
_COPY_BYTES = 1 << 20


def create_source(
    server: PostgresServer,
    *,
    now: datetime,
    scale: float = 1.0,
    seed: int = DEFAULT_SEED,
    database: str = "totesys",
) -> str:
    """Make the shop's database unless it is there, and return the URL of its read-only role.

    The last business day before `now` (UTC, without zone) is the last of the sample; `scale` 1.0 is
    11,000 sales orders, 0 leaves all tables empty.
    """
    _create_role(server, READER)
    _create_role(server, WRITER)
    _create_database(server, database)
    with connect(server.superuser_url(database)) as connection:
        if not _has_table(connection, "public", "payment"):
            with transaction(connection):
                connection.run((_SQL / "totesys.sql").read_text())
                if scale > 0:
                    _load(connection, sample(scale, seed, now))
                _allow(connection, database, "public", READER, "SELECT")
                _allow(connection, database, "public", WRITER, "SELECT, INSERT, UPDATE")
            connection.run("ANALYZE")
    return server.url(READER, server.password(READER), database)


def source_writer_url(server: PostgresServer, database: str = "totesys") -> str:
    """Return the URL of the role under which the shop itself works: it may insert and update."""
    return server.url(WRITER, server.password(WRITER), database)


def create_warehouse(
    server: PostgresServer, schema: str = "public", *, database: str = "warehouse"
) -> str:
    """Make the prepared, empty warehouse in `schema` unless it is there; return its loader's URL.

    The loader may select, insert, update, and make temporary tables: no DDL, DELETE or TRUNCATE.
    """
    _create_role(server, LOADER)
    _create_database(server, database)
    with connect(server.superuser_url(database)) as connection:
        if not _has_table(connection, schema, "fact_payment"):
            with transaction(connection):
                connection.run(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
                for statement in statements(schema).values():
                    connection.run(statement)
                _allow(connection, database, schema, LOADER, "SELECT, INSERT, UPDATE")
                connection.run(f"GRANT TEMPORARY ON DATABASE {identifier(database)} TO {LOADER}")
    return server.url(LOADER, server.password(LOADER), database)


def create_managed_warehouse(
    server: PostgresServer, schema: str = "public", *, database: str = "warehouse"
) -> str:
    """Make a warehouse whose loader owns `schema`, empty for load to shape; return its URL.

    A prepared warehouse that is there already stays as it is, and load adds what it lacks.
    """
    _create_role(server, LOADER)
    _create_database(server, database)
    home, role = identifier(schema), identifier(LOADER)
    with connect(server.superuser_url(database)) as connection, transaction(connection):
        connection.run(f"CREATE SCHEMA IF NOT EXISTS {home}")
        connection.run(f"ALTER SCHEMA {home} OWNER TO {role}")
        connection.run(f"REVOKE ALL ON SCHEMA {home} FROM PUBLIC")
        connection.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {identifier(database)} TO {role}")
    return server.url(LOADER, server.password(LOADER), database)


def _create_role(server: PostgresServer, role: str) -> None:
    with connect(server.superuser_url()) as connection:
        if not connection.run("SELECT FROM pg_roles WHERE rolname = :role", role=role):
            password = pg8000.native.literal(server.password(role))
            connection.run(f"CREATE ROLE {identifier(role)} LOGIN PASSWORD {password}")


def _create_database(server: PostgresServer, database: str) -> None:
    name = identifier(database)
    with connect(server.superuser_url()) as connection:
        if not connection.run("SELECT FROM pg_database WHERE datname = :name", name=database):
            connection.run(f"CREATE DATABASE {name}")
        # By default everybody may enter every database and make temporary tables there.
        connection.run(f"REVOKE ALL ON DATABASE {name}, postgres, template1 FROM PUBLIC")


def _has_table(connection: pg8000.native.Connection, schema: str, table: str) -> bool:
    found = connection.run(
        "SELECT FROM pg_tables WHERE schemaname = :schema AND tablename = :table",
        schema=schema,
        table=table,
    )
    return bool(found)


def _allow(
    connection: pg8000.native.Connection, database: str, schema: str, role: str, rights: str
) -> None:
    """Give `role` what `rights` names on all tables of `schema`, and what it needs to use them."""
    name, home = identifier(role), identifier(schema)
    connection.run(f"REVOKE ALL ON SCHEMA {home} FROM PUBLIC")
    connection.run(f"GRANT CONNECT ON DATABASE {identifier(database)} TO {name}")
    connection.run(f"GRANT USAGE ON SCHEMA {home} TO {name}")
    connection.run(f"GRANT {rights} ON ALL TABLES IN SCHEMA {home} TO {name}")
    if "INSERT" in rights:
        connection.run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {home} TO {name}")


def _load(connection: pg8000.native.Connection, data: Iterable[tuple[str, list[Row]]]) -> None:
    # Foreign keys are not checked row by row while the sample is loaded: four times as fast, and
    # the sample's parents all exist, which its tests prove.
    connection.run("SET LOCAL session_replication_role = replica")
    tables = set()
    for table, rows in data:
        connection.run(f"COPY {identifier(table)} FROM STDIN (FORMAT csv)", stream=_as_csv(rows))
        tables.add(table)
    connection.run("SET LOCAL session_replication_role = DEFAULT")
    for table in tables:
        key = f"{table}_id"
        connection.run(
            f"SELECT setval(pg_get_serial_sequence(:table, :key), max({key})) "  # nosec B608
            f"FROM {identifier(table)}",
            table=table,
            key=key,
        )


def _as_csv(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the rows as CSV in pieces of about a megabyte; None is an empty field, so NULL."""
    piece = io.StringIO()
    writer = csv.writer(piece)
    for row in rows:
        writer.writerow(row)
        if piece.tell() > _COPY_BYTES:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()
