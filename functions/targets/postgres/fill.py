"""Rows that come in several states of a key: those of all batches so far, or of several files.

They come in the order in which they were true. Rows keep their order in a stage that nothing else
is done to, so the place of a row there, its `ctid`, tells the earlier state from the later.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import pg8000.native
import pyarrow as pa

from functions.common.keys import Key, keys_of
from functions.common.loaded import Loaded
from functions.targets.postgres.apply import insert_changed, insert_missing, upsert_latest
from functions.targets.postgres.binary import ROWS_AT_A_TIME, append_rows
from functions.targets.postgres.calendar import Days
from functions.targets.postgres.newest import Extent, are_apart, are_distinct, require_keys
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import WarehouseTable


def append_newest(
    connection: pg8000.native.Connection, stage: Stage, parts: Iterable[pa.Table], days: Days
) -> tuple[Loaded, list[str]]:
    """Add the last state of each key to a history, if it differs from the newest record.

    A loader that died may have added it with all states before it. Returns the rows by what became
    of them, and the columns that they have.
    """
    columns: list[str] = []
    for part in parts:
        days.cover(part)
        columns = part.column_names
        require_keys(stage.table, part)
        stage.fill(connection, part.to_batches(ROWS_AT_A_TIME))
    if not stage.rows:
        return Loaded(0, 0, 0), columns
    rows = stage.rows
    connection.run("SET LOCAL enable_nestloop = off")
    keep_newest(connection, stage)
    inserted = insert_changed(connection, stage)
    connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(rows, inserted, 0), columns


def upsert_newest(
    connection: pg8000.native.Connection, stage: Stage, parts: Iterable[pa.Table]
) -> Loaded:
    """Insert or update the last state of each key.

    Into an empty table rows are copied straight in, as long as their keys are certain to be new.
    """
    table, seen = stage.table, Extent()
    is_empty = not connection.run(f"SELECT 1 FROM {table.target} LIMIT 1")
    copied = 0
    for part in parts:
        if is_empty and are_apart(table, part, seen) and are_distinct(table, part):
            append_rows(connection, table, part)
            copied += part.num_rows
        else:
            stage.fill(connection, part.to_batches(ROWS_AT_A_TIME))
    keep_newest(connection, stage)
    loaded = upsert_latest(connection, stage)
    return Loaded(copied + loaded.staged, copied + loaded.inserted, loaded.updated)


def insert_first(
    connection: pg8000.native.Connection, stage: Stage, parts: Iterable[pa.Table]
) -> Loaded:
    """Insert the first row of each key that is not there."""
    for part in parts:
        require_keys(stage.table, part)
        stage.fill(connection, part.to_batches(ROWS_AT_A_TIME))
    if not stage.rows:
        return Loaded(0, 0, 0)
    rows = stage.rows
    keep_first(connection, stage)
    return Loaded(rows, insert_missing(connection, stage), 0)


def keep_newest(connection: pg8000.native.Connection, stage: Stage) -> None:
    """Keep, of the staged rows of each key, only the last."""
    _keep(connection, stage, "DESC")


def keep_first(connection: pg8000.native.Connection, stage: Stage) -> None:
    """Keep, of the staged rows of each key, only the first."""
    _keep(connection, stage, "ASC")


def _keep(connection: pg8000.native.Connection, stage: Stage, order: str) -> None:
    if stage.rows:
        keys = stage.table.key_values("s")
        connection.run(
            f"DELETE FROM {stage.source} AS d USING (SELECT s.ctid AS at, row_number() OVER"
            f" (PARTITION BY {keys} ORDER BY s.ctid {order}) AS place FROM {stage.source} AS s)"
            " AS n WHERE d.ctid = n.at AND n.place > 1"
        )


def first_of(parts: Iterable[pa.Table], table: WarehouseTable) -> Iterator[pa.Table]:
    """Yield the first row of each key."""
    seen: set[Key] = set()
    for part in parts:
        fresh = []
        for place, key in enumerate(keys_of(part, table.key).to_pylist()):
            if key not in seen:
                seen.add(key)
                fresh.append(place)
        if fresh:
            yield part.take(fresh)


def newest_of(parts: Iterable[pa.Table], table: WarehouseTable) -> Iterator[pa.Table]:
    """Yield, of rows whose parts come from the last to the first, the last of each key."""
    seen: set[Key] = set()
    for part in parts:
        last = {key: place for place, key in enumerate(keys_of(part, table.key).to_pylist())}
        fresh = sorted(place for key, place in last.items() if key not in seen)
        seen.update(last)
        if fresh:
            yield part.take(fresh)


def by_state(part: pa.Table, table: WarehouseTable) -> Iterator[pa.Table]:
    """Yield the first rows of all keys, then the second ones, and so on."""
    states: list[list[int]] = []
    earlier: Counter[Key] = Counter()
    for place, key in enumerate(keys_of(part, table.key).to_pylist()):
        if earlier[key] == len(states):
            states.append([])
        states[earlier[key]].append(place)
        earlier[key] += 1
    for places in states:
        yield part.take(places)
