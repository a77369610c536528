"""Make the star tables that are missing in a warehouse that is ours to shape (WAREHOUSE_MANAGED).

What is there already, whoever made it, is left as it is.
"""

import os
import re

import pg8000.native
from pg8000.native import identifier

from etl.loading import folder
from functions.common.errors import WarehouseMismatch
from functions.common.settings import required
from functions.common.telemetry import logger
from functions.targets.postgres.star import STAR_TABLES, actual_name, tables_of

_TABLE = re.compile(r"^CREATE TABLE (\w+) \(.*?^\)", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"(CREATE TABLE|REFERENCES) (\w+)")


def star_ddl(schema: str) -> dict[str, str]:
    """Return the statement that makes each star table in a schema, in an order that works."""
    home = identifier(schema)
    file = folder(required(os.environ, "PIPELINE")) / "warehouse.sql"
    return {
        table[1]: _NAMED.sub(lambda named: f"{named[1]} {home}.{named[2]}", table[0])
        for table in _TABLE.finditer(file.read_text())
    }


def missing_tables(connection: pg8000.native.Connection, schema: str) -> list[str]:
    """Return the star tables that a schema does not have under any of their names."""
    there = tables_of(connection, schema)
    return [name for name in STAR_TABLES if actual_name(name, there) is None]


def make_missing_tables(connection: pg8000.native.Connection, schema: str) -> None:
    """Make the star tables that are missing, all or none, and the schema if that is missing.

    Raises WarehouseMismatch when this role may not.
    """
    missing = missing_tables(connection, schema)
    if not missing:
        return
    check_may_create(connection, schema, f"table {missing[0]}")
    connection.run("BEGIN")
    # Not IF NOT EXISTS, for which PostgreSQL asks the right to make it even where it exists.
    if not connection.run("SELECT FROM pg_namespace WHERE nspname = :schema", schema=schema):
        connection.run(f"CREATE SCHEMA {identifier(schema)}")
    for name, statement in star_ddl(schema).items():
        if name in missing:
            connection.run(statement)
    connection.run("COMMIT")
    logger.info("star tables made", extra={"schema": schema, "tables": missing})


def check_may_create(connection: pg8000.native.Connection, schema: str, what: str) -> None:
    """Raise WarehouseMismatch if this role may not make `what`, which is missing, in a schema."""
    [[role, database, in_schema, in_database]] = connection.run(
        "SELECT current_user::text, current_database()::text,"
        " (SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')"
        " FROM pg_namespace WHERE nspname = :schema),"
        " has_database_privilege(current_database(), 'CREATE')",
        schema=schema,
    )
    if in_schema or (in_schema is None and in_database):
        return
    grant = f"USAGE, CREATE ON SCHEMA {identifier(schema)}"
    if in_schema is None:
        what, grant = f"schema {schema}", f"CREATE ON DATABASE {identifier(database)}"
    raise WarehouseMismatch(
        f"{what} is not in the warehouse, and this role may not make it: GRANT {grant} TO "
        f"{identifier(role)}, or set WAREHOUSE_MANAGED=false and ask for the star to be prepared"
    )
