"""Which rows count after some have arrived, by the way in which the rows of a table combine.

    history    a row counts unless it equals the one of its key before it
    latest     the last row of a key counts
    once       the first row of a key counts
    replace    as latest, without the rows of keys that were deleted later

Pure functions of tables: where rows are stored is up to the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.targets import Way
from functions.common.keys import keys_of
from functions.lake.changes import Arrival, Deletion


@dataclass(frozen=True)
class Window:
    """Some arrivals and deletions, in their order; `keys` are of all their rows, as text.

    `deleted` are the deleted keys, each with the number of rows that came before.
    """

    arrivals: list[Arrival]
    keys: pa.Array
    deleted: pa.Table

    @classmethod
    def of(cls, events: Sequence[Arrival | Deletion], key: Sequence[str]) -> "Window":
        """Return a window of events."""
        arrivals, keys, gone, until = [], [], [], 0
        for event in events:
            if isinstance(event, Arrival):
                arrivals.append(event)
                keys.append(texts_of(event.rows, key))
                until += event.rows.num_rows
            else:
                places = pa.array([until] * len(event.keys), pa.int64())
                gone.append(pa.table({"key": event.keys, "until": places}))
        none = pa.table({"key": pa.array([], pa.string()), "until": pa.array([], pa.int64())})
        return cls(arrivals, pa.concat_arrays([_NO_KEYS, *keys]), pa.concat_tables([none, *gone]))

    @property
    def touched(self) -> pa.Array:
        """The distinct keys that arrive or are deleted."""
        gone = self.deleted["key"].combine_chunks()
        return pc.unique(pa.concat_arrays([self.keys, gone]))


_NO_KEYS = pa.array([], pa.string())


def texts_of(rows: pa.Table, key: Sequence[str]) -> pa.Array:
    """Return the keys of rows as text; of a table without a key, nothing."""
    if not key:
        return pa.nulls(rows.num_rows, pa.string())
    return keys_of(rows, key).cast(pa.string())


def counting(way: Way, window: Window, before: pa.Table, key: Sequence[str]) -> list[pa.Array]:
    """Return for each arrival which of its rows count, as an array of booleans.

    `before` are the rows of the same keys that the table has, in order; only a table of way
    `history` or `once` needs them. All rows of a table without a key count.
    """
    rows = len(window.keys)
    if not key or not rows:
        return _split(pa.repeat(pa.scalar(True), rows), window)
    match way:
        case "history":
            counts = _changed(window, before, key)
        case "once":
            is_new = pc.invert(pc.is_in(window.keys, texts_of(before, key)))
            counts = pc.and_(is_new, _is_end(window.keys, "min"))
        case _:
            counts = pc.and_(_is_end(window.keys, "max"), pc.invert(_is_deleted(window)))
    return _split(counts, window)


def newest(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Return the last row of each key."""
    return rows.filter(_is_end(texts_of(rows, key), "max"))


def _split(mask: pa.Array, window: Window) -> list[pa.Array]:
    parts, start = [], 0
    for each in window.arrivals:
        parts.append(mask.slice(start, each.rows.num_rows))
        start += each.rows.num_rows
    return parts


def _is_end(keys: pa.Array, which: str) -> pa.Array:
    """Return which rows are the first ("min") or the last ("max") of their key."""
    places = pa.array(range(len(keys)), pa.int64())
    ends = pa.table({"key": keys, "place": places}).group_by("key").aggregate([("place", which)])
    return pc.is_in(places, ends[f"place_{which}"])


def _is_deleted(window: Window) -> pa.Array:
    """Return which rows were deleted after they had arrived."""
    last = window.deleted.group_by("key").aggregate([("until", "max")])
    found = pc.index_in(window.keys, last["key"].combine_chunks())
    until = last["until_max"].combine_chunks().take(found)
    return pc.fill_null(pc.less(pa.array(range(len(window.keys)), pa.int64()), until), False)


def _changed(window: Window, before: pa.Table, key: Sequence[str]) -> pa.Array:
    """Return which rows differ from the one of their key before them."""
    parts = [before, *(each.rows for each in window.arrivals)]
    rows = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    keys = pa.concat_arrays([texts_of(before, key), window.keys])
    places = pa.array(range(len(keys)), pa.int64())
    ordering = [("key", "ascending"), ("place", "ascending")]
    order = pc.sort_indices(pa.table({"key": keys, "place": places}), ordering)
    is_same = pa.array([False] * bool(len(keys)), pa.bool_())
    if len(keys) > 1:
        pairs = _equals_previous(keys.take(order))
        for column in rows.take(order).columns:
            pairs = pc.and_(pairs, _equals_previous(column.combine_chunks()))
        is_same = pa.concat_arrays([is_same, pairs])
    is_repeated = pc.is_in(places, order.filter(is_same).cast(pa.int64()))
    return pc.invert(is_repeated).slice(before.num_rows)


def _equals_previous(values: pa.Array) -> pa.Array:
    """Return for each value but the first whether it equals the one before; NULL equals NULL."""
    one, other = values.slice(1), values.slice(0, len(values) - 1)
    same = pc.fill_null(pc.equal(one, other), False)
    both = pc.and_(one.is_null(nan_is_null=True), other.is_null(nan_is_null=True))
    return pc.or_(same, pc.and_(both, pc.equal(one.is_null(), other.is_null())))
