"""The star tables as the load knows them, under the names that this installation gave them.

Nothing is changed here: names that differ are followed, and a table or column that is not there
stops the load with a word on what to ask for.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import pg8000.native
from pg8000.native import identifier

from functions.common.errors import WarehouseMismatch
from functions.common.manifests import TableFile, Warehouse

DIMENSIONS = {
    "dim_counterparty": "counterparty_id",
    "dim_currency": "currency_id",
    "dim_design": "design_id",
    "dim_location": "location_id",
    "dim_payment_type": "payment_type_id",
    "dim_staff": "staff_id",
    "dim_transaction": "transaction_id",
}
FACTS = {
    "fact_sales_order": "sales_order_id",
    "fact_purchase_order": "purchase_order_id",
    "fact_payment": "payment_id",
}
CALENDAR = "dim_date"
STAR_TABLES = (*DIMENSIONS, CALENDAR, *FACTS)

# Names that differ between installations, the usual one first.
TABLE_NAMES = {"fact_purchase_order": ("fact_purchase_order", "fact_purchase_orders")}
COLUMN_NAMES = {"last_updated_time": ("last_updated_time", "last_updated")}


@dataclass(frozen=True)
class StarTable:
    """A table of the warehouse: `name` as we call it, `actual` and its columns as they are there.

    `types` are the SQL types of its columns; `record_id` is the column that the warehouse numbers
    itself, None for a dimension.
    """

    name: str
    schema: str
    actual: str
    types: Mapping[str, str]
    record_id: str | None

    @property
    def target(self) -> str:
        """The table as SQL names it."""
        return f"{identifier(self.schema)}.{identifier(self.actual)}"

    def column(self, name: str) -> str:
        """Return what this installation calls a column; raise WarehouseMismatch if it has none."""
        for candidate in COLUMN_NAMES.get(name, (name,)):
            if candidate in self.types:
                return candidate
        raise WarehouseMismatch(
            f"warehouse table {self.schema}.{self.actual} has no column {name}: ask for it"
        )


@dataclass(frozen=True)
class Star:
    """The warehouse: which one it is, and its tables by our names."""

    identity: Warehouse
    tables: dict[str, StarTable]


def inspect_star(connection: pg8000.native.Connection, schema: str) -> Star:
    """Look at the star tables of a schema; raise WarehouseMismatch for what is missing."""
    there = tables_of(connection, schema)
    tables, files = {}, {}
    for name in STAR_TABLES:
        actual = actual_name(name, there)
        if actual is None:
            raise WarehouseMismatch(
                f"table {name} is not in schema {schema} of the warehouse, or this role may not "
                "use the schema: ask for it to be prepared, set WAREHOUSE_SCHEMA, or, where the "
                "schema is this role's own, set WAREHOUSE_MANAGED=true"
            )
        found = there[actual]
        needed = {"SELECT", "INSERT"} | ({"UPDATE"} if name in DIMENSIONS else set())
        check_rights(f"{schema}.{actual}", found, needed)
        record_id = _record_id(name, f"{schema}.{actual}", found) if name in FACTS else None
        types = dict(zip(found["columns"], found["types"], strict=True))
        tables[name] = StarTable(name, schema, actual, types, record_id)
        files[name] = TableFile(found["oid"], found["file"])
    return Star(_identity(connection, schema, files), tables)


def actual_name(name: str, there: Container[str]) -> str | None:
    """Return what this installation calls a star table, None if it has none."""
    return next((n for n in TABLE_NAMES.get(name, (name,)) if n in there), None)


def tables_of(connection: pg8000.native.Connection, schema: str) -> dict[str, dict[str, Any]]:
    """Return, by name, what there is to know of all tables of a schema.

    Each has its `oid` and `file`, its `columns` and their `types`, those of the columns that are
    `numbered` by the warehouse, and the rights that this role is `refused`.
    """
    rows = connection.run(
        "SELECT c.relname::text, c.oid, pg_relation_filenode(c.oid),"
        " array_agg(a.attname::text ORDER BY a.attnum),"
        " array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),"
        " array_remove(array_agg(CASE WHEN a.attidentity <> '' OR"
        " pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN a.attname::text END), NULL),"
        " ARRAY(SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS r"
        " WHERE NOT has_table_privilege(c.oid, r))"
        " FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
        " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')"
        " GROUP BY c.relname, c.oid",
        schema=schema,
    )
    fields = ("oid", "file", "columns", "types", "numbered", "refused")
    return {name: dict(zip(fields, rest, strict=True)) for name, *rest in rows}


def check_rights(actual: str, found: dict[str, Any], needed: set[str]) -> None:
    """Raise WarehouseMismatch if a table of `tables_of` refuses a right that is needed."""
    if lacking := sorted(needed & set(found["refused"])):
        rights = ", ".join(lacking)
        raise WarehouseMismatch(f"no right to {rights} on {actual} of the warehouse: ask for it")


def _record_id(name: str, actual: str, found: dict[str, Any]) -> str:
    """Return the column that orders a fact's history: the one that the warehouse numbers."""
    match found["numbered"]:
        case [column]:
            return str(column)
    raise WarehouseMismatch(
        f"warehouse table {actual} has no single serial or identity column: "
        f"the history of {name} cannot be kept in order"
    )


def _identity(
    connection: pg8000.native.Connection, schema: str, tables: dict[str, TableFile]
) -> Warehouse:
    [[system_identifier, database, oid, started_at]] = connection.run(
        "SELECT system_identifier::text, datname::text, oid, pg_postmaster_start_time()"
        " FROM pg_control_system(), pg_database WHERE datname = current_database()"
    )
    return Warehouse(system_identifier, database, oid, schema, started_at, tables)
