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
from functions.targets.postgres.apply import ROWS_AT_A_TIME, insert_changed
from functions.targets.postgres.calendar import Days
from functions.targets.postgres.newest import require_keys
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import WarehouseTable


def append_states(
    connection: pg8000.native.Connection,
    stage: Stage,
    parts: Iterable[pa.Table],
    days: Days,
    *,
    are_new: bool,
) -> tuple[Loaded, list[str]]:
    """Add each state that differs from the one of its key before it to a history.

    Unless they `are_new`, a loader that died may have added all of them: then only the newest state
    of each key is compared with its newest record. Returns the rows by what became of them, and the
    columns that they have.
    """
    columns: list[str] = []
    for part in parts:
        days.cover(part)
        columns = part.column_names
        require_keys(stage.table, part)
        stage.fill(connection, part.to_batches(ROWS_AT_A_TIME))
    if not stage.rows:
        return Loaded(0, 0, 0), columns
    connection.run("SET LOCAL enable_nestloop = off")
    if are_new:
        inserted = _insert_states(connection, stage)
    else:
        keep_newest(connection, stage)
        inserted = insert_changed(connection, stage)
    connection.run("SET LOCAL enable_nestloop = on")
    return Loaded(stage.rows, inserted, 0), columns


def _insert_states(connection: pg8000.native.Connection, stage: Stage) -> int:
    """Insert the staged rows that differ from the one of their key before them.

    Before the first of a key is the newest record.
    """
    keys = stage.table.key_values("p")
    connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) SELECT {stage.list_of('s')}"
        f" FROM {stage.source} AS s JOIN (SELECT p.ctid AS at, lag(p.ctid) OVER"
        f" (PARTITION BY {keys} ORDER BY p.ctid) AS earlier FROM {stage.source} AS p) AS place"
        f" ON place.at = s.ctid LEFT JOIN {stage.source} AS b ON b.ctid = place.earlier"
        f" {stage.with_newest()} WHERE CASE WHEN place.earlier IS NULL THEN {stage.is_news}"
        f" ELSE {stage.differs('b', 's')} END ORDER BY s.ctid"
    )
    return int(connection.row_count)


def keep_newest(connection: pg8000.native.Connection, stage: Stage) -> None:
    """Keep, of the staged rows of each key, only the last."""
    if stage.rows:
        keys = stage.table.key_values("s")
        connection.run(
            f"DELETE FROM {stage.source} AS d USING (SELECT s.ctid AS at, row_number() OVER"
            f" (PARTITION BY {keys} ORDER BY s.ctid DESC) AS place FROM {stage.source} AS s) AS n"
            " WHERE d.ctid = n.at AND n.place > 1"
        )


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
