"""The index of a history on its key, by which a small batch finds the newest records.

Without one every load reads the table once, however few rows it has. A managed warehouse gets it;
of a prepared one it is asked for by `deploy.py doctor`.
"""

import re

from pg8000.native import identifier

from functions.common.pgconnection import PostgresConnection
from functions.common.telemetry import logger
from functions.targets.postgres.tables import PostgresLayout, PostgresTable

# Values that always fit into an index: one that does not would be refused because of it.
_SHORT = re.compile(
    r"smallint|integer|bigint|uuid|date|boolean|(time|timestamp)\b.*|numeric\(.*\)"
    r"|character( varying)?\(\d{1,3}\)"
)


def index_of(table: PostgresTable) -> str:
    """Return the statement that creates the index of a history, as `etl.ddl` declares it."""
    columns = [*table.keys, str(table.record_id)]
    return f"CREATE INDEX ON {table.target} ({', '.join(map(identifier, columns))})"


def lacks_index(table: PostgresTable) -> bool:
    """Return whether a history has no index on its key, and could have one."""
    kinds = [table.types[column] for column in table.keys]
    return (
        bool(kinds)
        and not table.is_indexed
        and table.opaque.isdisjoint(table.keys)
        and all(map(_SHORT.fullmatch, kinds))
    )


def create_indexes(connection: PostgresConnection, layout: PostgresLayout) -> None:
    """Create the missing indexes of the histories that belong to this role."""
    for table in layout.histories.values():
        if lacks_index(table) and _is_own(connection, table):
            connection.run(index_of(table))
            logger.info("index created", extra={"schema": table.schema, "table": table.actual})


def _is_own(connection: PostgresConnection, table: PostgresTable) -> bool:
    [[is_own]] = connection.run(
        "SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name",
        schema=table.schema,
        name=table.actual,
    )
    return bool(is_own)
