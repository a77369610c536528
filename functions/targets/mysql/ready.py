"""Whether a warehouse can be loaded: its tables are there, or load creates them."""

from etl.targets import Target
from functions.common.mysql import MysqlConnection
from functions.targets.mysql.create import missing_tables
from functions.targets.mysql.tables import inspect


def ready(connection: MysqlConnection, schema: str, target: Target, *, is_managed: bool) -> str:
    """Return which tables of a target can be loaded, or will be created by the first load.

    Whether this account may create them shows only when load does. Raises WarehouseSetupError for a
    missing table, column or right.
    """
    missing = missing_tables(connection, schema, target) if is_managed else {}
    if missing:
        return f"load will create {sum(map(len, missing.values()))} tables"
    layout = inspect(connection, schema, target, target.tables, target.models)
    return f"{len(layout.all)} tables can be loaded"
