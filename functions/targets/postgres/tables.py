"""How the SQL of PostgreSQL names the tables of a warehouse, and compares their rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pg8000.native import identifier

from etl.models import Model
from etl.targets import Target, TargetTable
from functions.common.loaded import Warehouse
from functions.common.pgconnection import PostgresConnection
from functions.targets.layout import Layout, WarehouseTable, lay_out
from functions.targets.postgres.catalogue import tables_of


@dataclass(frozen=True)
class PostgresTable(WarehouseTable):
    """A table of the warehouse, as SQL names it and compares its values."""

    @property
    def target(self) -> str:
        """The quoted name of the table."""
        return f"{identifier(self.schema)}.{identifier(self.actual)}"

    @property
    def finds_keys(self) -> bool:
        """Whether an index finds rows by their key, as SQL compares it."""
        return self.is_indexed and self.opaque.isdisjoint(self.keys)

    def value(self, column: str, alias: str) -> str:
        """Return the SQL by which values of a column of an alias are compared."""
        value = f"{alias}.{identifier(column)}"
        return f"{value}::text" if column in self.opaque else value

    def key_values(self, alias: str) -> str:
        """Return the SQL list by which the keys of an alias are compared."""
        return ", ".join(self.value(column, alias) for column in self.keys)

    def same_key(self, here: str, there: str) -> str:
        """Return the SQL condition that two aliases have the same key."""
        return " AND ".join(
            f"{self.value(column, here)} = {self.value(column, there)}" for column in self.keys
        )

    def key_text(self, alias: str) -> str:
        """Return the SQL of a key as the text that `functions.common.keys` makes of it."""
        texts = [_text(self.types[column], f"{alias}.{identifier(column)}") for column in self.keys]
        if len(texts) == 1:
            return texts[0]
        escaped = [rf"replace(replace({text}, '\', '\\'), ',', '\,')" for text in texts]
        return " || ',' || ".join(escaped)


def _text(kind: str, value: str) -> str:
    """Return the SQL of a value as `functions.common.keys` writes it."""
    if kind.startswith("timestamp"):
        at = f"{value} AT TIME ZONE 'UTC'" if kind.endswith("with time zone") else value
        return f"to_char({at}, 'YYYY-MM-DD HH24:MI:SS.US')"
    if kind.startswith("time") and kind.endswith("without time zone"):
        return f"to_char({value}, 'HH24:MI:SS.US')"
    if kind.startswith("character("):
        return f"concat({value})"  # a cast drops trailing blanks
    return f"{value}::text"


PostgresLayout = Layout[PostgresTable]


def inspect(
    connection: PostgresConnection,
    schema: str,
    target: Target,
    declared: Iterable[TargetTable],
    models: Sequence[Model] = (),
) -> PostgresLayout:
    """Find declared tables, in order, and those of models; `schema` is the warehouse's own.

    Raises WarehouseSetupError for a missing table, column or right.
    """
    there = {each: tables_of(connection, each) for each in target.schemas(schema)}
    identity = _identity(connection, schema)
    return lay_out(PostgresTable, there, identity, target, declared, models=models)


def _identity(connection: PostgresConnection, schema: str) -> Warehouse:
    """Return which warehouse it is, without its tables."""
    [[system_identifier, database, oid, started_at]] = connection.run(
        "SELECT system_identifier::text, datname::text, oid, pg_postmaster_start_time()"
        " FROM pg_control_system(), pg_database WHERE datname = current_database()"
    )
    return Warehouse(system_identifier, database, oid, schema, started_at, {})
