"""The SQL that creates the tables of a MySQL warehouse: from the declaration, or from a file.

Tables that are made from a declaration have no foreign keys, as in `ddl`. Texts are compared by
their bytes, with trailing blanks: their collation is binary and NO PAD.
"""

from collections.abc import Iterable
from pathlib import Path

from etl import columns as types
from etl import ddlfile
from etl.columns import Column
from etl.ddl import CALENDAR_COLUMNS, columns_of
from etl.ddlfile import DdlFile
from etl.errors import DeclarationError
from etl.targets import Target, TargetTable

COLLATION = "utf8mb4_0900_bin"
"""The collation of texts in MySQL."""

MARIADB_COLLATION = "utf8mb4_nopad_bin"
"""The collation of texts in MariaDB."""

NAME_CHARACTERS = 64  # of a name in MySQL
_KEY_CHARACTERS = 740  # of an index: InnoDB's 3,072 bytes, less those for numbers
_MOST_CHARACTERS = 255
_DIGITS, _SCALE = 65, 30  # of a DECIMAL

_PLAIN: dict[type[Column], str] = {
    types.SmallInteger: "smallint",
    types.Integer: "int",
    types.BigInteger: "bigint",
    types.Real: "float",
    types.Double: "double",
    types.Boolean: "tinyint(1)",
    types.Date: "date",
    types.IsoDate: "date",
    types.Time: "time(6)",
    types.Timestamp: "datetime(6)",
    types.UnixTime: "datetime(6)",
    types.Uuid: "char(36)",
    types.Json: "json",
    types.Point: "point",
    types.Bytes: "longblob",
}
"""Other types do not exist in MySQL, and are stored as text."""

_DAY = {"date": "date", "integer": "int", "text": "varchar(16)"}


def mysql(
    target: Target, schema: str, folder: Path | None = None, collation: str = COLLATION
) -> dict[str, str]:
    """Return the SQL that creates each table of a warehouse, in a valid order.

    As `ddl.postgres`, for a database `schema`; `collation` is that of texts.
    """
    if target.ddl is not None and folder is not None:
        return DdlFile(folder / target.ddl, "`").statements(target, schema)
    made = {table.name: _table(table, table.schema or schema, collation) for table in target.made}
    if target.calendar is None:
        return made
    return {target.calendar.name: _calendar(target.calendar.name, schema, collation)} | made


def create_views(target: Target, schema: str, folder: Path) -> dict[str, str]:
    """Return the SQL that creates each view of a warehouse, or replaces it, in their order.

    Raises DeclarationError for an invalid SELECT.
    """
    return {
        view.name: f"USE {quoted(schema)};\nCREATE OR REPLACE VIEW "
        f"{quoted(view.schema or schema)}.{quoted(view.name)} AS\n{view.query(folder)}\n;"
        for view in target.views
    }


def create_schema(schema: str) -> str:
    """Return the SQL that creates a database unless it is there."""
    return f"CREATE DATABASE IF NOT EXISTS {quoted(schema)} CHARACTER SET utf8mb4;"


def sql_type(column: Column, characters: int | None = None) -> str:
    """Return the type of MySQL that holds a column, as the server names it.

    In a key, texts and bytes have a maximum length, `characters`. Raises DeclarationError for a
    numeric that no type can store.
    """
    match column:
        case types.Numeric(precision, scale):
            return _decimal(precision, scale or 0)
        case types.Time(timezone=True):
            return "varchar(32)"
        case types.Bytes() if characters:
            return f"varbinary({characters})"
    plain = _PLAIN.get(type(column))
    return plain or (f"varchar({characters})" if characters else "longtext")


def key_characters(table: TargetTable) -> int:
    """Return how many characters a text in a table's key may have for the key to be indexed."""
    long = [columns_of(table)[name] for name in table.key]
    count = sum(isinstance(each, types.Bytes) or type(each) not in _PLAIN for each in long)
    return min(_MOST_CHARACTERS, _KEY_CHARACTERS // max(1, count))


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return ddlfile.quoted(name, "`")


def create_table(home: str, lines: Iterable[str], collation: str) -> str:
    """Return the SQL that creates an InnoDB table with these definitions."""
    inside = ",\n    ".join(lines)
    return (
        f"CREATE TABLE {home} (\n    {inside}\n)"
        f" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation};"
    )


def record_id(table: str) -> str:
    """Return the name of the column with a history's record numbers."""
    name = f"{table}_record_id"
    return name if len(name) <= NAME_CHARACTERS else "record_id"


def current_view(history: str) -> str:
    """Return the name of the view of a history's current state."""
    return f"current_{history.removeprefix('fact_')}"[:NAME_CHARACTERS]


def _decimal(precision: int | None, scale: int) -> str:
    digits, places = (_DIGITS, _SCALE) if precision is None else (precision, scale)
    if digits > _DIGITS or not 0 <= places <= min(_SCALE, digits):
        raise DeclarationError(
            f"Numeric({precision}, {scale}) has no type in MySQL, whose decimals have {_DIGITS} "
            f"digits, {_SCALE} of them after the point: declare fewer, or Text()"
        )
    return f"decimal({digits},{places})"


def _table(table: TargetTable, schema: str, collation: str) -> str:
    """Return the statement for a table; a history has a record number and an index."""
    home = f"{quoted(schema)}.{quoted(table.name)}"
    key = ", ".join(map(quoted, table.key))
    characters = key_characters(table)
    lines = [
        f"{quoted(name)} {sql_type(column, characters if name in table.key else None)}"
        + (" NOT NULL" if name in table.key or not column.nullable else " NULL")
        for name, column in columns_of(table).items()
    ]
    if table.way == "history":
        number = quoted(record_id(table.name))
        lines.insert(0, f"{number} bigint NOT NULL AUTO_INCREMENT PRIMARY KEY")
        lines.append(f"KEY ({key}, {number})")
    elif key:
        lines.append(f"PRIMARY KEY ({key})")
    return create_table(home, lines, collation)


def _calendar(name: str, schema: str, collation: str) -> str:
    lines = [f"{quoted(column)} {_DAY[kind]} NOT NULL" for column, kind in CALENDAR_COLUMNS.items()]
    lines.append(f"PRIMARY KEY ({quoted('date_id')})")
    return create_table(f"{quoted(schema)}.{quoted(name)}", lines, collation)
