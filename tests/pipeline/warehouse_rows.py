"""Rows of a warehouse of either kind, as Python values that compare equal."""

from datetime import datetime, timedelta
from typing import Any

from pg8000.native import identifier

from local import mysql
from local.connection import connect
from tests.postgres_fixtures import Warehouse


def rows_in(warehouse: Warehouse, sql: str) -> list[list[Any]]:
    """Return the rows of a query that names tables without their schema."""
    if warehouse.superuser_url.startswith(f"{mysql.MysqlServer.scheme}:"):
        rows = mysql.run_sql(warehouse.superuser_url, sql)
        return [[_time(value) for value in row] for row in rows]
    with connect(warehouse.superuser_url) as connection:
        connection.run(f"SET search_path = {identifier(warehouse.schema)}")
        found: list[list[Any]] = connection.run(sql)
        return found


def named_rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table in PostgreSQL, by column."""
    with connect(warehouse.superuser_url) as connection:
        connection.run(f"SET search_path = {identifier(warehouse.schema)}")
        rows = connection.run(f"SELECT * FROM {table}")
        names = [column["name"] for column in connection.columns]
        return [dict(zip(names, row, strict=True)) for row in rows]


def _time(value: Any) -> Any:
    """Return a time of day where the driver has a duration, as TIME may be one."""
    return (datetime.min + value).time() if isinstance(value, timedelta) else value
