"""How the tables of a source are published: whether logical decoding shows every change of them.

It does if each part of a table that holds rows is in the publication by itself, with all rows and
all operations. That this was always so in between is seen by the versions of the catalogue's rows:
whoever takes a table out and puts it back, or rewrites it, which logical decoding does not show,
leaves other versions behind.
"""

from collections.abc import Collection
from dataclasses import dataclass

from etl import Table
from etl.tables import table_id
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import NAMED, fingerprint, named

DIGITS = 16  # of a digest: a manifest has one for each table

# Schemas are in publications from PostgreSQL 15 on.
_SCHEMAS = """(SELECT string_agg(concat_ws(' ', s.oid, s.xmin), ',' ORDER BY s.oid)
    FROM pg_publication_namespace s WHERE s.pnpubid = p.oid)"""
_HAS_SCHEMAS = "SELECT to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL"
_PUBLISHED = f"""
    WITH p AS MATERIALIZED (SELECT *, xmin::text AS version FROM pg_publication
        WHERE pubname = :publication AND pubinsert AND pubupdate AND pubdelete AND pubtruncate),
    whole AS MATERIALIZED (SELECT g.relid FROM p, pg_get_publication_tables(p.pubname::text) g
        WHERE to_jsonb(g) ->> 'qual' IS NULL)
    SELECT n.nspname::text, c.relname::text, array_agg(part::bigint ORDER BY part),
        concat_ws(' ', p.oid, p.version, {{}}),
        string_agg(concat_ws(' ', part, t.xmin, t.relfilenode, t.relreplident, r.oid, r.xmin), ','
            ORDER BY part)
    FROM p, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
        WITH RECURSIVE tree (part) AS (
            SELECT c.oid UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = part)
        SELECT part FROM tree) AS parts JOIN pg_class t ON t.oid = part
        LEFT JOIN pg_publication_rel r ON r.prrelid = part
            AND r.prpubid = (SELECT oid FROM p)
    WHERE {NAMED} GROUP BY 1, 2, p.oid, p.version
    HAVING bool_and(t.relkind = 'p' OR t.relkind = 'r' AND t.relpersistence = 'p'
        AND part IN (SELECT relid FROM whole))"""


@dataclass(frozen=True)
class Published:
    """A table whose changes are all shown: the ids of its parts, and a digest of all this."""

    parts: list[int]
    fingerprint: str


def published(
    connection: PostgresConnection, publication: str, tables: Collection[Table]
) -> dict[str, Published]:
    """Return the tables whose changes a publication shows; none if there is no such publication.

    Whether deleted rows come with their keys is seen in the messages.
    """
    [[has_schemas]] = connection.run(_HAS_SCHEMAS)
    query = _PUBLISHED.format(_SCHEMAS if has_schemas else "''")
    rows = connection.run(query, publication=publication, **named(tables))
    return {
        table_id(schema, name): Published(parts, fingerprint(versions)[:DIGITS])
        for schema, name, parts, *versions in rows
    }
