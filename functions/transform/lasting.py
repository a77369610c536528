"""Rows of many batches that last until a later batch has their key: open ones, and deleted keys."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.keys import keys_of
from functions.transform.quarantine import BATCH, together

SETTLED_AT = 65_536  # keys of later batches that are held until rows are dropped

_KEY = "_key"


class Lasting:
    """The rows that last after some batches; `count` is an upper bound of how many.

    Rows are compared with the keys of many batches at once: with one batch at a time, the cost of a
    batch would grow with the rows.
    """

    def __init__(self) -> None:
        self._old: list[pa.Table] = []  # of which later batches have had no key
        self._new: list[pa.Table] = []
        self._ended: list[pa.Table] = []
        self.count = 0

    def add(self, rows: pa.Table, key: Sequence[str]) -> None:
        """Add rows with the batch of each as their column BATCH."""
        if rows.num_rows:
            keys = keys_of(rows, key).cast(pa.string())
            self._new.append(rows.append_column(_KEY, keys))
            self.count += rows.num_rows

    def end(self, keys: pa.Array, batch: int) -> None:
        """End the rows of earlier batches with some keys."""
        known = keys.drop_null().cast(pa.string())
        numbers = pa.repeat(pa.scalar(batch), len(known))
        self._ended.append(pa.table({_KEY: known, BATCH: numbers}))

    def settle(self) -> None:
        """Drop the rows that have ended, if there are many keys to look for.

        Rows that are added later have to be of later batches than the keys until here.
        """
        if not self.count:
            self._ended = []
        elif sum(map(len, self._ended)) > SETTLED_AT:
            self._drop()

    def left(self) -> pa.Table:
        """Return the rows that last."""
        self._drop()
        rows = together(self._old)
        return rows.drop_columns([_KEY]) if rows.num_rows else rows

    def _drop(self) -> None:
        rows = [*self._old, *([together(self._new)] if self._new else [])]
        if self._ended:
            ended = pa.concat_tables(self._ended).group_by(_KEY).aggregate([(BATCH, "max")])
            rows = [_without(each, ended) for each in rows]
        self._old, self._new, self._ended = [each for each in rows if each.num_rows], [], []
        self.count = sum(each.num_rows for each in self._old)


def _without(rows: pa.Table, ended: pa.Table) -> pa.Table:
    """Return the rows whose key no later batch has."""
    place = pc.index_in(rows[_KEY], ended[_KEY].combine_chunks())
    last = ended[f"{BATCH}_max"].combine_chunks().take(place.combine_chunks())
    return rows.filter(pc.fill_null(pc.less_equal(last, rows[BATCH].combine_chunks()), True))
