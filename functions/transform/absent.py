"""Absent parents: the target cannot have them yet, so that rows that refer to them have to wait.

They are missing in the source, or have never been fit.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from etl import Table
from functions.common.carried import KNOWN
from functions.common.keys import Key, is_among, keys_of
from functions.transform.absentkeys import AbsentKeys


class Absent:
    """The keys, by the id of a table, of the parents that are absent `now`, and that have `come`.

    Those that were absent before are read for the tables that need them. `changed` are the tables
    of which other keys may be absent than before. A parent is absent until a batch has it fit for
    all of its target tables.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        before: Mapping[str, Collection[Key]],
        missing: Mapping[str, Collection[Key]],
    ) -> None:
        """Begin a batch: `before` were absent until now, `missing` are not in the source."""
        self.now = AbsentKeys(
            {table.id: partial(_united, table.id, before, missing) for table in tables}
        )
        self.changed = {name for name in self.now if missing.get(name)}
        self.come: dict[str, Collection[Key]] = {}
        self._come: dict[str, set[Key]] = {name: set() for name in self.now}
        self._unfit: dict[str, set[Key]] = {name: set() for name in self.now}

    def note(self, table: Table, rows: pa.Table, unfit: Collection[int], *, is_new: bool) -> None:
        """Record rows of a table, and the positions of the unfit ones.

        A row that the last batch had has been fit once, or is absent already. So is every row of a
        batch in which none `is_new`.
        """
        if table.id not in self.now:
            return
        keys = keys_of(rows, table.keys)
        come = keys.filter(is_among(keys, self.now[table.id]))
        self._come[table.id].update(come.to_pylist())
        if unfit and is_new:
            new = keys.filter(pc.invert(_is_known(rows)))
            wrong = keys.take(pa.array(list(unfit), pa.int64()))
            self._unfit[table.id].update(wrong.filter(is_among(wrong, new)).to_pylist())

    def note_unfit(self, table: Table, rows: pa.Table) -> None:
        """Record rows of a table that have not been fit for a target table."""
        if table.id in self.now and rows.num_rows:
            self._unfit[table.id].update(keys_of(rows, table.keys).to_pylist())

    def coming(self, table: Table) -> Collection[Key]:
        """Return the keys that were absent, and of which the batch has had a row."""
        return self._come.get(table.id, ())

    def settle(self, table: Table, held: Collection[Key]) -> None:
        """Determine which rows of a table are absent; `held` are those coming that are not fit."""
        if table.id not in self.now:
            return
        if self._come[table.id] or self._unfit[table.id]:
            now = self.now[table.id]
            now -= self._come[table.id].difference(held)
            now |= self._unfit[table.id]
            self.come[table.id] = self._come[table.id] - now
            self.changed.add(table.id)

    def left(self, table: str) -> list[Key]:
        """Return the keys of a table, by its id, that are absent now, in order."""
        return sorted(self.now[table], key=lambda key: (isinstance(key, str), key))


def _united(
    table: str, before: Mapping[str, Collection[Key]], missing: Mapping[str, Collection[Key]]
) -> set[Key]:
    return {*before.get(table, ()), *missing.get(table, ())}


def _is_known(rows: pa.Table) -> pa.Array:
    if KNOWN not in rows.column_names:  # no table waited for this one when they were written
        return pa.repeat(pa.scalar(False), rows.num_rows)
    return pc.fill_null(rows[KNOWN].combine_chunks(), False)
