"""Create what is missing in a managed warehouse (WAREHOUSE_MANAGED).

Existing tables are left unchanged, whoever created them, except that columns declared since are
added.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pg8000.native import identifier, literal

from etl.ddl import columns_of, postgres, sql_type
from etl.targets import Target, TargetTable
from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.common.telemetry import logger
from functions.targets.layout import Found, actual_name, missing_from
from functions.targets.own_tables import DELETIONS, LEDGER, MEANINGS, require_own
from functions.targets.postgres.catalogue import check_may_create, tables_of
from functions.targets.postgres.current import DELETIONS_TYPES

_OWN_TABLES = {
    DELETIONS: ", ".join(
        [
            *(f"{identifier(name)} {kind}" for name, kind in DELETIONS_TYPES.items()),
            "PRIMARY KEY (table_name, business_id, seen_gone_at)",
        ]
    ),
    LEDGER: (
        "record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " source text NOT NULL, batch bigint NOT NULL, loaded_at timestamptz NOT NULL"
    ),
}


def missing_tables(
    connection: PostgresConnection, schema: str, target: Target
) -> dict[str, list[str]]:
    """Return the declared tables, by schema, that do not exist under any of their names."""
    there = {each: tables_of(connection, each) for each in target.schemas(schema)}
    return missing_from(there, schema, target)


def create_missing(
    connection: PostgresConnection, schema: str, target: Target, folder: Path
) -> None:
    """Create missing tables and schemas, all or none.

    `folder` is the pipeline's. Raises WarehouseSetupError if this role may not, or for a table that
    is not as declared.
    """
    if missing := missing_tables(connection, schema, target):
        check_may_create_all(connection, missing)
        created = {name for names in missing.values() for name in names}
        connection.run("BEGIN")
        for each in dict.fromkeys([schema, *missing]):
            create_schema(connection, each)
        for name, statement in postgres(target, schema, folder).items():
            if name in created:
                connection.run(statement)
        connection.run("COMMIT")
        logger.info("tables created", extra={"tables": missing})
    if target.ddl is None:
        there = {each: tables_of(connection, each) for each in target.schemas(schema)}
        for table in target.made:
            _add_columns(connection, table, there[table.schema or schema])


def create_own_tables(connection: PostgresConnection, schema: str) -> None:
    """Create the tables that load keeps for itself, where they are missing.

    Raises WarehouseSetupError if this role may not, or for another table of that name.
    """
    there = tables_of(connection, schema)
    for name, columns in _OWN_TABLES.items():
        if name in there:
            require_own(there[name], name, f"schema {schema}")
            continue
        check_may_create(connection, schema, f"table {name}")
        table = f"{identifier(schema)}.{identifier(name)}"
        connection.run("BEGIN")
        connection.run(f"CREATE TABLE {table} ({columns})")
        connection.run(f"COMMENT ON TABLE {table} IS {literal(MEANINGS[name])}")
        connection.run("COMMIT")
        logger.info("own table created", extra={"schema": schema, "table": name})


def check_may_create_all(
    connection: PostgresConnection, missing: Mapping[str, Sequence[str]]
) -> None:
    """Raise WarehouseSetupError if this role may not create missing tables, by schema."""
    for schema, names in missing.items():
        check_may_create(connection, schema, f"table {names[0]}")


def create_schema(connection: PostgresConnection, schema: str) -> None:
    """Create a schema unless it exists."""
    # IF NOT EXISTS needs the right to create it even where it exists.
    if not connection.run("SELECT FROM pg_namespace WHERE nspname = :schema", schema=schema):
        connection.run(f"CREATE SCHEMA {identifier(schema)}")


def _add_columns(
    connection: PostgresConnection, declared: TargetTable, there: Mapping[str, Found]
) -> None:
    """Add the columns that a table lacks; raise WarehouseSetupError for those that differ."""
    found = there[str(actual_name(declared, there))]
    table = f"{identifier(found.schema)}.{identifier(found.name)}"
    for name, column in columns_of(declared).items():
        actual = next(
            (n for n in (name, declared.other_columns.get(name)) if n in found.types), None
        )
        kind = sql_type(column)
        if actual is None:
            # NULL in existing rows, until they are loaded again.
            connection.run(f"ALTER TABLE {table} ADD COLUMN {identifier(name)} {kind}")
            logger.warning("column added", extra={"table": found.name, "column": name})
        elif found.types[actual] != kind:
            raise WarehouseSetupError(
                f"column {actual} of warehouse table {found.schema}.{found.name} is "
                f"{found.types[actual]} and declared as {kind}: ALTER TABLE {table} ALTER COLUMN "
                f"{identifier(actual)} TYPE {kind}, or change the declaration"
            )
        elif column.nullable and actual in found.required:
            raise WarehouseSetupError(
                f"column {actual} of warehouse table {found.schema}.{found.name} may not be NULL "
                f"and is declared as nullable: ALTER TABLE {table} ALTER COLUMN "
                f"{identifier(actual)} DROP NOT NULL, or change the declaration"
            )
    _require_no_more(declared, found, table)


def _require_no_more(declared: TargetTable, found: Found, table: str) -> None:
    """Raise WarehouseSetupError for an undeclared column that may not be NULL."""
    names = {*columns_of(declared), *declared.other_columns.values()}
    if more := sorted(set(found.required) - names):
        raise WarehouseSetupError(
            f"column {more[0]} of warehouse table {found.schema}.{found.name} is not declared and "
            f"may not be NULL: ALTER TABLE {table} ALTER COLUMN {identifier(more[0])} DROP NOT "
            "NULL, or DROP COLUMN"
        )
