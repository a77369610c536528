"""Read the newest records of histories, as evidence of their state."""

from collections.abc import Sequence

from pg8000.native import identifier

from functions.common.loaded import Evidence
from functions.common.pgconnection import PostgresConnection
from functions.targets.evidence import digest
from functions.targets.postgres.tables import PostgresTable


def newest_record(
    connection: PostgresConnection, table: PostgresTable, columns: Sequence[str]
) -> Evidence | None:
    """Return the evidence of a history as it is now, None when it is empty."""
    record_id = identifier(str(table.record_id))
    rows = connection.run(
        f"SELECT {record_id}, {_list(table, columns)} FROM {table.target}"
        f" ORDER BY {record_id} DESC LIMIT 1"
    )
    return Evidence(rows[0][0], list(columns), digest(rows[0][1:])) if rows else None


def greatest_record(connection: PostgresConnection, table: PostgresTable) -> int | None:
    """Return the greatest record id of a history, None when it is empty."""
    [[greatest]] = connection.run(
        f"SELECT max({identifier(str(table.record_id))}) FROM {table.target}"
    )
    return None if greatest is None else int(greatest)


def holds(connection: PostgresConnection, table: PostgresTable, evidence: Evidence) -> bool:
    """Tell whether a history has the record of an evidence, as it was then."""
    rows = connection.run(
        f"SELECT {_list(table, evidence.columns)} FROM {table.target}"
        f" WHERE {identifier(str(table.record_id))} = :record",
        record=evidence.record,
    )
    return any(digest(row) == evidence.sha256 for row in rows)


def _list(table: PostgresTable, columns: Sequence[str]) -> str:
    """Return columns as SQL: amounts, whose digits may be shown otherwise later, and texts."""
    found = [table.column(name) for name in columns]
    return ", ".join(
        identifier(column) + ("" if table.types[column].startswith("numeric") else "::text")
        for column in found
    )
