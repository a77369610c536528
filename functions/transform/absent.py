"""Absent parents: the target cannot have them yet, so that rows that refer to them have to wait.

They are missing in the source, or have never been fit.
"""

from collections.abc import Collection, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from etl import Table
from functions.common.carried import KNOWN
from functions.common.keys import Key, is_among, keys_of


class Absent:
    """The keys, by the id of a table, of the parents that are absent `now`, and that have `come`.

    A parent is absent until a batch has it fit for all of its target tables.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        before: Mapping[str, Collection[Key]],
        missing: Mapping[str, Collection[Key]],
    ) -> None:
        """Begin a batch: `before` were absent until now, `missing` are not in the source."""
        self.now = {
            table.id: {*before.get(table.id, ()), *missing.get(table.id, ())} for table in tables
        }
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
        self.now[table.id] -= self._come[table.id].difference(held)
        self.now[table.id] |= self._unfit[table.id]
        self.come[table.id] = self._come[table.id] - self.now[table.id]

    def left(self) -> dict[str, list[Key]]:
        """Return the keys that are absent now, in order."""
        return {
            name: sorted(keys, key=lambda key: (isinstance(key, str), key))
            for name, keys in sorted(self.now.items())
            if keys
        }


def _is_known(rows: pa.Table) -> pa.Array:
    if KNOWN not in rows.column_names:  # no table waited for this one when they were written
        return pa.repeat(pa.scalar(False), rows.num_rows)
    return pc.fill_null(rows[KNOWN].combine_chunks(), False)
