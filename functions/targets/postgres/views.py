"""The views of a managed warehouse: those that a pipeline declares, and current states.

The current state of a history is the newest record of each key, without deleted rows. A view's
comment has a digest of its definition, so that the view is replaced when that changes: by a new
column, or a table that was recreated.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pg8000.native import DatabaseError, identifier, literal

from etl import product
from etl.ddl import current_view, search_path
from etl.targets import Target
from functions.common.errors import PipelineCodeError, WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import SESSION
from functions.common.sqlstate import described
from functions.common.telemetry import logger
from functions.targets.layout import views_of
from functions.targets.own_tables import DELETIONS
from functions.targets.postgres.catalogue import check_may_create
from functions.targets.postgres.create import create_schema
from functions.targets.postgres.current import current_state, deletions_in
from functions.targets.postgres.tables import PostgresLayout

MADE_BY_US = f"Made by {product.NAME}"

_UNDEFINED = ("42P01", "42703")  # a table, a column
_INVALID_DEFINITION = "42P16"  # columns of a view may be added at its end, and nothing else


def make_views(connection: PostgresConnection, layout: PostgresLayout) -> None:
    """Create or replace the views of current states that are missing or outdated.

    Raises WarehouseSetupError if this role may not, or for another view of that name.
    """
    schema = layout.identity.schema
    oid = layout.identity.tables[DELETIONS].oid
    for view, table in views_of(layout, current_view).items():
        columns = {column: column for column in table.types}
        query = current_state(table, columns, deletions_in(schema))
        # A query has only the names of its tables: these are the tables that have them now.
        tables = [layout.identity.tables[table.name].oid, oid]
        says = f"the newest record of each {', '.join(table.key)}, if not deleted."
        _keep(connection, schema, view, _Definition(query, SESSION["search_path"], says, tables))


def make_declared_views(
    connection: PostgresConnection, schema: str, target: Target, folder: Path
) -> None:
    """Create or replace the declared views that are missing or outdated, in order.

    Raises PipelineCodeError for one that cannot be created, otherwise as `make_views`.
    """
    path = search_path(target.schemas(schema))
    for view in target.views:
        home = view.schema or schema
        definition = _Definition(view.query(folder), path, f"{view} of the pipeline.")
        try:
            _keep(connection, home, view.name, definition)
        except DatabaseError as error:
            connection.run("ROLLBACK")
            why = f"{view}: {described(error.args[0])}"
            if not (view.optional and error.args[0].get("C") in _UNDEFINED):
                raise PipelineCodeError(why) from None
            logger.warning(f"left out: {why}")


@dataclass(frozen=True)
class _Definition:
    """The definition of a view: its query, the search path of its tables, and their `oids`."""

    query: str
    path: str
    says: str
    oids: Sequence[int] = ()

    @property
    def comment(self) -> str:
        """The comment on the view, which changes with its definition."""
        parts = f"{self.query} {self.path} {self.oids}"
        digest = hashlib.sha256(parts.encode()).hexdigest()[:16]
        return f"{MADE_BY_US} ({digest}): {self.says}"


def _keep(connection: PostgresConnection, schema: str, view: str, definition: _Definition) -> None:
    """Create or replace a view unless it has this definition; raise as above."""
    there = _comment(connection, schema, view)
    if there == definition.comment:
        return
    if there is None:
        check_may_create(connection, schema, f"view {view}")
        create_schema(connection, schema)
    elif not there.startswith(MADE_BY_US):
        raise WarehouseSetupError(
            f"{view} in schema {schema} of the warehouse is not the view that load keeps there: "
            "rename it, or set WAREHOUSE_MANAGED=false"
        )
    _make(connection, f"{identifier(schema)}.{identifier(view)}", definition)
    logger.info("view made", extra={"schema": schema, "view": view})


def _comment(connection: PostgresConnection, schema: str, view: str) -> str | None:
    """Return the comment of the relation with a view's name; '' if it is no view or has none."""
    rows = connection.run(
        "SELECT CASE c.relkind WHEN 'v' THEN obj_description(c.oid, 'pg_class') END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = :schema AND c.relname = :view",
        schema=schema,
        view=view,
    )
    return (rows[0][0] or "") if rows else None


def _make(connection: PostgresConnection, view: str, definition: _Definition) -> None:
    connection.run("BEGIN")
    connection.run(f"SET LOCAL search_path = {definition.path}")
    connection.run("SAVEPOINT before")
    try:
        # Replaced where possible, which preserves the grants on it.
        connection.run(f"CREATE OR REPLACE VIEW {view} AS {definition.query}")
    except DatabaseError as error:
        if error.args[0].get("C") != _INVALID_DEFINITION:
            raise
        connection.run("ROLLBACK TO before")
        connection.run(f"DROP VIEW {view}")
        connection.run(f"CREATE VIEW {view} AS {definition.query}")
    connection.run(f"COMMENT ON VIEW {view} IS {literal(definition.comment)}")
    connection.run("COMMIT")
