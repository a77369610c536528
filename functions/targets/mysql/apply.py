"""Apply rows of one batch to one table, idempotently.

The account needs SELECT, INSERT, UPDATE and temporary tables; only `replace` tables need DELETE.
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
    """Finds the parts of a batch that are certainly new to a table, and need no stage.

    Numbered keys are new outside the range of all others; any keys in the first part for an empty
    table. No part is compared with what earlier parts have added.
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
        """Return whether rows are new and have distinct keys; count them as seen."""
        key = rows[self._table.key[0]]
        if self._is_numbered and pa.types.is_integer(key.type):
            places = Places(key.combine_chunks())
            return self._extent.is_beyond(places.lowest, places.highest) and places.are_unique
        was_empty, self._is_empty, self._is_numbered = self._is_empty, False, False
        keys = keys_of(rows, self._table.key)
        return was_empty and bool(pc.count_distinct(keys).as_py() == rows.num_rows)


def upsert(stage: Stage, parts: Iterable[pa.Table], *, in_sequence: bool) -> Loaded:
    """Insert or update rows by their key; in a sequence a key's last row counts."""
    new = _fill(stage, parts)
    if in_sequence:
        keep(stage, "DESC")
    staged = upsert_staged(stage)
    return Loaded(new + staged.staged, new + staged.inserted, staged.updated)


def upsert_staged(stage: Stage) -> Loaded:
    """Insert or update the staged rows, which have distinct keys.

    ON DUPLICATE KEY UPDATE would match any unique key, and ignore case.
    """
    if not stage.rows:
        return Loaded(0, 0, 0)
    updated = 0
    if stage.others:
        assignments = ", ".join(
            f"d.{quoted(column)} = s.{quoted(column)}" for column in stage.others
        )
        stage.connection.run(
            f"UPDATE {stage.joined('d')} SET {assignments} WHERE {stage.differs('d', 's')}"
        )
        updated = stage.connection.row_count
    return Loaded(stage.rows, insert_missing(stage), updated)


def insert_first(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Insert the first row of each key that is missing."""
    new = _fill(stage, parts)
    rows = stage.rows
    keep(stage, "ASC")
    return Loaded(new + rows, new + insert_missing(stage), 0)


def insert_missing(stage: Stage) -> int:
    """Insert the staged rows whose key is missing; return how many."""
    if not stage.rows:
        return 0
    if stage.table.is_indexed:
        known = f"{stage.table.target} AS d ON {stage.table.same_key('d', 's')}"
        return _insert(stage, f"LEFT JOIN {known} WHERE d.{quoted(stage.table.keys[0])} IS NULL")
    found = stage.places("found")
    stage.connection.run(
        f"INSERT INTO {found} SELECT DISTINCT s.{stage.place} FROM {stage.joined('d')}"
    )
    return _insert(stage, f"LEFT JOIN {stage.at(found, 'd')} WHERE d.{stage.place} IS NULL")


def append(stage: Stage, parts: Iterable[pa.Table], days: Days, *, in_sequence: bool) -> Loaded:
    """Append the rows that differ from the newest record of their key, or have none.

    In a sequence a key may occur several times, and each row is compared with the one before it.
    """
    new = _fill(stage, parts, days)
    inserted = append_staged(stage, in_sequence=in_sequence)
    return Loaded(new + stage.rows, new + inserted, 0)


def append_newest(stage: Stage, parts: Iterable[pa.Table], days: Days) -> Loaded:
    """Append the last row of each key, if it differs from the newest record."""
    for part in parts:
        days.cover(part)
        require_keys(stage.table, part)
        stage.fill(part)
    rows = stage.rows
    keep(stage, "DESC")
    return Loaded(rows, append_staged(stage), 0)


def append_staged(stage: Stage, *, in_sequence: bool = False) -> int:
    """Append the staged rows that differ from the newest record of their key; return how many."""
    if not stage.rows:
        return 0
    newest, record = _newest(stage), quoted(str(stage.table.record_id))
    is_news = f"(f.{record} IS NULL OR {stage.differs('f', 's')})"
    if not in_sequence:
        return _insert(stage, f"{newest} WHERE {is_news}")
    before = _states_before(stage)
    return _insert(
        stage,
        f"LEFT JOIN {stage.at(before, 'b')} {newest} WHERE CASE WHEN b.{stage.place} IS NULL"
        f" THEN {is_news} ELSE {stage.differs('b', 's')} END",
    )


def _newest(stage: Stage) -> str:
    """Return the SQL that joins the newest record of its key, `f`, to each row `s`."""
    table, record = stage.table, quoted(str(stage.table.record_id))
    found = stage.places("found", "record bigint NOT NULL")
    stage.connection.run(
        f"INSERT INTO {found} SELECT s.{stage.place}, max(f.{record}) FROM {stage.joined('f')}"
        f" GROUP BY s.{stage.place}"
    )
    return (
        f"LEFT JOIN {stage.at(found, 'n')} LEFT JOIN {table.target} AS f ON f.{record} = n.record"
    )


def keep(stage: Stage, order: str) -> None:
    """Delete all staged rows but the last (`DESC`) or the first (`ASC`) of each key."""
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
    """Stage rows, except parts that are inserted directly; return how many rows those have."""
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
    """Return a table with the staged row before each one of the same key, if there is one."""
    before, place = stage.copy("before"), stage.place
    keys = stage.table.key_values("s")
    stage.connection.run(
        f"INSERT INTO {before} ({stage.list_of()}, {place}) SELECT {stage.list_of()}, later"
        f" FROM (SELECT {stage.list_of('s')}, lead(s.{place}) OVER (PARTITION BY {keys}"
        f" ORDER BY s.{place}) AS later FROM {stage.source} AS s) AS paired WHERE later IS NOT NULL"
    )
    return before


def _insert(stage: Stage, which: str) -> int:
    """Insert staged rows in their order; `which` is the SQL after these, `s`. Return how many.

    They are selected first and then inserted: a statement that also reads the table it writes makes
    the server buffer all rows.
    """
    news, place = stage.places("news"), stage.place
    stage.connection.run(f"INSERT INTO {news} SELECT s.{place} FROM {stage.source} AS s {which}")
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) SELECT {stage.list_of('s')}"
        f" FROM {news} AS n STRAIGHT_JOIN {stage.source} AS s ON s.{place} = n.{place}"
        f" ORDER BY n.{place}"
    )
    return stage.connection.row_count


def apply_rows(stage: Stage, rows: pa.Table) -> Loaded:
    """Apply rows with distinct keys in the way of their table."""
    require_keys(stage.table, rows)
    stage.empty()
    stage.fill(rows)
    if stage.table.way == "history":
        return Loaded(rows.num_rows, append_staged(stage), 0)
    if stage.table.way == "once":
        return Loaded(rows.num_rows, insert_missing(stage), 0)
    return upsert_staged(stage)
