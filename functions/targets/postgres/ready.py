"""Whether a warehouse can be loaded: its tables are there, or this role may create them."""

from etl.targets import Target
from functions.common.pgconnection import PostgresConnection
from functions.targets.postgres.create import check_may_create_all, missing_tables
from functions.targets.postgres.indexes import index_of, lacks_index
from functions.targets.postgres.tables import inspect


def ready(connection: PostgresConnection, schema: str, target: Target, *, is_managed: bool) -> str:
    """Return which tables of a target can be loaded, or will be created by the first load.

    With the indexes that a prepared warehouse is asked for.

    Raises WarehouseSetupError for a missing table, column or right, and DatabaseAccessError for a
    schema that this role may not use.
    """
    missing = missing_tables(connection, schema, target) if is_managed else {}
    if missing:
        check_may_create_all(connection, missing)
        return f"load will create {sum(map(len, missing.values()))} tables"
    layout = inspect(connection, schema, target, target.tables, target.models)
    for table in layout.all.values():
        connection.run(f"SELECT FROM {table.target} LIMIT 0")
    found = f"{len(layout.all)} tables can be loaded"
    wished = [index_of(table) for table in layout.histories.values() if lacks_index(table)]
    if not wished or is_managed:
        return found
    return f"{found}; small changes beside many records sooner, with {'; '.join(wished)}"
