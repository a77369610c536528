"""What the catalogue of a PostgreSQL database says of its tables: columns, keys, references.

Everything that a role may see without further rights is read; no row of a table is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pg8000.native

# A domain is what it is made of, over as many levels as there are.
_COLUMNS = """
    WITH RECURSIVE base (column_of, number, type, modifier) AS (
        SELECT attrelid, attnum, atttypid, atttypmod FROM pg_attribute
        WHERE attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT column_of, number, typbasetype,
            CASE WHEN typtypmod < 0 THEN modifier ELSE typtypmod END
        FROM base JOIN pg_type t ON t.oid = type WHERE typtype = 'd')
    SELECT n.nspname::text, c.relname::text, a.attname::text, a.attnotnull,
        format_type(b.type, b.modifier), t.typtype::text, has_table_privilege(c.oid, 'SELECT'),
        coalesce(format_type(nullif(t.typelem, 0), NULL), ''), coalesce(e.typtype::text, '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN base b ON b.column_of = c.oid AND b.number = a.attnum
    JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
        AND has_schema_privilege(n.oid, 'USAGE')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'
                        AND d.classid = 'pg_class'::regclass)
    ORDER BY n.nspname, c.relname, a.attnum"""

# The primary key, or else the shortest unique index whose columns are all NOT NULL.
_KEYS = """
    SELECT DISTINCT ON (n.nspname, c.relname) n.nspname::text, c.relname::text,
        ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
              WHERE k.place <= i.indnkeyatts ORDER BY k.place)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
        AND NOT EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
            WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)
    ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indnkeyatts, i.indexrelid"""

_REFERENCES = """
    SELECT n.nspname::text, c.relname::text, pn.nspname::text, p.relname::text,
        ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number
              ORDER BY k.place),
        ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k (number, place)
              JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number
              ORDER BY k.place)
    FROM pg_constraint f
    JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE f.contype = 'f' AND f.conparentid = 0
    ORDER BY n.nspname, c.relname, f.conname"""

Name = tuple[str, str]
"""A table's schema and its name there."""


@dataclass(frozen=True)
class FoundColumn:
    """A column: its SQL type, a domain's being what it is made of; `element` is that of an array.

    `kind` and `element_kind` are of pg_type: `e` for an enumeration, `b` for most others.
    """

    name: str
    sql: str
    kind: str
    not_null: bool
    element: str
    element_kind: str


@dataclass(frozen=True)
class FoundReference:
    """A foreign key: the columns of this table, and the table and columns that it points to."""

    columns: tuple[str, ...]
    table: Name
    to: tuple[str, ...]


@dataclass
class FoundTable:
    """A table of the source; `key` is empty where nothing identifies its rows."""

    schema: str
    name: str
    may_read: bool
    columns: list[FoundColumn] = field(default_factory=list)
    key: tuple[str, ...] = ()
    references: list[FoundReference] = field(default_factory=list)

    @property
    def known_as(self) -> Name:
        """Its schema and its name."""
        return self.schema, self.name


def read_catalogue(connection: pg8000.native.Connection) -> list[FoundTable]:
    """Return the tables of all schemas that the role may use, in alphabetical order.

    Partitions belong to their table, and tables of an extension to the extension.
    """
    tables: dict[Name, FoundTable] = {}
    connection.run("SET search_path = pg_catalog")  # so that types are named as extract names them
    for schema, name, column, not_null, sql, kind, may_read, *element in connection.run(_COLUMNS):
        table = tables.setdefault((schema, name), FoundTable(schema, name, may_read))
        table.columns.append(FoundColumn(column, sql, kind, not_null, *element))
    for schema, name, key in connection.run(_KEYS):
        if (schema, name) in tables:
            tables[schema, name].key = tuple(key)
    for known_as, reference in _references(connection):
        if known_as in tables and reference.table in tables:
            tables[known_as].references.append(reference)
    return list(tables.values())


def _references(connection: pg8000.native.Connection) -> Iterator[tuple[Name, FoundReference]]:
    for schema, name, other_schema, other, columns, to in connection.run(_REFERENCES):
        yield (schema, name), FoundReference(tuple(columns), (other_schema, other), tuple(to))
