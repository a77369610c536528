"""How the SQL of MySQL names the tables of a warehouse, and compares their rows: by their bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from etl.models import Model
from etl.targets import Target, TargetTable
from functions.common.errors import WarehouseSetupError
from functions.common.loaded import Warehouse
from functions.common.mysql import MysqlConnection, ServerError, literal, quoted
from functions.targets.layout import Layout, WarehouseTable, lay_out
from functions.targets.mysql.catalogue import (
    require_engine,
    require_temporary_tables,
    tables_of,
)
from functions.targets.own_tables import DELETIONS, LEDGER

BOOLEAN = "tinyint(1)"
"""The catalogue's name of BOOLEAN."""

_UNKNOWN_VARIABLE = 1193


@dataclass(frozen=True)
class MysqlTable(WarehouseTable):
    """A table of the warehouse, as SQL names it and compares its values.

    `definitions` are the SQL of the columns' types, with their collations.
    """

    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The quoted name of the table."""
        return f"{quoted(self.schema)}.{quoted(self.actual)}"

    def value(self, column: str, alias: str) -> str:
        """Return the SQL by which values of a column of an alias are compared."""
        value = f"{alias}.{quoted(column)}"
        return f"CAST({value} AS BINARY)" if column in self.opaque else value

    def key_values(self, alias: str) -> str:
        """Return the SQL list by which the keys of an alias are compared."""
        return ", ".join(self.value(column, alias) for column in self.keys)

    def same_key(self, here: str, there: str) -> str:
        """Return the SQL condition that two aliases have the same key.

        The collation's equality, which can use the index, is implied by that of the bytes.
        """
        return " AND ".join(
            f"{here}.{quoted(column)} = {there}.{quoted(column)}"
            + (
                f" AND {self.value(column, here)} = {self.value(column, there)}"
                if column in self.opaque
                else ""
            )
            for column in self.keys
        )

    def key_text(self, alias: str) -> str:
        """Return the SQL of a key as the text that `functions.common.keys` makes of it."""
        texts = [_text(self.types[column], f"{alias}.{quoted(column)}") for column in self.keys]
        if len(texts) == 1:
            return texts[0]
        escaped = [rf"replace(replace({text}, '\', '\\'), ',', '\,')" for text in texts]
        return f"concat_ws(',', {', '.join(escaped)})"


def _text(kind: str, value: str) -> str:
    """Return the SQL of a value as `functions.common.keys` writes it."""
    if kind == BOOLEAN:
        return f"CASE {value} WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE {value} END"
    match kind.partition("(")[0].partition(" ")[0]:
        case "datetime" | "timestamp":
            return f"date_format({value}, '%Y-%m-%d %H:%i:%s.%f')"
        case "time":
            return f"time_format({value}, '%H:%i:%s.%f')"
        case "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext":
            return value
        case "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob":
            return rf"concat('\x', lower(hex({value})))"
    return f"CAST({value} AS CHAR)"


MysqlLayout = Layout[MysqlTable]


def inspect(
    connection: MysqlConnection,
    schema: str,
    target: Target,
    declared: Iterable[TargetTable],
    models: Sequence[Model] = (),
) -> MysqlLayout:
    """Find declared tables, in order, and those of models; `schema` is the warehouse's own.

    Raises WarehouseSetupError for a missing table, column or right, or a table without
    transactions.
    """
    there = {
        home: tables_of(connection, home, names) for home, names in names_of(target, schema).items()
    }

    def make(name: str, home: str, actual: str, *others: Any) -> MysqlTable:
        found = there[home][actual]
        require_engine(found)
        table = MysqlTable(name, home, actual, *others)
        return replace(table, definitions=found.definitions)

    layout = lay_out(make, there, _identity(connection, schema), target, declared, models=models)
    if layout.has_deletions:
        require_engine(there[schema][DELETIONS])
    require_temporary_tables(connection, schema)
    return with_rows(connection, layout)


def names_of(target: Target, schema: str) -> dict[str, list[str]]:
    """Return every name that a table of the target may have, by database, with load's own."""
    names: dict[str, list[str]] = {schema: [DELETIONS, LEDGER]}
    if target.calendar:
        names[schema].append(target.calendar.name)
    for table in target.made:
        names.setdefault(table.schema or schema, []).extend([table.name, *table.other_names])
    for home in target.schemas(schema):
        names.setdefault(home, [])
    return names


def with_rows(connection: MysqlConnection, layout: MysqlLayout) -> MysqlLayout:
    """Return a layout whose identity has, as `file`, whether each table has rows.

    Nothing else shows that a table was truncated.
    """
    files = layout.identity.tables
    tables = {name: table.target for name, table in layout.all.items()}
    if layout.has_deletions:
        tables[DELETIONS] = f"{quoted(layout.identity.schema)}.{quoted(DELETIONS)}"
    columns = ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables.values())
    found = connection.run(f"SELECT {columns}")[0] if tables else ()
    seen = {
        name: structs.replace(files[name], file=int(has_rows))
        for name, has_rows in zip(tables, found, strict=True)
    }
    return replace(layout, identity=structs.replace(layout.identity, tables=files | seen))


def _identity(connection: MysqlConnection, schema: str) -> Warehouse:
    """Return which warehouse it is, without its tables."""
    [[_, uptime]] = connection.run("SHOW GLOBAL STATUS LIKE 'Uptime'")
    [[now]] = connection.run("SELECT UTC_TIMESTAMP()")
    started_at = now.replace(tzinfo=UTC) - timedelta(seconds=int(uptime))
    return Warehouse(_server(connection), schema, 0, schema, started_at, {})


def _server(connection: MysqlConnection) -> str:
    """Return the identity of a server; MariaDB has had a unique one only since 2024."""
    for variables in ("@@server_uuid", "@@global.server_uid", "@@hostname, @@port, @@server_id"):
        try:
            [found] = connection.run(f"SELECT {variables}")
        except ServerError as error:
            if error.condition.code != _UNKNOWN_VARIABLE:
                raise
        else:
            return " ".join(map(str, found))
    raise WarehouseSetupError("the warehouse's server has no name: is it MySQL?")


def moment(at: datetime) -> str:
    """Return the SQL of a timestamp."""
    return literal(at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"))
