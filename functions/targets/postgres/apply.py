"""Apply one batch to the warehouse: SELECT, INSERT, UPDATE and temporary tables, nothing else.

Applying a batch again changes nothing.
"""

from collections.abc import Iterable

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in
from functions.common.manifests import Loaded
from functions.targets.postgres.binary import copy_in_binary, is_exact
from functions.targets.postgres.calendar import Calendar
from functions.targets.postgres.newest import Extent, sort_out
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.star import DIMENSIONS, FACTS, StarTable

ROWS_AT_A_TIME = 65_536
ROWS_IN_BINARY = 8_192  # about a megabyte, which is filled while it is in the processor's cache


def upsert_dimension(
    connection: pg8000.native.Connection, stage: Stage, batches: Iterable[pa.RecordBatch]
) -> Loaded:
    """Bring a dimension's rows to their latest values.

    Not ON CONFLICT, which asks for a unique index that a prepared warehouse need not have.
    """
    stage.fill(connection, batches)
    if not stage.rows:
        return Loaded(0, 0, 0)
    source, target = identifier(stage.name), stage.table.target
    key = identifier(stage.key)
    others = [column for column in stage.columns if column != stage.key]
    assignments = ", ".join(f"{identifier(column)} = s.{identifier(column)}" for column in others)
    connection.run(
        f"UPDATE {target} AS d SET {assignments} FROM {source} AS s"
        f" WHERE d.{key} = s.{key} AND {stage.differs('d', 's')}"
    )
    updated = connection.row_count
    connection.run(
        f"INSERT INTO {target} ({stage.list_of()}) SELECT {stage.list_of('s')} FROM {source} AS s"
        f" WHERE NOT EXISTS (SELECT FROM {target} AS d WHERE d.{key} = s.{key})"
    )
    return Loaded(stage.rows, connection.row_count, updated)


def insert_fact(
    connection: pg8000.native.Connection,
    stage: Stage,
    parts: Iterable[pa.Table],
    calendar: Calendar,
) -> tuple[Loaded, list[str]]:
    """Add the rows that differ from the newest record of their business id, or have none.

    Returns the rows by what became of them, and the columns that they have.
    """
    table, key, extent = stage.table, (DIMENSIONS | FACTS)[stage.table.name], None
    columns: list[str] = []
    rows = new = 0
    # There is no index on the business id, and no statistics that can be relied on: a nested loop
    # over the history is never right, and at times what the planner would guess.
    connection.run("SET LOCAL enable_nestloop = off")
    for part in parts:
        calendar.cover(part)
        columns = part.column_names
        if rows and extent is None:
            extent = Extent(connection, table, key)
        found = sort_out(connection, table, key, part, extent)
        if found.new.num_rows:
            _append(connection, table, found.new)
        stage.fill(connection, found.doubtful.to_batches(ROWS_AT_A_TIME))
        rows, new = rows + part.num_rows, new + found.new.num_rows
    changed = _insert_changed(connection, stage) if stage.rows else 0
    connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(rows, new + changed, 0), columns


def _append(connection: pg8000.native.Connection, table: StarTable, rows: pa.Table) -> None:
    """Copy rows straight in, in the binary format where that makes no difference but in time."""
    columns = [table.column(name) for name in rows.column_names]
    if is_exact(rows, [table.types[column] for column in columns]):
        copy_in_binary(connection, table.target, columns, rows.to_batches(ROWS_IN_BINARY))
    else:
        copy_in(connection, table.target, columns, rows.to_batches(ROWS_AT_A_TIME))


def _insert_changed(connection: pg8000.native.Connection, stage: Stage) -> int:
    """Add the staged rows that differ from the newest record of their business id."""
    connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} {stage.changed()}"
    )
    return int(connection.row_count)
