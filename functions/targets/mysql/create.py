"""Create what is missing in a managed warehouse (WAREHOUSE_MANAGED).

Existing tables are left unchanged, whoever created them, except that columns declared since are
added. Each statement commits by itself, so the next load continues after one that failed.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from etl.columns import Column
from etl.ddl import columns_of
from etl.mysqlddl import COLLATION, MARIADB_COLLATION, create_table, key_characters, mysql, sql_type
from etl.targets import Target, TargetTable
from functions.common.errors import WarehouseSetupError
from functions.common.mysql import MysqlConnection, ServerError, literal, quoted
from functions.common.telemetry import logger
from functions.targets.layout import Found, actual_name, missing_from
from functions.targets.mysql.catalogue import DENIED, MysqlFound, tables_of
from functions.targets.mysql.tables import names_of
from functions.targets.own_tables import DELETIONS, LEDGER, MEANINGS, require_own

# Keys of deleted rows may be longer than an index can hold, so it has only how they begin.
_OWN_TABLES = {
    DELETIONS: (
        "table_name varchar(255) NOT NULL",
        "business_id longtext NOT NULL",
        "seen_gone_at datetime(6) NOT NULL",
        "batch bigint NOT NULL",
        "seen_again_at datetime(6) NULL",
        "id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "KEY (table_name, business_id(191))",
    ),
    LEDGER: (
        "record_id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "source varchar(255) NOT NULL",
        "batch bigint NOT NULL",
        "loaded_at datetime(6) NOT NULL",
    ),
}
_WIDTH = re.compile(r"^(tinyint|smallint|mediumint|int|bigint)\(\d+\)")  # of MariaDB's integers


def missing_tables(
    connection: MysqlConnection, schema: str, target: Target
) -> dict[str, list[str]]:
    """Return the declared tables, by database, that do not exist under any of their names."""
    return missing_from(_there(connection, schema, target), schema, target)


def create_missing(connection: MysqlConnection, schema: str, target: Target, folder: Path) -> None:
    """Create missing tables and databases.

    `folder` is the pipeline's. Raises WarehouseSetupError if this account may not, or for a table
    that is not as declared.
    """
    if missing := missing_tables(connection, schema, target):
        names = {name: home for home, names in missing.items() for name in names}
        for home in missing:
            create_schema(connection, home)
        statements = mysql(target, schema, folder, collation(connection))
        for name, statement in statements.items():
            if name in names:
                created(connection, statement, names[name], name)
        logger.info("tables created", extra={"tables": missing})
    if target.ddl is None:
        there = _there(connection, schema, target)
        for table in target.made:
            _add_columns(connection, table, there[table.schema or schema])


def create_own_tables(connection: MysqlConnection, schema: str) -> None:
    """Create the tables that load keeps for itself, where they are missing.

    Raises WarehouseSetupError if this account may not, or for another table of that name.
    """
    there = tables_of(connection, schema, list(_OWN_TABLES))
    for name, lines in _OWN_TABLES.items():
        if name in there:
            require_own(there[name], name, f"database {schema}")
            continue
        table = f"{quoted(schema)}.{quoted(name)}"
        statement = create_table(table, lines, collation(connection)).removesuffix(";")
        created(connection, f"{statement} COMMENT {literal(MEANINGS[name])}", schema, name)
        logger.info("own table created", extra={"schema": schema, "table": name})


def create_schema(connection: MysqlConnection, schema: str) -> None:
    """Create a database unless it exists."""
    known = f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(schema)}"
    if not connection.run(known):
        created(connection, f"CREATE DATABASE {quoted(schema)} CHARACTER SET utf8mb4", schema, "")


def created(connection: MysqlConnection, statement: str, schema: str, name: str) -> None:
    """Run a DDL statement; raise WarehouseSetupError if it is denied."""
    try:
        connection.run(statement)
    except ServerError as error:
        if error.condition.code not in DENIED:
            raise
        what = f"table {name}" if name else f"database {schema}"
        raise WarehouseSetupError(
            f"{what} is not in the warehouse as it is declared, and this account may not create "
            "or change it: GRANT CREATE, ALTER, INDEX, CREATE VIEW, SHOW VIEW, DROP ON "
            f"{quoted(schema)}.* TO it, or set WAREHOUSE_MANAGED=false and ask for the tables to "
            "be prepared"
        ) from None


def collation(connection: MysqlConnection) -> str:
    """Return the server's collation under which texts are equal only if their bytes are."""
    return MARIADB_COLLATION if connection.is_mariadb else COLLATION


def _there(
    connection: MysqlConnection, schema: str, target: Target
) -> dict[str, dict[str, MysqlFound]]:
    return {
        home: tables_of(connection, home, names) for home, names in names_of(target, schema).items()
    }


def _add_columns(
    connection: MysqlConnection, declared: TargetTable, there: Mapping[str, Found]
) -> None:
    """Add the columns that a table lacks; raise WarehouseSetupError for those that differ."""
    found = there[str(actual_name(declared, there))]
    table = f"{quoted(found.schema)}.{quoted(found.name)}"
    for name, column in columns_of(declared).items():
        actual = next(
            (n for n in (name, declared.other_columns.get(name)) if n in found.types), None
        )
        kind = sql_type(column, key_characters(declared) if name in declared.key else None)
        if actual is None:
            # NULL in existing rows, until they are loaded again.
            statement = f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind} NULL"
            created(connection, statement, found.schema, found.name)
            logger.warning("column added", extra={"table": found.name, "column": name})
        elif not _is(kind, found.types[actual], is_mariadb=connection.is_mariadb):
            raise _differs(found, table, actual, found.types[actual], kind)
        elif _may_be_null(declared, name, column) and actual in found.required:
            raise _differs(found, table, actual, "NOT NULL", f"{kind} NULL")
    _require_no_more(declared, found, table)


def _may_be_null(declared: TargetTable, name: str, column: Column) -> bool:
    return column.nullable and name not in declared.key


def _is(declared: str, there: str, *, is_mariadb: bool) -> bool:
    """Return whether a column's type is the declared one; MariaDB stores JSON as text."""
    if declared == "json" and is_mariadb:
        declared = "longtext"
    return _WIDTH.sub(r"\1", declared) == _WIDTH.sub(r"\1", there)


def _differs(found: Found, table: str, column: str, there: str, kind: str) -> WarehouseSetupError:
    return WarehouseSetupError(
        f"column {column} of warehouse table {found.schema}.{found.name} is {there} and declared "
        f"as {kind}: ALTER TABLE {table} MODIFY {quoted(column)} {kind}, or change the declaration"
    )


def _require_no_more(declared: TargetTable, found: Found, table: str) -> None:
    """Raise WarehouseSetupError for an undeclared column that may not be NULL."""
    names = {*columns_of(declared), *declared.other_columns.values()}
    if more := sorted(set(found.required) - names):
        raise WarehouseSetupError(
            f"column {more[0]} of warehouse table {found.schema}.{found.name} is not declared and "
            f"has no value by default: ALTER TABLE {table} DROP COLUMN {quoted(more[0])}, or let "
            "it be NULL"
        )
