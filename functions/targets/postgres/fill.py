"""Rows with several states of a key, in chronological order: of all batches so far, or of files.

A stage that is only inserted into keeps the order of its rows, so `ctid` orders the states.
"""

from collections.abc import Iterable

import pyarrow as pa

from functions.common.loaded import Loaded
from functions.targets.calendar import Days
from functions.targets.numbered import Extent
from functions.targets.postgres.apply import insert_changed, insert_missing, upsert_latest
from functions.targets.postgres.binary import ROWS_AT_A_TIME, append_rows
from functions.targets.postgres.newest import are_apart, are_distinct
from functions.targets.postgres.stage import Stage
from functions.targets.states import require_keys


def append_newest(stage: Stage, parts: Iterable[pa.Table], days: Days) -> Loaded:
    """Append the last state of each key to a history, if it differs from the newest record."""
    for part in parts:
        days.cover(part)
        require_keys(stage.table, part)
        stage.fill(part.to_batches(ROWS_AT_A_TIME))
    if not stage.rows:
        return Loaded(0, 0, 0)
    rows = stage.rows
    stage.connection.run("SET LOCAL enable_nestloop = off")
    keep_newest(stage)
    inserted = insert_changed(stage)
    stage.connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(rows, inserted, 0)


def upsert_newest(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Insert or update the last state of each key.

    Rows are copied straight into an empty table while their keys are certain to be new.
    """
    table, seen = stage.table, Extent()
    is_empty = not stage.connection.run(f"SELECT 1 FROM {table.target} LIMIT 1")
    copied = 0
    for part in parts:
        if is_empty and are_apart(table, part, seen) and are_distinct(table, part):
            append_rows(stage, part)
            copied += part.num_rows
        else:
            stage.fill(part.to_batches(ROWS_AT_A_TIME))
    keep_newest(stage)
    loaded = upsert_latest(stage)
    return Loaded(copied + loaded.staged, copied + loaded.inserted, loaded.updated)


def insert_first(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Insert the first row of each key that is missing."""
    for part in parts:
        require_keys(stage.table, part)
        stage.fill(part.to_batches(ROWS_AT_A_TIME))
    if not stage.rows:
        return Loaded(0, 0, 0)
    rows = stage.rows
    keep_first(stage)
    return Loaded(rows, insert_missing(stage), 0)


def keep_newest(stage: Stage) -> None:
    """Delete all staged rows but the last of each key."""
    _keep(stage, "DESC")


def keep_first(stage: Stage) -> None:
    """Delete all staged rows but the first of each key."""
    _keep(stage, "ASC")


def _keep(stage: Stage, order: str) -> None:
    if stage.rows:
        keys = stage.table.key_values("s")
        stage.connection.run(
            f"DELETE FROM {stage.source} AS d USING (SELECT s.ctid AS at, row_number() OVER"
            f" (PARTITION BY {keys} ORDER BY s.ctid {order}) AS place FROM {stage.source} AS s)"
            " AS n WHERE d.ctid = n.at AND n.place > 1"
        )
