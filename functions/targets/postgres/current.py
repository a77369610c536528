"""The current state of a history: the newest record of each key, without deleted rows."""

from collections.abc import Mapping

from pg8000.native import identifier, literal

from functions.targets.own_tables import DELETIONS
from functions.targets.postgres.tables import PostgresTable

DELETIONS_TYPES = {
    "table_name": "text NOT NULL",
    "business_id": "text NOT NULL",
    "seen_gone_at": "timestamptz NOT NULL",
    "batch": "bigint NOT NULL",
    "seen_again_at": "timestamptz",
}
"""The columns of the table of deleted rows."""


def deletions_in(schema: str) -> str:
    """Return the quoted name of the table of deleted rows."""
    return f"{identifier(schema)}.{identifier(DELETIONS)}"


def current_state(
    table: PostgresTable, columns: Mapping[str, str], deletions: str | None = None
) -> str:
    """Return the SQL of a history's current state; `columns` maps names to actual columns.

    `deletions` is the quoted name of the table of deleted rows, None where there is none.
    """
    shown = ", ".join(_as(actual, name) for name, actual in columns.items())
    keys, record_id = table.key_values("f"), identifier(str(table.record_id))
    return (
        f"SELECT DISTINCT ON ({keys}) {shown} FROM {table.target} AS f"
        f"{_not_deleted(table, deletions) if deletions else ''}"
        f" ORDER BY {keys}, f.{record_id} DESC"
    )


def _not_deleted(table: PostgresTable, deletions: str) -> str:
    return (
        f" WHERE NOT EXISTS (SELECT FROM {deletions} AS d"
        f" WHERE d.table_name = {literal(table.declared)} AND d.business_id = {table.key_text('f')}"
        " AND d.seen_again_at IS NULL)"
    )


def _as(actual: str, name: str) -> str:
    column = f"f.{identifier(actual)}"
    return column if name == actual else f"{column} AS {identifier(name)}"
