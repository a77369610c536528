"""The two databases of the sandbox: the source that a pipeline's sample fills, and the warehouse.

Each is created once, whole or not at all, and then left as it is. The roles whose URLs are returned
have the rights that they have in the real systems and no others.
"""

from datetime import datetime

import pg8000.native
from pg8000.native import identifier

from etl import Postgres, ddl
from etl.loading import folder, load
from local.connection import connect, transaction
from local.postgres import PostgresServer
from local.sample import sample_of

READER = "source_reader"
WRITER = "source_writer"
LOADER = "warehouse_loader"


def create_source(
    server: PostgresServer,
    pipeline: str,
    *,
    now: datetime,
    scale: float = 1.0,
    database: str = "",
) -> str:
    """Create the source of a pipeline unless it exists; return the URL of its read-only role.

    The pipeline's sample fills it, as of `now` (UTC, without zone) and in the size `scale`. The
    `database` is named after the pipeline unless it is given.
    """
    database = database or pipeline
    [source] = (each for each in load(pipeline).sources if isinstance(each, Postgres))
    schemas = sorted({table.schema for table in source.tables})
    _create_role(server, READER)
    _create_role(server, WRITER)
    _create_database(server, database)
    with connect(server.superuser_url(database)) as connection:
        if not _has_table(connection, source.tables[0].schema, source.tables[0].name):
            with transaction(connection):
                sample_of(pipeline).fill(connection, now, scale)
                for schema in schemas:
                    _allow(connection, database, schema, READER, "SELECT")
                    _allow(connection, database, schema, WRITER, "SELECT, INSERT, UPDATE")
            connection.run("ANALYZE")
    return server.url(READER, server.password(READER), database)


def publish_source(server: PostgresServer, pipeline: str, *, database: str = "") -> None:
    """Let changes of a source be looked up in its log, as its owner would."""
    [source] = (each for each in load(pipeline).sources if isinstance(each, Postgres))
    tables = ", ".join(
        f"{identifier(table.schema)}.{identifier(table.name)}" for table in source.tables
    )
    with connect(server.superuser_url(database or pipeline)) as connection:
        connection.run(f"ALTER ROLE {identifier(READER)} REPLICATION")
        found = "SELECT FROM pg_publication WHERE pubname = :name"
        if not connection.run(found, name=source.publication):
            name = identifier(source.publication)
            connection.run(f"CREATE PUBLICATION {name} FOR TABLE {tables}")


def source_writer_url(server: PostgresServer, database: str) -> str:
    """Return the URL of the role that may insert into and update the source."""
    return server.url(WRITER, server.password(WRITER), database)


def create_warehouse(
    server: PostgresServer,
    pipeline: str,
    schema: str = "public",
    *,
    database: str = "warehouse",
    has_views: bool = False,
) -> str:
    """Create the prepared, empty warehouse in `schema` unless it exists; return its loader's URL.

    The loader may select, insert, update, and make temporary tables: no DDL and no TRUNCATE. It may
    delete only where a table is replaced by what is in the source.
    """
    [target] = load(pipeline).targets
    tables = ddl.postgres(target, schema, folder(pipeline))
    rights = "SELECT, INSERT, UPDATE"
    if any(table.way == "replace" for table in target.tables):
        rights += ", DELETE"
    _create_role(server, LOADER)
    _create_database(server, database)
    with connect(server.superuser_url(database)) as connection:
        if not _has_table(connection, schema, next(iter(tables))):
            with transaction(connection):
                connection.run(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
                for statement in tables.values():
                    connection.run(statement)
                _allow(connection, database, schema, LOADER, rights)
                connection.run(f"GRANT TEMPORARY ON DATABASE {identifier(database)} TO {LOADER}")
            views = ddl.create_views(target, schema, folder(pipeline)) if has_views else {}
            for name, statement in views.items():
                connection.run(statement)
                view = f"{identifier(schema)}.{identifier(name)}"
                connection.run(f"GRANT SELECT ON {view} TO {LOADER}")
    return server.url(LOADER, server.password(LOADER), database)


def create_managed_warehouse(
    server: PostgresServer,
    schema: str = "public",
    *,
    database: str = "warehouse",
    has_more_schemas: bool = False,
) -> str:
    """Create an empty warehouse whose loader owns `schema` and creates the tables; return its URL.

    Where it `has_more_schemas`, load may create them.
    An existing prepared warehouse stays as it is, and load adds what it lacks.
    """
    _create_role(server, LOADER)
    _create_database(server, database)
    home, role = identifier(schema), identifier(LOADER)
    with connect(server.superuser_url(database)) as connection, transaction(connection):
        connection.run(f"CREATE SCHEMA IF NOT EXISTS {home}")
        connection.run(f"ALTER SCHEMA {home} OWNER TO {role}")
        connection.run(f"REVOKE ALL ON SCHEMA {home} FROM PUBLIC")
        rights = "CONNECT, TEMPORARY, CREATE" if has_more_schemas else "CONNECT, TEMPORARY"
        connection.run(f"GRANT {rights} ON DATABASE {identifier(database)} TO {role}")
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
        # By default every role may connect to every database and create temporary tables there.
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
