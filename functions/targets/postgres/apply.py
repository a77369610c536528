"""Apply rows of one batch to one table, idempotently.

The role needs SELECT, INSERT, UPDATE and temporary tables; only `replace` tables need DELETE.
"""

from collections.abc import Iterable

import pyarrow as pa

from functions.common.loaded import Loaded
from functions.targets.calendar import Days
from functions.targets.numbered import Extent
from functions.targets.postgres.binary import ROWS_AT_A_TIME, append_rows
from functions.targets.postgres.newest import are_apart, classify, extent_of, is_numbered
from functions.targets.postgres.stage import FEW, Stage
from functions.targets.postgres.tables import PostgresTable
from functions.targets.states import require_keys


def upsert_latest(stage: Stage) -> Loaded:
    """Insert or update the staged rows by their key.

    ON CONFLICT would need a unique index, which a prepared warehouse may lack.
    """
    if not stage.rows:
        return Loaded(0, 0, 0)
    table, updated = stage.table, 0
    if stage.others:
        stage.connection.run(
            f"UPDATE {table.target} AS d SET {stage.assignments('s')} FROM {stage.source} AS s"
            f" WHERE {table.same_key('d', 's')} AND {stage.differs('d', 's')}"
        )
        updated = stage.connection.row_count
    return Loaded(stage.rows, insert_missing(stage), updated)


def insert_missing(stage: Stage) -> int:
    """Insert the staged rows whose key is missing; return how many."""
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} FROM {stage.source} AS s WHERE {stage.is_missing}"
    )
    return int(stage.connection.row_count)


def append_history(
    stage: Stage,
    parts: Iterable[pa.Table],
    days: Days,
    *,
    in_sequence: bool = False,
) -> Loaded:
    """Append the rows that differ from the newest record of their key, or have none.

    In a sequence a key may occur several times, and each row is compared with the one before it.
    """
    table, extent, seen = stage.table, None, Extent()
    rows = new = 0
    # Without an index on the key and without reliable statistics a nested loop over the history is
    # never right, but the planner may choose it.
    stage.connection.run("SET LOCAL enable_nestloop = off")
    for part in parts:
        days.cover(part)
        require_keys(table, part)
        doubtful = part
        if are_apart(table, part, seen) if in_sequence else _is_read(table, part):
            if rows and extent is None:
                extent = extent_of(stage)
            found = classify(stage, part, extent)
            if found.new.num_rows:
                append_rows(stage, found.new)
            doubtful, new = found.doubtful, new + found.new.num_rows
        stage.fill(doubtful.to_batches(ROWS_AT_A_TIME))
        rows += part.num_rows
    insert = insert_states if in_sequence else insert_changed
    with stage.planned():
        changed = insert(stage) if stage.rows else 0
    stage.connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(rows, new + changed, 0)


def _is_read(table: PostgresTable, part: pa.Table) -> bool:
    """Return whether the records of rows are read and compared here: a few are looked up."""
    return is_numbered(table, part) and not (table.finds_keys and part.num_rows <= FEW)


def insert_changed(stage: Stage) -> int:
    """Append the staged rows that differ from the newest record of their key."""
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of('s')} {stage.changed()}"
    )
    return int(stage.connection.row_count)


def insert_states(stage: Stage) -> int:
    """Append the staged rows that differ from the row of their key before them.

    The stage keeps their order, so `ctid` orders the states of a key. The first of a key is
    compared with the newest record.
    """
    keys = stage.table.key_values("p")
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) SELECT {stage.list_of('s')}"
        f" FROM {stage.source} AS s JOIN (SELECT p.ctid AS at, lag(p.ctid) OVER"
        f" (PARTITION BY {keys} ORDER BY p.ctid) AS earlier FROM {stage.source} AS p) AS place"
        f" ON place.at = s.ctid LEFT JOIN {stage.source} AS b ON b.ctid = place.earlier"
        f" {stage.with_newest()} WHERE CASE WHEN place.earlier IS NULL THEN {stage.is_news}"
        f" ELSE {stage.differs('b', 's')} END ORDER BY s.ctid"
    )
    return int(stage.connection.row_count)
