"""Apply rows of one batch to one table: SELECT, INSERT, UPDATE and temporary tables, nothing else.

Applying a batch again changes nothing.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.keys import keys_of
from functions.common.loaded import Loaded
from functions.common.mysql import MysqlConnection, quoted
from functions.targets.calendar import Days
from functions.targets.mysql.stage import Stage, insert
from functions.targets.mysql.tables import MysqlTable
from functions.targets.numbered import Extent, Places
from functions.targets.states import require_keys

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")


class Straight:
    """Tells which parts of a batch are certain to be new to a table, so that they go straight in.

    Numbered keys are when they are beyond all others; any keys are when the table was empty, as
    long as nothing but the first part has come. No part looks through what those before it added.
    """

    def __init__(self, connection: MysqlConnection, table: MysqlTable) -> None:
        self._table = table
        [key, *more] = map(quoted, table.keys)
        kind = table.types[table.keys[0]].partition("(")[0].partition(" ")[0]
        self._is_numbered = not more and kind in _INTEGERS
        self._extent = Extent()
        self._is_empty = False
        if self._is_numbered:
            [span] = connection.run(f"SELECT min({key}), max({key}) FROM {table.target}")
            self._extent = Extent(*span)
        else:
            [[has_rows]] = connection.run(f"SELECT EXISTS (SELECT 1 FROM {table.target})")
            self._is_empty = not has_rows

    def is_new(self, rows: pa.Table) -> bool:
        """Tell whether rows, which are counted in, are new and no two have the same key."""
        key = rows[self._table.key[0]]
        if self._is_numbered and pa.types.is_integer(key.type):
            places = Places(key.combine_chunks())
            return self._extent.is_beyond(places.lowest, places.highest) and places.are_unique
        was_empty, self._is_empty, self._is_numbered = self._is_empty, False, False
        keys = keys_of(rows, self._table.key)
        return was_empty and bool(pc.count_distinct(keys).as_py() == rows.num_rows)


def upsert(stage: Stage, parts: Iterable[pa.Table], *, in_sequence: bool) -> Loaded:
    """Insert or update rows by their key; in a sequence the last row of a key counts."""
    new = _fill(stage, parts)
    if in_sequence:
        keep(stage, "DESC")
    staged = upsert_staged(stage)
    return Loaded(new + staged.staged, new + staged.inserted, staged.updated)


def upsert_staged(stage: Stage) -> Loaded:
    """Insert or update the staged rows, no two of which have the same key.

    Not ON DUPLICATE KEY UPDATE, which takes any unique key for the key, and case for the same.
    """
    if not stage.rows:
        return Loaded(0, 0, 0)
    connection, place = stage.connection, stage.place
    found = stage.places("found", "differs boolean NOT NULL")
    connection.run(
        f"INSERT INTO {found} SELECT s.{place}, max({stage.differs('d', 's')})"
        f" FROM {stage.joined('d')} GROUP BY s.{place}"
    )
    updated = 0
    if stage.others and connection.run(f"SELECT 1 FROM {found} WHERE differs LIMIT 1"):
        updated = _update(stage, found)
    return Loaded(stage.rows, _insert(stage, found), updated)


def insert_first(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Insert the first row of each key that is not there."""
    new = _fill(stage, parts)
    rows = stage.rows
    keep(stage, "ASC")
    return Loaded(new + rows, new + insert_missing(stage), 0)


def insert_missing(stage: Stage) -> int:
    """Insert the staged rows whose key is not there; return how many."""
    if not stage.rows:
        return 0
    found = stage.places("found", "differs boolean NOT NULL DEFAULT FALSE")
    stage.connection.run(
        f"INSERT INTO {found} ({stage.place}) SELECT DISTINCT s.{stage.place}"
        f" FROM {stage.joined('d')}"
    )
    return _insert(stage, found)


def append(stage: Stage, parts: Iterable[pa.Table], days: Days, *, in_sequence: bool) -> Loaded:
    """Add the rows that differ from the newest record of their key, or have none.

    In a sequence a key may come several times: then from the row of their key before them.
    """
    new = _fill(stage, parts, days)
    inserted = append_staged(stage, in_sequence=in_sequence)
    return Loaded(new + stage.rows, new + inserted, 0)


def append_newest(stage: Stage, parts: Iterable[pa.Table], days: Days) -> Loaded:
    """Add the last row of each key, if it differs from the newest record."""
    for part in parts:
        days.cover(part)
        require_keys(stage.table, part)
        stage.fill(part)
    rows = stage.rows
    keep(stage, "DESC")
    return Loaded(rows, append_staged(stage), 0)


