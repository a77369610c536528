"""What the owner of a source has still to allow, so that changes can be looked up in its log."""

from collections.abc import Iterator

from pg8000.native import identifier

from etl import Postgres
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import NAMED, named, sql_name
from functions.sources.postgres.published import published

# In Amazon RDS no role of the user has REPLICATION; a role of this name stands for it.
_SERVER = """SELECT current_setting('wal_level'), pg_is_in_recovery(), current_user::text,
    EXISTS (SELECT FROM pg_roles r WHERE (r.rolname = current_user AND
            (r.rolreplication OR r.rolsuper))
        OR (r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'USAGE')))"""
_PUBLICATION = """SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate
    FROM pg_publication WHERE pubname = :name"""
# The columns of the key that the log shows of a deleted row; all with REPLICA IDENTITY FULL.
_IDENTITIES = f"""
    SELECT n.nspname::text, c.relname::text, c.relreplident::text, ARRAY(
        SELECT a.attname::text FROM pg_index i JOIN pg_attribute a
            ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey::int2[])
        WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
            WHEN 'i' THEN i.indisreplident ELSE false END)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {NAMED}"""


def missing(connection: PostgresConnection, source: Postgres) -> list[str]:
    """Return what is missing, each with the statement that allows it."""
    return [
        *_of_server(connection),
        *_of_publication(connection, source),
        *_of_tables(connection, source),
    ]


def _of_server(connection: PostgresConnection) -> Iterator[str]:
    [[level, is_replica, role, may_use_slots]] = connection.run(_SERVER)
    if is_replica:
        yield "it is a replica: give the address of the primary"
    if level != "logical":
        yield (
            f"wal_level is {level}: ALTER SYSTEM SET wal_level = logical and restart the server, "
            "in Amazon RDS by the parameter rds.logical_replication = 1"
        )
    if not may_use_slots:
        yield (
            f"the role may not use replication slots: ALTER ROLE {identifier(role)} REPLICATION, "
            f"in Amazon RDS GRANT rds_replication TO {identifier(role)}"
        )


def _of_publication(connection: PostgresConnection, source: Postgres) -> Iterator[str]:
    shown = published(connection, source.publication, source.tables)
    left_out = [sql_name(table) for table in source.tables if table.id not in shown]
    if not left_out:
        return
    name, tables = identifier(source.publication), ", ".join(left_out)
    match connection.run(_PUBLICATION, name=source.publication):
        case []:
            yield f"there is no publication: CREATE PUBLICATION {name} FOR TABLE {tables}"
        case [[False]]:
            yield (
                "the publication does not show all operations: "
                f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
            )
        case _:
            yield (
                "the publication does not show all rows of some tables: "
                f"ALTER PUBLICATION {name} ADD TABLE {tables}"
            )


def _of_tables(connection: PostgresConnection, source: Postgres) -> Iterator[str]:
    found = connection.run(_IDENTITIES, **named(source.tables))
    shown = {(schema, name): (kind, set(columns)) for schema, name, kind, columns in found}
    for table in source.tables:
        kind, columns = shown.get((table.schema, table.name), ("f", set()))
        if kind != "f" and not columns.issuperset(table.keys):
            yield (
                f"the log does not show the key of deleted rows of {table}: ALTER TABLE "
                f"{sql_name(table)} REPLICA IDENTITY FULL"
            )
