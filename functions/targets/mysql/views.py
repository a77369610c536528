"""The views of a managed warehouse: those that a pipeline declares, and current states.

The current state of a history is the newest record of each key, without deleted rows. MySQL has no
comments on views, so a view has the digest of its definition in a condition that is always true. It
is replaced when that changes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from etl import product
from etl.mysqlddl import current_view
from etl.targets import Target
from functions.common.errors import PipelineCodeError, WarehouseSetupError
from functions.common.mysql import MysqlConnection, ServerError, literal, quoted
from functions.common.telemetry import logger
from functions.targets.layout import views_of
from functions.targets.mysql.create import collation, create_schema, created
from functions.targets.mysql.tables import MysqlLayout, MysqlTable
from functions.targets.own_tables import DELETIONS

MADE_BY_US = f"made by {product.NAME}"
_UNDEFINED = (1054, 1064, 1146)  # a column, the SQL of another kind of server, a table


def make_views(connection: MysqlConnection, layout: MysqlLayout) -> None:
    """Create or replace the views of current states that are missing or outdated.

    Raises WarehouseSetupError if this account may not, or for another view of that name.
    """
    schema = layout.identity.schema
    for view, table in views_of(layout, current_view).items():
        _keep(
            connection,
            schema,
            view,
            _Definition(current_state(table, schema, collation(connection))),
        )


def make_declared_views(
    connection: MysqlConnection, schema: str, target: Target, folder: Path
) -> None:
    """Create or replace the declared views that are missing or outdated, in order.

    Raises PipelineCodeError for one that cannot be created, otherwise as `make_views`.
    """
    for view in target.views:
        query = f"SELECT * FROM (\n{view.query(folder)}\n) AS declared WHERE TRUE"
        try:
            _keep(connection, view.schema or schema, view.name, _Definition(query))
        except ServerError as error:
            if error.is_for_now:
                raise
            if not (view.optional and error.condition.code in _UNDEFINED):
                raise PipelineCodeError(f"{view}: {error.condition}") from None
            logger.warning(f"left out: {view}: {error.condition}")


@dataclass(frozen=True)
class _Definition:
    """The SELECT of a view, which ends in a condition."""

    query: str

    @property
    def mark(self) -> str:
        """The digest in the view, which changes with its definition."""
        return f"{MADE_BY_US} {hashlib.sha256(self.query.encode()).hexdigest()[:16]}"


def _keep(connection: MysqlConnection, schema: str, view: str, definition: _Definition) -> None:
    """Create or replace a view unless it has this definition; raise as above."""
    there = _text(connection, schema, view)
    if there is not None and definition.mark in there:
        return
    if there is None:
        create_schema(connection, schema)
    elif MADE_BY_US not in there:
        raise WarehouseSetupError(
            f"{view} in database {schema} of the warehouse is not the view that load keeps there: "
            "rename it, or set WAREHOUSE_MANAGED=false"
        )
    home = f"{quoted(schema)}.{quoted(view)}"
    query = f"{definition.query} AND {literal(definition.mark)} <> ''"
    created(connection, f"CREATE OR REPLACE VIEW {home} AS {query}", schema, view)
    logger.info("view made", extra={"schema": schema, "view": view})


def _text(connection: MysqlConnection, schema: str, view: str) -> str | None:
    """Return the SQL of the relation with a view's name; '' if it is no view, or is hidden."""
    named = f"TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(view)}"
    if not connection.run(f"SELECT 1 FROM information_schema.TABLES WHERE {named}"):
        return None
    rows = connection.run(f"SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE {named}")
    return str(rows[0][0] or "") if rows else ""


def current_state(table: MysqlTable, schema: str, by_bytes: str) -> str:
    """Return the SQL of a history's current state, with all its actual columns.

    `by_bytes` is the collation by which keys are compared with those of deleted rows.
    """
    columns = ", ".join(f"f.{quoted(column)}" for column in table.types)
    record = quoted(str(table.record_id))
    deletions = f"{quoted(schema)}.{quoted(DELETIONS)}"
    key = f"CONVERT({table.key_text('f')} USING utf8mb4) COLLATE {by_bytes}"
    # Not by subqueries, whose results MariaDB caches by the key, where 'a' is 'A'.
    return (
        f"SELECT {columns} FROM {table.target} AS f LEFT JOIN {table.target} AS n"
        f" ON {table.same_key('n', 'f')} AND n.{record} > f.{record}"
        f" LEFT JOIN {deletions} AS d ON d.table_name = {literal(table.declared)}"
        f" AND d.business_id = {key} AND d.seen_again_at IS NULL"
        f" WHERE n.{record} IS NULL AND d.table_name IS NULL"
    )
