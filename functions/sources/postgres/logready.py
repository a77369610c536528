"""What the owner of a source has still to allow, so that changes can be looked up in its log.

The identities of rows come before the publication: PostgreSQL refuses to update and delete rows of
a table that is published without one.
"""

from collections.abc import Iterator

from pg8000.native import identifier

from etl import Postgres
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import OF_PARTS, named, sql_name
from functions.sources.postgres.published import published

# In Amazon RDS no role of the user has REPLICATION; a role of this name stands for it.
_SERVER = """SELECT current_setting('wal_level'), pg_is_in_recovery(), current_user::text,
    EXISTS (SELECT FROM pg_roles r WHERE (r.rolname = current_user AND
            (r.rolreplication OR r.rolsuper))
        OR (r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'USAGE')))"""
_PUBLICATION = """SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate,
    coalesce(to_jsonb(p) ->> 'pubviaroot', 'false')::boolean
    FROM pg_publication p WHERE pubname = :name"""
# The columns of the key that the log shows of a deleted row; all with REPLICA IDENTITY FULL. Each
# partition has its own identity, and a key that is DEFERRABLE is none.
_IDENTITIES = f"""
    SELECT n.nspname::text, c.relname::text, p.relnamespace::regnamespace::text,
        quote_ident(p.relname), p.relreplident::text, ARRAY(
            SELECT a.attname::text FROM pg_index i JOIN pg_attribute a
                ON a.attrelid = part
                AND array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
            WHERE i.indrelid = part AND i.indimmediate AND CASE p.relreplident
                WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END)
    {OF_PARTS} AND p.relkind = 'r' ORDER BY n.nspname, c.relname, part"""


def missing(connection: PostgresConnection, source: Postgres) -> list[str]:
    """Return what is missing, each with the statement that allows it."""
    return [
        *_of_server(connection),
        *_of_tables(connection, source),
        *_of_publication(connection, source),
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
    left_out = [str(table) for table in source.tables if table.id not in shown]
    if not left_out:
        return
    name = identifier(source.publication)
    tables = ", ".join(map(sql_name, source.tables))
    match connection.run(_PUBLICATION, name=source.publication):
        case []:
            yield f"there is no publication: CREATE PUBLICATION {name} FOR TABLE {tables}"
        case [[False, _]]:
            yield (
                "the publication does not show all operations: "
                f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
            )
        case [[_, True]]:
            yield (
                "the publication shows partitions as one table: "
                f"ALTER PUBLICATION {name} SET (publish_via_partition_root = false)"
            )
        case _:
            yield (
                f"the publication does not show all rows of {', '.join(left_out)}: "
                f"ALTER PUBLICATION {name} SET TABLE {tables}"
            )


def _of_tables(connection: PostgresConnection, source: Postgres) -> Iterator[str]:
    keys = {(table.schema, table.name): set(table.keys) for table in source.tables}
    found = connection.run(_IDENTITIES, **named(source.tables))
    for schema, name, part_schema, part, kind, columns in found:
        if kind != "f" and not keys[schema, name].issubset(columns):
            yield (
                f"the log does not show the key of deleted rows of {part_schema}.{part}: "
                f"ALTER TABLE {part_schema}.{part} REPLICA IDENTITY FULL"
            )
