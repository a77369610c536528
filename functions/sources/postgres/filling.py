"""Decide which rows of the tables that are read whole go into this batch: no more than it holds.

A large table is read in the order of its key, a portion in each batch, and its changes from the
first portion on as ever. Rows refer to others, so a table has to wait until those to which it
refers have been read: then the target has what its rows need, and it is known which are missing.

    order, line (which refers to order); the first batch: order up to 500, the second: order up to
    1000, the third: order to the end and line up to 200, together with what changed in order

A table without an index on its key would be sorted for each portion, and in one that refers to
itself a row may come before the row to which it refers: such a table is read at once.
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
from functions.sources.postgres.plan import TableKeys, TablePlan, Turn
from functions.sources.postgres.portions import KeyOrder, Portion, Texts, started_over

# Load is the slowest: with foreign keys some 14,000 rows a second, so 40 of its 900 seconds.
ROWS_AT_ONCE = 500_000
BYTES_AT_ONCE = 256 << 20
ROW_BYTES = 36  # at least, in a table's pages: a header of 23, a pointer of 4, and a key

_ORDER = """SELECT string_agg(concat_ws(' ', attnum, atttypid, attcollation,
        CASE WHEN attcollation <> 0 THEN pg_collation_actual_version(attcollation) END), ','
        ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = CAST(:table AS regclass)
        AND attname::text = ANY (CAST(:columns AS text[]))"""


@dataclass
class Room:
    """How much more a batch holds."""

    rows: int
    bytes: int

    @property
    def is_left(self) -> bool:
        """Whether it holds more rows."""
        return self.rows > 0 and self.bytes > 0

    def take(self, rows: int, size: int) -> None:
        """Use some of it."""
        self.rows -= rows
        self.bytes -= size


def with_portions(
    connection: PostgresConnection,
    plans: Mapping[str, TablePlan],
    known: Mapping[str, TableKeys],
    sizes: Mapping[str, int],
) -> dict[str, TablePlan]:
    """Return the plans with the rows that this batch reads of tables that are read whole.

    `known` are the keys that each table had, `sizes` the bytes that it takes. Without large tables
    nothing is asked of the database.
    """
    whole = [plan for plan in plans.values() if plan.error is None and plan.is_whole]
    is_small = sum(sizes.get(plan.id, 0) for plan in whole) <= ROWS_AT_ONCE * ROW_BYTES
    if is_small and not any(plan.filling for plan in plans.values()):
        return dict(plans)
    return _Choice(connection, plans, known, sizes).chosen()


@dataclass
class _Choice:
    """The plans of a batch, chosen one after the other; of `incomplete` tables rows are left."""

    connection: PostgresConnection
    plans: Mapping[str, TablePlan]
    known: Mapping[str, TableKeys]
    sizes: Mapping[str, int]
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
            ready = sorted(sorter.get_ready(), key=lambda table: self.sizes.get(table.id, 0))
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
        if not is_begun and (self._is_read_at_once(plan) or self._is_small(plan)):
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

    def _is_read_at_once(self, plan: TablePlan) -> bool:
        columns, table = plan.columns, plan.table
        is_ordered = columns.key_is_unique and not columns.key_may_be_null
        return table in self._needed[table] or not is_ordered

    def _is_small(self, plan: TablePlan) -> bool:
        """Return whether the batch holds a whole table; if so, make room for it."""
        size = self.sizes.get(plan.id, 0)
        if size // ROW_BYTES > self._room.rows or size > self._room.bytes:
            return False
        self._room.take(size // ROW_BYTES, size)
        return True

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
        for found, number, size, *texts in self.connection.run(_last(plan, ahead, self._room)):
            self._room.take(number, int(size))
            if found > number:
                return tuple(texts)
        return at_most


def _portion(plan: TablePlan, begun: Filling, to: Texts | None) -> Portion:
    casts = {name: plan.columns.casts[name] for name in plan.table.keys}
    return Portion(KeyOrder(plan.source, casts, plan.variable), begun, to)


def _last(plan: TablePlan, ahead: Portion, room: Room) -> str:
    """Return the query for the last row of what a batch holds, and for how many rows are ahead."""
    names = [f"k{number}" for number in range(len(plan.table.keys))]
    keys = [f"t.{identifier(key)}" for key in plan.table.keys]
    named = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
    order, texts = ", ".join(names), ", ".join(f"concat({name})" for name in names)
    return (
        f"WITH ahead AS (SELECT {named}, {_width(plan)} AS width FROM {plan.source} AS t"
        f" WHERE {ahead.rows} ORDER BY {', '.join(keys)} LIMIT {room.rows + 1}),"
        " summed AS (SELECT *, row_number() OVER w AS number, sum(width) OVER w AS size"
        f" FROM ahead WINDOW w AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING))"
        f" SELECT (SELECT count(*) FROM ahead), number, size, {texts} FROM summed"
        f" WHERE number = 1 OR number <= {room.rows} AND size <= {room.bytes}"
        " ORDER BY number DESC LIMIT 1"
    )


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
