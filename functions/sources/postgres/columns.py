"""The columns of the source tables: what they are today, how Arrow holds them, and drift.

Every column of a table is carried, also one that the star does not know.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pg8000.native
import pyarrow as pa

from functions.common.carried import KNOWN, UNFIT
from functions.common.totesys import Family, Table

SCHEMA = "public"
Types = tuple[tuple[str, str], ...]

# What rows get on their way to the star and to the quarantine.
OWN_COLUMNS = (UNFIT, KNOWN, "_xid", "_batch", "_reason", "_target")

_FAMILIES: dict[Family, re.Pattern[str]] = {
    "integer": re.compile(r"smallint|integer|bigint"),
    "numeric": re.compile(r"numeric(\(\d+,-?\d+\))?"),
    "text": re.compile(r"text|character( varying)?(\(\d+\))?|enum .*", re.DOTALL),
    "boolean": re.compile(r"boolean"),
    "timestamp": re.compile(r"timestamp(\(\d\))? without time zone"),
    "date": re.compile(
        r"date|text|character( varying)?(\(\d+\))?|timestamp(\(\d\))? without time zone"
    ),
}
_REFUSALS = {
    "schema": "no right to its schema: GRANT USAGE ON SCHEMA {schema} TO this role",
    "table": "no right to read it: GRANT SELECT ON {table} to this role",
    "rows": "row-level security hides rows of it: give this role BYPASSRLS",
}
_REFUSED = """CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'schema'
    WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'table'
    WHEN row_security_active(c.oid) THEN 'rows' END"""
_SQL_TYPE = """CASE t.typtype WHEN 'e' THEN 'enum ' || quote_ident(t.typname)
        ELSE format_type(a.atttypid, a.atttypmod) END
    || coalesce((SELECT ' (' || string_agg(enumlabel, ', ' ORDER BY enumsortorder) || ')'
                 FROM pg_enum WHERE enumtypid = t.oid), '')"""
# The value of a generated column may follow its expression without any row being written.
_GENERATED = """(SELECT string_agg(format(' %s %s %s', g.attnum, g.attgenerated,
                                  pg_get_expr(d.adbin, d.adrelid)), '' ORDER BY g.attnum)
    FROM pg_attribute g JOIN pg_attrdef d ON d.adrelid = g.attrelid AND d.adnum = g.attnum
    WHERE g.attrelid = part AND g.attgenerated <> '')"""
# A partition, or a table that inherits, brings its rows with it.
_PARTS = f"""(WITH RECURSIVE tree (part) AS (
    SELECT c.oid UNION SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = part)
    SELECT string_agg(part::text || coalesce({_GENERATED}, ''), ',' ORDER BY part) FROM tree)"""


# An index does not cover the rows of tables that inherit, unless they are partitions.
_UNIQUE = """(c.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid))
    AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
        AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL)"""

# A numeric has at most 131,072 digits before its point and 16,383 after it.
_VARIABLE = "t.typlen = -1 AND t.typname <> 'numeric'"


@dataclass(frozen=True)
class Columns:
    """The columns of a table as (name, SQL type) in its own order; an enum is `enum <name> (…)`.

    `refused` says what keeps us from the rows: a right on the schema, on the table, or to all of
    its rows; None when nothing does. `incarnation` changes when the table, a partition or a column
    is made again or replaced, under whatever name, and when a generated column gets another
    expression: the rows may then be others although no transaction has touched them since.
    `key_may_be_null` when a primary key has been dropped. `key_is_unique` when an index makes sure
    that no two rows have the same key. `variable` are the columns whose values may have any size.
    """

    table: Table
    types: Types
    refused: str | None = None
    incarnation: str = ""
    key_may_be_null: bool = False
    key_is_unique: bool = True
    variable: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str:
        """A digest that changes when a column is added, dropped, renamed, retyped or moved."""
        return fingerprint(self.types)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the table's rows, and `_unfit` for values that it cannot hold."""
        fields = [(carried_name(name), arrow_type(sql_type)) for name, sql_type in self.types]
        return pa.schema([*fields, (UNFIT, pa.string())])

    def drift(self) -> str | None:
        """Say why the star cannot be made from this table, or return None when it can."""
        name = f"table {self.table.name}"
        if not self.types:
            return f"{name} is not in schema {SCHEMA} of the source (any more)"
        if self.refused is not None:
            why = _REFUSALS[self.refused].format(schema=SCHEMA, table=self.table.name)
            return f"{name}: {why}"
        there = dict(self.types)
        for column, family in self.table.columns.items():
            if column not in there:
                return f"{name}: column {column} is gone: was it dropped or renamed?"
            if not _FAMILIES[family].fullmatch(there[column]):
                return (
                    f"{name}: column {column} is now {there[column]}, and the star needs {family}"
                )
        return None


