"""The SQL that creates the tables of a warehouse: from the declaration, or from a file of DDL.

Tables that are made from a declaration have no foreign keys: rows of tables with circular
references could not be inserted table by table.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from etl import columns as types
from etl import ddlfile
from etl.columns import Column
from etl.ddlfile import DdlFile
from etl.errors import DeclarationError
from etl.targets import Target, TargetTable

CALENDAR_COLUMNS = {
    "date_id": "date",
    "year": "integer",
    "month": "integer",
    "day": "integer",
    "day_of_week": "integer",
    "day_name": "text",
    "month_name": "text",
    "quarter": "integer",
}
"""The columns of a calendar and their types."""

_NAME_BYTES = 63  # of a name in PostgreSQL

_PLAIN: dict[type[Column], str] = {
    types.SmallInteger: "smallint",
    types.Integer: "integer",
    types.BigInteger: "bigint",
    types.Real: "real",
    types.Double: "double precision",
    types.Text: "text",
    types.Boolean: "boolean",
    types.Date: "date",
    types.IsoDate: "date",
    types.UnixTime: "timestamp with time zone",
    types.Interval: "interval",
    types.Uuid: "uuid",
    types.Point: "point",
    types.Bytes: "bytea",
    # A type of the source that the warehouse may lack.
    types.Other: "text",
}


def postgres(target: Target, schema: str, folder: Path | None = None) -> dict[str, str]:
    """Return the SQL that creates each table of a warehouse, in a valid order.

    A table without a schema is created in `schema`. The SQL is taken from the file that the target
    names as `ddl`, in the pipeline's `folder`, or made from the columns. Raises DeclarationError if
    neither defines a table.
    """
    if target.ddl is not None and folder is not None:
        return DdlFile(folder / target.ddl, '"').statements(target, schema)
    statements = {} if target.calendar is None else _calendar(target.calendar.name, schema)
    return statements | {table.name: _table(table, table.schema or schema) for table in target.made}


def create_views(target: Target, schema: str, folder: Path) -> dict[str, str]:
    """Return the SQL that creates each view of a warehouse, or replaces it, in their order.

    Raises DeclarationError for an invalid SELECT.
    """
    path = search_path(target.schemas(schema))
    return {
        view.name: f"BEGIN;\nSET LOCAL search_path = {path};\nCREATE OR REPLACE VIEW "
        f"{quoted(view.schema or schema)}.{quoted(view.name)} AS\n{view.query(folder)}\n;\nCOMMIT;"
        for view in target.views
    }


def search_path(schemas: Iterable[str]) -> str:
    """Return the search path by which the SQL of models and views finds tables in schemas."""
    return ", ".join(map(quoted, [*schemas, "pg_temp"]))


def create_schema(schema: str) -> str:
    """Return the SQL that creates a schema unless it is there."""
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)};"


def current_view(history: str) -> str:
    """Return the name of the view of a history's current state, truncated as PostgreSQL does."""
    name = f"current_{history.removeprefix('fact_')}"
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


def sql_type(column: Column) -> str:
    """Return the type of PostgreSQL that holds a column, as format_type names it."""
    match column:
        case types.Numeric(precision, scale):
            return "numeric" if precision is None else f"numeric({precision},{scale or 0})"
        case types.Time(timezone=timezone):
            return f"time {_zone(timezone)}"
        case types.Timestamp(timezone=timezone):
            return f"timestamp {_zone(timezone)}"
        case types.Json(binary=binary):
            return "jsonb" if binary else "json"
        case types.Array(of):
            return sql_type(of).removesuffix("[]") + "[]"
    return _PLAIN[type(column)]


def columns_of(table: TargetTable) -> Mapping[str, Column]:
    """Return the columns of a target table; raise DeclarationError if none are declared."""
    if table.columns is None:
        raise DeclarationError(
            f"{table} cannot be created: declare its columns={{…}}, or name a file with the "
            "warehouse's DDL: …Warehouse(…, ddl=…)"
        )
    return table.columns


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return ddlfile.quoted(name, '"')


def _zone(timezone: bool) -> str:
    return "with time zone" if timezone else "without time zone"


def _table(table: TargetTable, schema: str) -> str:
    """Return the statements for a table; a history has a record number and an index."""
    home = f"{quoted(schema)}.{quoted(table.name)}"
    key = ", ".join(map(quoted, table.key))
    lines = [
        f"{quoted(name)} {sql_type(column)}"
        + ("" if column.nullable and name not in table.key else " NOT NULL")
        for name, column in columns_of(table).items()
    ]
    if table.way == "history":
        record_id = quoted(f"{table.name}_record_id")
        lines.insert(0, f"{record_id} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        return f"{_create(home, lines)};\nCREATE INDEX ON {home} ({key}, {record_id});"
    if key:
        lines.append(f"PRIMARY KEY ({key})")
    return f"{_create(home, lines)};"


def _calendar(name: str, schema: str) -> dict[str, str]:
    lines = [f"{quoted(column)} {kind} NOT NULL" for column, kind in CALENDAR_COLUMNS.items()]
    lines.append('PRIMARY KEY ("date_id")')
    return {name: f"{_create(f'{quoted(schema)}.{quoted(name)}', lines)};"}


def _create(home: str, lines: list[str]) -> str:
    return f"CREATE TABLE {home} (\n    " + ",\n    ".join(lines) + "\n)"
