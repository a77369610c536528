"""Apply rows of one batch to one table: SELECT, INSERT, UPDATE and temporary tables, nothing else.

Only a table that equals its source needs DELETE as well.

Applying a batch again changes nothing.
"""

from collections.abc import Iterable

import pg8000.native
import pyarrow as pa

from functions.common.copy import copy_in
from functions.common.loaded import Loaded
from functions.targets.postgres.binary import copy_in_binary, is_exact
from functions.targets.postgres.calendar import Days
from functions.targets.postgres.newest import Extent, is_numbered, require_keys, sort_out
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import WarehouseTable

ROWS_AT_A_TIME = 65_536
ROWS_IN_BINARY = 8_192  # about a megabyte, which is filled while it is in the processor's cache


def upsert_latest(connection: pg8000.native.Connection, stage: Stage) -> Loaded:
    """Insert or update the staged rows by their key.

    Not ON CONFLICT, which asks for a unique index that a prepared warehouse need not have.
    """
    if not stage.rows:
        return Loaded(0, 0, 0)
    table, updated = stage.table, 0
    if stage.others:
        connection.run(
            f"UPDATE {table.target} AS d SET {stage.assignments('s')} FROM {stage.source} AS s"
            f" WHERE {table.same_key('d', 's')} AND {stage.differs('d', 's')}"
        )
        updated = connection.row_count
    connection.run(
        f"INSERT INTO {table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} FROM {stage.source} AS s"
        f" WHERE NOT EXISTS (SELECT FROM {table.target} AS d WHERE {table.same_key('d', 's')})"
    )
    return Loaded(stage.rows, connection.row_count, updated)


def append_history(
    connection: pg8000.native.Connection, stage: Stage, parts: Iterable[pa.Table], days: Days
) -> tuple[Loaded, list[str]]:
    """Add the rows that differ from the newest record of their key, or have none.

    Returns the rows by what became of them, and the columns that they have.
    """
    table, extent = stage.table, None
    columns: list[str] = []
    rows = new = 0
    # There is no index on the key, and no statistics that can be relied on: a nested loop over the
    # history is never right, and at times what the planner would guess.
    connection.run("SET LOCAL enable_nestloop = off")
    for part in parts:
        days.cover(part)
        columns = part.column_names
        require_keys(table, part)
        doubtful = part
        if is_numbered(table, part):
            if rows and extent is None:
                extent = Extent(connection, table)
            found = sort_out(connection, table, part, extent)
            if found.new.num_rows:
                _append(connection, table, found.new)
            doubtful, new = found.doubtful, new + found.new.num_rows
        stage.fill(connection, doubtful.to_batches(ROWS_AT_A_TIME))
        rows += part.num_rows
    changed = insert_changed(connection, stage) if stage.rows else 0
    connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(rows, new + changed, 0), columns


def _append(connection: pg8000.native.Connection, table: WarehouseTable, rows: pa.Table) -> None:
    """Copy rows straight in, in the binary format where that makes no difference but in time."""
    columns = [table.column(name) for name in rows.column_names]
    if is_exact(rows, [table.types[column] for column in columns]):
        copy_in_binary(connection, table.target, columns, rows.to_batches(ROWS_IN_BINARY))
    else:
        copy_in(connection, table.target, columns, rows.to_batches(ROWS_AT_A_TIME))


def insert_changed(connection: pg8000.native.Connection, stage: Stage) -> int:
    """Add the staged rows that differ from the newest record of their key."""
    connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} {stage.changed()}"
    )
    return int(connection.row_count)
