"""Decide which rows of the tables that are read whole go into this batch: no more than it holds.

A large table is read in the order of its key, a portion in each batch, and its changes from the
first portion on as ever. Rows refer to others, so a table has to wait until those to which it
refers have been read: then the target has what its rows need, and it is known which are missing.

    order, line (which refers to order); the first batch: order up to 500, the second: order up to
    1000, the third: order to the end and line up to 200, together with what changed in order

A table without an index on its key would be sorted for each portion, and in one that refers to
itself a row may come before the row to which it refers: such a table is read at once.

Changed rows are all in one batch, as what one transaction has written belongs together. If that
were more than the functions manage, the table is read whole again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from pg8000.native import identifier

from etl import Table
from functions.common.copy import set_values
from functions.common.filling import Filling
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres import large
from functions.sources.postgres.plan import NO_SIZE, TableKeys, TablePlan, TableSize, Turn
from functions.sources.postgres.portions import KeyOrder, Portion, Texts, started_over
from functions.sources.postgres.surveys import Survey

# Load is the slowest: with foreign keys some 14,000 rows a second, so 180 of its 900 seconds.
ROWS_AT_ONCE = 2_500_000
BYTES_AT_ONCE = 512 << 20

_ORDER = """SELECT string_agg(concat_ws(' ', attnum, atttypid, attcollation,
        CASE WHEN attcollation <> 0 THEN pg_collation_actual_version(attcollation) END), ','
        ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = CAST(:table AS regclass)
        AND attname::text = ANY (CAST(:columns AS text[]))"""


def is_too_much(rows: int, of: TableSize) -> bool:
    """Return whether so many changed rows of a table are more than two portions."""
    size = rows * of.bytes // max(of.rows, 1)
    return rows > 2 * ROWS_AT_ONCE or size > 2 * BYTES_AT_ONCE


def read_again(
    plans: Mapping[str, TablePlan], found: Mapping[str, Survey], sizes: Mapping[str, TableSize]
) -> dict[str, TablePlan]:
    """Return new plans for the tables with too many changed rows, by which they are read whole.

    One of which only some rows have been read so far is read from its first row again.
    """
    return {
        name: replace(plan, since=None, scan="all", lookup=None)
        for name, plan in plans.items()
        if plan.error is None
        and plan.since is not None
        and not _is_read_at_once(plan)
        and name in found
        and is_too_much(found[name].changed or 0, sizes.get(name, NO_SIZE))
    }


@dataclass
class Room:
    """How much more a batch holds."""

    rows: int
    bytes: int

    @property
    def is_left(self) -> bool:
        """Whether it holds more rows."""
        return self.rows > 0 and self.bytes > 0

    def holds(self, rows: int, size: int) -> bool:
        """Return whether it holds so much more."""
        return rows <= self.rows and size <= self.bytes

    def take(self, rows: int, size: int) -> None:
        """Use some of it."""
        self.rows -= rows
        self.bytes -= size


def with_portions(
    connection: PostgresConnection,
    plans: Mapping[str, TablePlan],
    known: Mapping[str, TableKeys],
    sizes: Mapping[str, TableSize],
) -> dict[str, TablePlan]:
    """Return the plans with the rows that this batch reads of tables that are read whole.

    `known` are the keys that each table had. Without large tables nothing is asked of the database.
    """
    whole = [sizes.get(plan.id, NO_SIZE) for plan in plans.values() if _is_whole(plan)]
    room = Room(ROWS_AT_ONCE, BYTES_AT_ONCE)
    is_small = room.holds(sum(each.rows for each in whole), sum(each.bytes for each in whole))
    if is_small and not any(plan.filling for plan in plans.values()):
        return dict(plans)
    return _Choice(connection, plans, known, sizes).chosen()


@dataclass
class _Choice:
    """The plans of a batch, chosen one after the other; of `incomplete` tables rows are left."""

    connection: PostgresConnection
    plans: Mapping[str, TablePlan]
    known: Mapping[str, TableKeys]
    sizes: Mapping[str, TableSize]
    incomplete: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._room = Room(ROWS_AT_ONCE, BYTES_AT_ONCE)
        tables = [plan.table for plan in self.plans.values()]
        self._needed = {table: _needed(table) for table in tables}

    def chosen(self) -> dict[str, TablePlan]:
        """Return the plans with portions, and set the values that these refer to."""
        chosen = {table.id: self._choose(self.plans[table.id]) for table in self._in_order()}
        for plan in chosen.values():
            if plan.portion is not None:
                set_values(self.connection, plan.portion.values())
        return {name: chosen[name] for name in self.plans}

    def _in_order(self) -> Iterator[Table]:
        """Yield the tables, each after those that its rows need; small ones before large ones."""
        sorter = TopologicalSorter(
            {
                table: [each for each in needed if table not in self._needed[each]]
                for table, needed in self._needed.items()
            }
        )
        sorter.prepare()
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=lambda table: self._size(table).bytes)
            yield from ready
            sorter.done(*ready)

    def _choose(self, plan: TablePlan) -> TablePlan:
        if plan.error is not None:
            if plan.filling is not None:
                self.incomplete.add(plan.id)
            return plan
        if any(each.id in self.incomplete for each in self._needed[plan.table] - {plan.table}):
            return self._later(plan)
        if plan.since is not None and plan.filling is None:
            return plan
        return self._read(plan)

    def _later(self, plan: TablePlan) -> TablePlan:
        """Return a plan without rows; keys that are gone are deleted, with those of its parents."""
        self.incomplete.add(plan.id)
        has_keys = self._has_keys(plan)
        turn: Turn = "keys" if has_keys or plan.since is not None else "later"
        begun = plan.filling
        if plan.since is None:
            begun = started_over(begun, begun.order if begun else "", has_keys=has_keys)
        if begun is None:
            return replace(plan, turn=turn)
        return replace(plan, turn=turn, portion=_portion(plan, begun, tuple(begun.to)))

    def _read(self, plan: TablePlan) -> TablePlan:
        """Return a plan with a portion, or with all rows of the table."""
        is_begun = plan.filling is not None and bool(plan.filling.to or plan.filling.again)
        if not is_begun and (_is_read_at_once(plan) or self._is_small(plan)):
            return replace(plan, since=None)
        if not self._room.is_left:
            return self._no_further(plan)
        begun = self._begun(plan)
        to = self._end(plan, begun)
        if to is None and not begun.to and not (begun.is_first and begun.again):
            return replace(plan, since=None)
        if to is not None:
            self.incomplete.add(plan.id)
        return replace(plan, portion=_portion(plan, begun, to))

    def _no_further(self, plan: TablePlan) -> TablePlan:
        """Return a plan with the changes of a table alone, if some of its rows have been read."""
        if plan.since is None or plan.filling is None:
            return self._later(plan)
        self.incomplete.add(plan.id)
        return replace(plan, portion=_portion(plan, plan.filling, tuple(plan.filling.to)))

    def _is_small(self, plan: TablePlan) -> bool:
        """Return whether the batch holds a whole table; if so, make room for it."""
        size = self._size(plan.table)
        if not self._room.holds(size.rows, size.bytes):
            return False
        self._room.take(size.rows, size.bytes)
        return True

    def _size(self, table: Table) -> TableSize:
        return self.sizes.get(table.id, NO_SIZE)

    def _has_keys(self, plan: TablePlan) -> bool:
        keys = self.known.get(plan.id)
        return keys is not None and len(keys.digests) > 0

    def _begun(self, plan: TablePlan) -> Filling:
        """Return how far a table has been read, if that is a place in today's order."""
        [[order]] = self.connection.run(_ORDER, table=plan.source, columns=list(plan.table.keys))
        if plan.filling is not None and plan.since is not None and plan.filling.order == order:
            return plan.filling
        return started_over(plan.filling, order, has_keys=self._has_keys(plan))

    def _end(self, plan: TablePlan, begun: Filling) -> Texts | None:
        """Return the last key of the next portion; None if that is the rest of the table."""
        at_most = tuple(begun.again) or None
        ahead = _portion(plan, begun, at_most)
        set_values(self.connection, ahead.values())
        rows, order = self._room.rows, _Ahead(plan, ahead)
        [[found, size, *last]] = self.connection.run(order.size_of(rows + 1))
        if size > self._room.bytes:
            return self._end_of_wide(order, at_most)
        self._room.take(min(found, rows), int(size))
        if found <= rows:
            return at_most
        if last:
            return (str(last[0] - 1),)
        [texts] = self.connection.run(order.key_at(rows))
        return tuple(texts)

    def _end_of_wide(self, order: "_Ahead", at_most: Texts | None) -> Texts | None:
        """Return the same where the rows ahead are more bytes than a batch holds."""
        [[found, number, size, *texts]] = self.connection.run(order.last_within(self._room))
        self._room.take(number, int(size))
        return tuple(texts) if found > number else at_most


def _is_read_at_once(plan: TablePlan) -> bool:
    is_ordered = plan.columns.key_is_unique and not plan.columns.key_may_be_null
    return plan.table in _needed(plan.table) or not is_ordered


def _is_whole(plan: TablePlan) -> bool:
    return plan.error is None and plan.is_whole


def _portion(plan: TablePlan, begun: Filling, to: Texts | None) -> Portion:
    casts = {name: plan.columns.casts[name] for name in plan.table.keys}
    return Portion(KeyOrder(plan.source, casts, plan.variable), begun, to)


@dataclass(frozen=True)
class _Ahead:
    """Queries for the rows after the place up to which a table is read, in the order of its key."""

    plan: TablePlan
    ahead: Portion

    def size_of(self, rows: int) -> str:
        """Return the query for how many rows are ahead, and their bytes, up to a number of them.

        If a key is an integer, also for the last of these: it saves a second pass over the index.
        """
        last = ", max(key)" if self.plan.has_integer_key else ""
        ahead = (
            f"SELECT {self._columns[0]} AS key, {_width(self.plan)} AS width {self._from}"
            f" ORDER BY {self._keys} LIMIT {rows}"
        )
        return f"SELECT count(*), coalesce(sum(width), 0){last} FROM ({ahead}) AS ahead"

    def key_at(self, number: int) -> str:
        """Return the query for the key of a row, counted from 1, as texts."""
        texts = ", ".join(f"concat({key})" for key in self._columns)
        return f"SELECT {texts} {self._from} ORDER BY {self._keys} LIMIT 1 OFFSET {number - 1}"

    def last_within(self, room: Room) -> str:
        """Return the query for the last row of what a batch holds, and for how many are ahead.

        A window over the rows takes three times what their sum takes.
        """
        names = [f"k{number}" for number in range(len(self._columns))]
        pairs = zip(self._columns, names, strict=True)
        named = ", ".join(f"{key} AS {name}" for key, name in pairs)
        order, texts = ", ".join(names), ", ".join(f"concat({name})" for name in names)
        return (
            f"WITH ahead AS (SELECT {named}, {_width(self.plan)} AS width {self._from}"
            f" ORDER BY {self._keys} LIMIT {room.rows + 1}),"
            " summed AS (SELECT *, row_number() OVER w AS number, sum(width) OVER w AS size"
            f" FROM ahead WINDOW w AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING))"
            f" SELECT (SELECT count(*) FROM ahead), number, size, {texts} FROM summed"
            f" WHERE number = 1 OR number <= {room.rows} AND size <= {room.bytes}"
            " ORDER BY number DESC LIMIT 1"
        )

    @property
    def _columns(self) -> list[str]:
        return [f"t.{identifier(key)}" for key in self.plan.table.keys]

    @property
    def _keys(self) -> str:
        return ", ".join(self._columns)

    @property
    def _from(self) -> str:
        return f"FROM {self.plan.source} AS t WHERE {self.ahead.rows}"


def _width(plan: TablePlan) -> str:
    """Return the SQL of about how many bytes a row takes."""
    sizes = [
        f"coalesce({large.size(f't.{identifier(name)}', sql_type)}, 0)"
        for name, sql_type in plan.columns.types
        if name in plan.columns.variable
    ]
    return " + ".join([str(8 * len(plan.columns.types)), *sizes])


def _needed(table: Table) -> set[Table]:
    """Return the tables to which rows of a table refer, at any depth."""
    found: set[Table] = set()
    pending = [table]
    while pending:
        new = {each.table for each in pending.pop().all_references()} - found
        found |= new
        pending += new
    return found
