"""The columns of the source tables: their current state, their Arrow types, and drift.

All columns of a table are carried, whether declared or not.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pg8000.native import identifier

from etl import Table
from etl.tables import OWN_COLUMNS, table_id
from functions.common.carried import UNFIT
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.sqltypes import arrow_type, is_accepted, needed

Types = tuple[tuple[str, str], ...]

_REFUSALS = {
    "schema": "no right to its schema: GRANT USAGE ON SCHEMA {schema} TO this role",
    "table": "no right to read it: GRANT SELECT ON {table} to this role",
    "rows": "row-level security hides rows of it: give this role BYPASSRLS",
}
_REFUSED = """CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'schema'
    WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'table'
    WHEN row_security_active(c.oid) THEN 'rows' END"""

# The base type of domains and, for arrays, of the elements, with one `[]` per level.
_TYPE = """LATERAL (
    WITH RECURSIVE base (oid, typmod, suffix) AS (
        SELECT a.atttypid, a.atttypmod, ''
        UNION ALL SELECT
            CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END,
            CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE typmod END,
            CASE t.typtype WHEN 'd' THEN suffix ELSE suffix || '[]' END
        FROM base JOIN pg_type t ON t.oid = base.oid
        WHERE t.typtype = 'd' OR t.typinput = 'array_in'::regproc)
    SELECT format_type(t.oid, typmod) || suffix,
        CASE t.typtype WHEN 'e' THEN 'enum ' || quote_ident(t.typname) || coalesce(
            (SELECT ' (' || string_agg(enumlabel, ', ' ORDER BY enumsortorder) || ')'
             FROM pg_enum WHERE enumtypid = t.oid), '')
        ELSE format_type(t.oid, typmod) END || suffix
    FROM base JOIN pg_type t ON t.oid = base.oid
    WHERE t.typtype <> 'd' AND t.typinput <> 'array_in'::regproc
    ) AS base (cast_to, described)"""

# The values of a generated column may change with its expression, without a row being written.
_GENERATED = """(SELECT string_agg(format(' %s %s %s', g.attnum, g.attgenerated,
                                  pg_get_expr(d.adbin, d.adrelid)), '' ORDER BY g.attnum)
    FROM pg_attribute g JOIN pg_attrdef d ON d.adrelid = g.attrelid AND d.adnum = g.attnum
    WHERE g.attrelid = part AND g.attgenerated <> '')"""
# A table's rows include those of its partitions, and of tables that inherit from it.
_PARTS = f"""(WITH RECURSIVE tree (part) AS (
    SELECT c.oid UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = part)
    SELECT string_agg(part::text || coalesce({_GENERATED}, ''), ',' ORDER BY part) FROM tree)"""

# The column numbers of each unique index. An index does not cover rows of inheriting tables, unless
# they are partitions.
_UNIQUE = """CASE WHEN c.relkind = 'p' OR NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = c.oid) THEN ARRAY(
    SELECT (SELECT string_agg(k.number::text, ' ') FROM unnest(i.indkey::int2[])
            WITH ORDINALITY AS k (number, place) WHERE k.place <= i.indnkeyatts)
    FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL) END"""

NAMED = """(n.nspname::text, c.relname::text) IN (
    SELECT * FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[])))"""
"""The condition that a table (c) of a schema (n) is one of those in the parameters of `named`."""

OF_PARTS = f"""FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
    WITH RECURSIVE tree (part) AS (
        SELECT c.oid UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = part)
    SELECT part FROM tree) AS parts JOIN pg_class p ON p.oid = part WHERE {NAMED}"""
"""The tables (c) of `NAMED`, each with all that holds its rows (p): itself, its partitions, and the
tables that inherit from it."""


# What is asked of a table is asked once for all of its columns, and of a type once for all tables:
# it is most of what a run reads in which nothing has changed.
_ATTRIBUTES = f"""
    WITH c AS MATERIALIZED (SELECT c.oid, n.nspname, c.relname, {{of_table}}
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND {{which}}),
    a AS MATERIALIZED (SELECT a.* FROM c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE a.attnum > 0 AND NOT a.attisdropped),
    base AS MATERIALIZED (SELECT a.atttypid, a.atttypmod, base.*
        FROM (SELECT DISTINCT a.atttypid, a.atttypmod FROM a) AS a, {_TYPE})
    SELECT c.nspname::text, c.relname::text, a.attname::text, base.described, {{what}}
    FROM c JOIN a ON a.attrelid = c.oid JOIN base USING (atttypid, atttypmod)
    ORDER BY c.nspname, c.relname, a.attnum"""


def named(tables: Collection[Table]) -> dict[str, list[str]]:
    """Return the parameters of `NAMED` for some tables."""
    return {
        "schemas": [table.schema for table in tables],
        "names": [table.name for table in tables],
    }


def sql_name(table: Table) -> str:
    """Return the quoted name of a table."""
    return f"{identifier(table.schema)}.{identifier(table.name)}"


@dataclass(frozen=True)
class Columns:
    """The columns of a table as (name, SQL type) in its own order: see `sqltypes`.

    `refused` is the right that this role lacks: on the schema, on the table, or to all of its rows;
    None if it lacks none. `incarnation` changes when the table, a partition or a column is
    recreated or replaced, and when a generated column gets another expression: rows may then have
    changed without a new xmin. `key_may_be_null` if a primary key has been dropped, `key_is_unique`
    if an index enforces that. `variable` are the columns with values of any size. `casts` are the
    types for SQL casts.
    """

    table: Table
    types: Types
    refused: str | None = None
    incarnation: str = ""
    key_may_be_null: bool = False
    key_is_unique: bool = True
    variable: frozenset[str] = frozenset()
    casts: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A digest that changes when a column is added, dropped, renamed, retyped or moved."""
        return fingerprint(self.types)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the table's rows, with `_unfit` for values that it cannot hold."""
        fields = [(carried_name(name), arrow_type(sql_type)) for name, sql_type in self.types]
        return pa.schema([*fields, (UNFIT, pa.string())])

    def drift(self) -> str | None:
        """Return why the declared columns cannot be read from this table; None when they can."""
        table, there = self.table, dict(self.types)
        if not self.types:
            return f"{table} is not in schema {table.schema} of the source (any more)"
        if self.refused is not None:
            why = _REFUSALS[self.refused].format(schema=table.schema, table=table.name)
            return f"{table}: {why}"
        for name, column in table.columns.items():
            if name not in there:
                return f"{table}: column {name} is gone: was it dropped or renamed?"
            if not is_accepted(column, there[name]):
                wanted, _ = needed(column)
                return f"{table}: column {name} is now {there[name]}, and {wanted} is declared"
        return None