def read_columns(
    connection: pg8000.native.Connection, tables: dict[str, Table]
) -> dict[str, Columns]:
    """Return today's columns of each table, none for a table that is not there."""
    known = _attributes(
        connection,
        f"a.attnum, a.attnotnull, {_UNIQUE}, {_VARIABLE}, {_REFUSED}, {_PARTS}",
        "c.relname = ANY(:names)",
        tables,
    )
    return {name: _columns(table, known.get(name, [])) for name, table in tables.items()}


def read_others(connection: pg8000.native.Connection, tables: Iterable[str]) -> dict[str, Types]:
    """Return today's columns of every further table of the schema; partitions are no tables."""
    others = _attributes(
        connection, "a.attnum", "c.relname <> ALL(:names) AND NOT c.relispartition", tables
    )
    return {name: _types(attributes) for name, attributes in others.items()}


def fingerprint(value: object) -> str:
    """Return a digest of columns, or of what else is to be told apart: 64 hexadecimal digits."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _attributes(
    connection: pg8000.native.Connection, what: str, which: str, names: Iterable[str]
) -> dict[str, list[list[Any]]]:
    """Return name, type and `what` (SQL) of the columns of tables, in the tables' order."""
    rows = connection.run(
        f"SELECT c.relname::text, a.attname::text, {_SQL_TYPE}, {what} FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type t ON t.oid = a.atttypid"
        f" WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND {which}"
        " ORDER BY c.relname, a.attnum",
        schema=SCHEMA,
        names=list(names),
    )
    found: dict[str, list[list[Any]]] = {}
    for table, *attribute in rows:
        found.setdefault(table, []).append(attribute)
    return found


def _columns(table: Table, attributes: list[list[Any]]) -> Columns:
    if not attributes:
        return Columns(table, ())
    [[*_, refused, parts], *_] = attributes
    incarnation = fingerprint((parts, [number for _, _, number, *_ in attributes]))
    optional = {name for name, _, _, not_null, *_ in attributes if not not_null}
    unique = {name for name, _, _, _, is_unique, *_ in attributes if is_unique}
    return Columns(
        table,
        _types(attributes),
        refused,
        incarnation,
        key_may_be_null=table.key in optional,
        key_is_unique=table.key in unique,
        variable=frozenset(name for name, *_, is_variable, _, _ in attributes if is_variable),
    )


def _types(attributes: list[list[Any]]) -> Types:
    return tuple((name, sql_type) for name, sql_type, *_ in attributes)


def carried_name(column: str) -> str:
    """Return the name under which a column is carried: its own, unless we use that ourselves.

    The other name has over 63 bytes, which no name of PostgreSQL has, so it clashes with none.
    """
    if column not in OWN_COLUMNS:
        return column
    return f"{column} (of the source; the plain name is a column of the pipeline itself)"


def arrow_type(sql_type: str) -> pa.DataType:
    """Return the exact Arrow type for a column; text for whatever has none."""
    match sql_type:
        case "smallint" | "integer":
            return pa.int32()
        case "bigint":
            return pa.int64()
        case "boolean":
            return pa.bool_()
    if numeric := re.fullmatch(r"numeric\((\d+),(\d+)\)", sql_type):
        precision, scale = int(numeric[1]), int(numeric[2])
        if scale <= precision <= 38:
            return pa.decimal128(precision, scale)
    if stamp := re.fullmatch(r"timestamp(?:\((\d)\))? without time zone", sql_type):
        return pa.timestamp("ms" if stamp[1] and int(stamp[1]) <= 3 else "us")
    return pa.string()