def append_staged(stage: Stage, *, in_sequence: bool = False) -> int:
    """Add the staged rows that are news; return how many."""
    if not stage.rows:
        return 0
    connection, place = stage.connection, stage.place
    record = quoted(str(stage.table.record_id))
    found = stage.places("found", "record bigint NULL, differs boolean NOT NULL DEFAULT TRUE")
    earlier, is_first = "", ""
    if in_sequence:
        before = _states_before(stage)
        earlier, is_first = f" LEFT JOIN {stage.at(before, 'b')}", f" WHERE b.{place} IS NULL"
    connection.run(
        f"INSERT INTO {found} ({place}, record) SELECT s.{place}, max(f.{record})"
        f" FROM {stage.joined('f')}{earlier}{is_first} GROUP BY s.{place}"
    )
    connection.run(
        f"UPDATE {found} AS n STRAIGHT_JOIN {stage.source} AS s ON s.{place} = n.{place}"
        f" STRAIGHT_JOIN {stage.table.target} AS f ON f.{record} = n.record"
        f" SET n.differs = {stage.differs('f', 's')}"
    )
    if in_sequence:
        connection.run(
            f"INSERT INTO {found} ({place}, differs) SELECT s.{place}, {stage.differs('b', 's')}"
            f" FROM {stage.source} AS s STRAIGHT_JOIN {stage.at(before, 'b')}"
        )
    return _insert(stage, found, or_differs=True)


def keep(stage: Stage, order: str) -> None:
    """Keep, of the staged rows of each key, only the last (`DESC`) or the first (`ASC`)."""
    if not stage.rows:
        return
    place, surplus = stage.place, stage.places("surplus")
    keys = stage.table.key_values("s")
    stage.connection.run(
        f"INSERT INTO {surplus} SELECT {place} FROM (SELECT s.{place}, row_number() OVER"
        f" (PARTITION BY {keys} ORDER BY s.{place} {order}) AS number FROM {stage.source} AS s)"
        " AS numbered WHERE number > 1"
    )
    if stage.connection.row_count:
        stage.connection.run(
            f"DELETE s FROM {surplus} AS n STRAIGHT_JOIN {stage.source} AS s"
            f" ON s.{place} = n.{place}"
        )
        stage.rows -= stage.connection.row_count


def _fill(stage: Stage, parts: Iterable[pa.Table], days: Days | None = None) -> int:
    """Stage rows, but for those that go straight into the table; return how many these are."""
    straight, new = None, 0
    for part in parts:
        if days:
            days.cover(part)
        require_keys(stage.table, part)
        straight = straight or Straight(stage.connection, stage.table)
        if straight.is_new(part):
            insert(stage.connection, stage.table.target, stage.table, part)
            new += part.num_rows
        else:
            stage.fill(part)
    return new


def _states_before(stage: Stage) -> str:
    """Return a table with, for each staged row, the one of its key before it, if there is one."""
    before, place = stage.copy("before"), stage.place
    keys = stage.table.key_values("s")
    stage.connection.run(
        f"INSERT INTO {before} ({stage.list_of()}, {place}) SELECT {stage.list_of()}, later"
        f" FROM (SELECT {stage.list_of('s')}, lead(s.{place}) OVER (PARTITION BY {keys}"
        f" ORDER BY s.{place}) AS later FROM {stage.source} AS s) AS paired WHERE later IS NOT NULL"
    )
    return before


def _update(stage: Stage, found: str) -> int:
    """Update the rows of the table that differ from the staged ones; return how many."""
    assignments = ", ".join(f"d.{quoted(column)} = s.{quoted(column)}" for column in stage.others)
    rows = (
        f"{found} AS n STRAIGHT_JOIN {stage.source} AS s ON s.{stage.place} = n.{stage.place}"
        f" STRAIGHT_JOIN {stage.table.target} AS d ON {stage.table.same_key('d', 's')}"
        if stage.table.is_indexed
        else f"{stage.joined('d')} STRAIGHT_JOIN {stage.at(found, 'n')}"
    )
    stage.connection.run(f"UPDATE {rows} SET {assignments} WHERE n.differs")
    return stage.connection.row_count


def _insert(stage: Stage, found: str, *, or_differs: bool = False) -> int:
    """Insert the staged rows that were not found, in their order; return how many."""
    condition = f"n.{stage.place} IS NULL{' OR n.differs' if or_differs else ''}"
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) SELECT {stage.list_of('s')}"
        f" FROM {stage.source} AS s LEFT JOIN {stage.at(found, 'n')} WHERE {condition}"
        f" ORDER BY s.{stage.place}"
    )
    return stage.connection.row_count


def apply_rows(stage: Stage, rows: pa.Table) -> Loaded:
    """Apply rows, no two of one key, in the way of their table."""
    require_keys(stage.table, rows)
    stage.empty()
    stage.fill(rows)
    if stage.table.way == "history":
        return Loaded(rows.num_rows, append_staged(stage), 0)
    if stage.table.way == "once":
        return Loaded(rows.num_rows, insert_missing(stage), 0)
    return upsert_staged(stage)