def read_columns(connection: PostgresConnection, tables: Collection[Table]) -> dict[str, Columns]:
    """Return the current columns of each table, by its id; none for a missing table."""
    known = _attributes(
        connection,
        "base.cast_to, a.attnum, a.attnotnull, a.attlen, c.indexes, c.refused, c.parts",
        f"{_UNIQUE} AS indexes, {_REFUSED} AS refused, {_PARTS} AS parts",
        NAMED,
        **named(tables),
    )
    return {table.id: _columns(table, known.get(table.id, [])) for table in tables}


def unreadable(columns: Mapping[str, Columns]) -> list[str]:
    """Return why tables cannot be read as they are declared, a line for each that cannot."""
    return [problem for table in columns.values() if (problem := table.drift())]


def read_others(connection: PostgresConnection, tables: Collection[Table]) -> dict[str, Types]:
    """Return the current columns of all other tables of some tables' schemas, by id.

    Partitions do not count as tables.
    """
    others = _attributes(
        connection,
        "a.attnum",
        "c.relkind",
        f"n.nspname = ANY(:schemas) AND NOT c.relispartition AND NOT {NAMED}",
        **named(tables),
    )
    return {table: _types(attributes) for table, attributes in others.items()}


def fingerprint(value: object) -> str:
    """Return a digest of columns, or any other value, as 64 hexadecimal digits."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def read_names(connection: PostgresConnection, tables: Collection[Table]) -> list[Table]:
    """Return the tables that are there and may be read."""
    rows = connection.run(
        "SELECT n.nspname::text, c.relname::text"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ('r', 'p') AND {NAMED} AND {_REFUSED} IS NULL",
        **named(tables),
    )
    there = {table_id(schema, name) for schema, name in rows}
    return [table for table in tables if table.id in there]


def _attributes(
    connection: PostgresConnection,
    what: str,
    of_table: str,
    which: str,
    **parameters: list[str],
) -> dict[str, list[list[Any]]]:
    """Return name, type and `what` (SQL) of the columns of tables, in the tables' order.

    `what` may use what is selected `of_table`, once for all of its columns.
    """
    rows = connection.run(
        _ATTRIBUTES.format(of_table=of_table, which=which, what=what), **parameters
    )
    found: dict[str, list[list[Any]]] = {}
    for schema, table, *attribute in rows:
        found.setdefault(table_id(schema, table), []).append(attribute)
    return found


def _columns(table: Table, attributes: list[list[Any]]) -> Columns:
    if not attributes:
        return Columns(table, ())
    [[*_, indexes, refused, parts], *_] = attributes
    numbers = {name: number for name, _, _, number, *_ in attributes}
    optional = {name for name, _, _, _, not_null, *_ in attributes if not not_null}
    key = {str(numbers.get(name)) for name in table.keys}
    return Columns(
        table,
        _types(attributes),
        refused,
        fingerprint((parts, list(numbers.values()))),
        key_may_be_null=not optional.isdisjoint(table.keys),
        key_is_unique=any(key.issuperset(index.split()) for index in indexes or ()),
        variable=frozenset(
            name
            for name, sql_type, _, _, _, length, *_ in attributes
            if length < 0 and not _is_short(sql_type)
        ),
        casts={name: cast_to for name, _, cast_to, *_ in attributes},
    )


def _is_short(sql_type: str) -> bool:
    """Return whether values of a type without a fixed size are always short as text.

    A numeric has at most 131,072 digits before its point and 16,383 after it.
    """
    return sql_type.startswith("numeric") and not sql_type.endswith("[]")


def _types(attributes: Iterable[list[Any]]) -> Types:
    return tuple((name, sql_type) for name, sql_type, *_ in attributes)


def carried_name(column: str) -> str:
    """Return the name under which a column is carried: its own, unless the engine uses that.

    The replacement has over 63 bytes, more than any name in PostgreSQL, so it never clashes.
    """
    if column not in OWN_COLUMNS:
        return column
    return f"{column} (of the source; the plain name is a column of the pipeline itself)"
