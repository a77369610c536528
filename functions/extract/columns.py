"""The columns of the source tables: what they are today, how Arrow holds them, and drift.

Every column of a table is carried, also one that the star does not know. Values that Arrow cannot
hold (NaN, infinity) travel as text in `_unfit`, so that no row stops a batch.
"""

import hashlib
import re
from dataclasses import dataclass

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier, literal

from functions.common.totesys import Family, Table

SCHEMA = "public"

_FAMILIES: dict[Family, re.Pattern[str]] = {
    "integer": re.compile(r"smallint|integer|bigint"),
    "numeric": re.compile(r"numeric(\(\d+,-?\d+\))?"),
    "text": re.compile(r"text|character( varying)?(\(\d+\))?|enum .*"),
    "boolean": re.compile(r"boolean"),
    "timestamp": re.compile(r"timestamp(\(\d\))? without time zone"),
}


@dataclass(frozen=True)
class Columns:
    """The columns of a table as (name, SQL type) in its own order; an enum is `enum <name>`."""

    table: Table
    types: tuple[tuple[str, str], ...]
    readable: bool

    @property
    def fingerprint(self) -> str:
        """A digest that changes when a column is added, dropped, renamed, retyped or moved."""
        return hashlib.sha256(repr(self.types).encode()).hexdigest()

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the table's rows, `_unfit` last."""
        fields = [(name, arrow_type(sql_type)) for name, sql_type in self.types]
        return pa.schema([*fields, ("_unfit", pa.string())])

    def drift(self) -> str | None:
        """Say why the star cannot be made from this table, or return None when it can."""
        name = f"table {self.table.name}"
        if not self.types:
            return f"{name} is not in schema {SCHEMA} of the source (any more)"
        if not self.readable:
            return f"{name}: no right to read it: GRANT SELECT ON {self.table.name} to this role"
        there = dict(self.types)
        for column, family in self.table.columns.items():
            if column not in there:
                return f"{name}: column {column} is gone: was it dropped or renamed?"
            if not _FAMILIES[family].fullmatch(there[column]):
                return (
                    f"{name}: column {column} is now {there[column]}, and the star needs {family}"
                )
        return None

    def select_list(self) -> str:
        """Return the SQL that selects the row as `schema` has it."""
        unfit = {name: test for name, kind in self.types if (test := _unfit_test(name, kind))}
        items = [
            f"CASE WHEN NOT ({unfit[name]}) THEN {identifier(name)} END"
            if name in unfit
            else f"{identifier(name)}"
            for name, _ in self.types
        ]
        return ", ".join([*items, _unfit_object(unfit)])


def read_columns(
    connection: pg8000.native.Connection, tables: dict[str, Table]
) -> dict[str, Columns]:
    """Return today's columns of each table, none for a table that is not there."""
    rows = connection.run(
        "SELECT c.relname::text, a.attname::text, has_table_privilege(c.oid, 'SELECT'),"
        " CASE t.typtype WHEN 'e' THEN 'enum ' ELSE '' END || format_type(a.atttypid, a.atttypmod)"
        " FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND c.relname = ANY(:names)"
        " ORDER BY c.relname, a.attnum",
        schema=SCHEMA,
        names=list(tables),
    )
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in tables}
    readable = {}
    for table, column, may_read, sql_type in rows:
        found[table].append((column, sql_type))
        readable[table] = may_read
    return {
        name: Columns(table, tuple(found[name]), readable.get(name, False))
        for name, table in tables.items()
    }


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


def _unfit_test(column: str, sql_type: str) -> str | None:
    """Return the SQL that is true for values that the column's Arrow type cannot hold."""
    name, arrow = identifier(column), arrow_type(sql_type)
    if pa.types.is_decimal(arrow):
        return f"coalesce({name} = 'NaN', false)"
    if pa.types.is_timestamp(arrow):
        # Also keeps to the years that a date of the warehouse and of Python can have.
        return f"coalesce({name} < '0001-01-01' OR {name} >= '10000-01-01', false)"
    return None


def _unfit_object(unfit: dict[str, str]) -> str:
    """Return the SQL of a JSON object {column: text} with the unfit values, NULL without any."""
    if not unfit:
        return "NULL::text"
    pairs = ", ".join(
        f"{literal(name)}, CASE WHEN {test} THEN {identifier(name)}::text END"
        for name, test in unfit.items()
    )
    either = " OR ".join(unfit.values())
    return f"CASE WHEN {either} THEN jsonb_strip_nulls(jsonb_build_object({pairs}))::text END"
