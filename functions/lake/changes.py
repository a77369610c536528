"""What has happened to a target table since a position, by the markers of what was loaded.

A batch counts once it is loaded: the Iceberg table then equals the warehouse's as of a marker. Rows
that the warehouse refuses are left out until a retry accepts them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.targets import Way
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.keys import keys_of
from functions.common.loaded import LoadedMarker, RefusedRows
from functions.common.manifests import ProcessedManifest, StarTable
from functions.common.parquet import read_parts
from functions.common.storage import Bucket
from functions.targets.refused import BATCH, REASON, read, tuples
from functions.targets.states import newest_of

_NOTHING = StarTable(0, [])


@dataclass(frozen=True)
class Position:
    """The last marker whose state a table has, and the last batch; 0 before the first.

    `at` is when that marker was written, by which it is recognised; "" if that is not known.
    """

    marker: int = 0
    batch: int = 0
    at: str = ""


@dataclass(frozen=True)
class Change:
    """What one marker says about a table, which then has batches up to `position.batch`.

    `entries` are those of its batches since the marker before, and come after what was accepted:
    `retried` are rows that were refused, and `still` those that remained so when they were tried
    again. `refused` are those at present.
    """

    position: Position
    entries: list[tuple[int, StarTable]]
    refused: list[RefusedRows]
    retried: list[RefusedRows]
    still: list[RefusedRows]

    @property
    def is_empty(self) -> bool:
        """Whether the table stays as it is."""
        return not (self.entries or self.retried)


@dataclass(frozen=True)
class Arrival:
    """Rows, in their order; `key` is the object that has just these, None if there is none.

    `name` sorts after those of earlier rows: the name of the object, or of one to be written.
    """

    rows: pa.Table
    name: str
    key: str | None = None


@dataclass(frozen=True)
class Deletion:
    """Keys, as text, of rows that were deleted."""

    keys: pa.Array


class Cleared:
    """A snapshot begins: all earlier rows are gone."""


Event = Arrival | Deletion | Cleared


def changes(
    markers: BatchLog[LoadedMarker],
    log: BatchLog[ProcessedManifest],
    table: str,
    position: Position,
) -> Iterator[Change]:
    """Yield what each marker after a position says about a table.

    A warehouse that was restored gets batches again that the table has: they are left out, but for
    the refused rows that it then accepts. Raises CorruptLogError for a log that is not the one of
    the position, or ends before it.
    """
    newest = markers.newest()
    _require_same_log(markers, newest, table, position)
    for number in range(position.marker + 1, newest + 1):
        marker = markers.read(number)
        has = max(position.batch, marker.has.get(table, 0))
        batches = range(position.batch + 1, has + 1)
        found = ((batch, log.read(batch).tables.get(table, _NOTHING)) for batch in batches)
        entries = [(batch, entry) for batch, entry in found if entry.objects or entry.snapshot]
        before, now = (_refused(markers, each, table) for each in (position.marker, number))
        retried, still = [], now
        if _is_behind(markers, position.marker, table, position.batch):
            if not _is_behind(markers, number, table, position.batch):
                retried = _refused(markers, _last_complete(markers, table, position), table)
                still = before if batches else now  # a later batch supersedes some
        elif marker.tried_at == marker.written_at and not entries:
            retried = before
        position = Position(number, has, marker.written_at.isoformat())
        yield Change(position, entries, now, retried if retried != still else [], still)


def _require_same_log(
    markers: BatchLog[LoadedMarker], newest: int, table: str, position: Position
) -> None:
    what = f"the newest is {newest}"
    if position.marker <= newest:
        if not position.at:
            return
        at = markers.read(position.marker).written_at
        if at.isoformat() == position.at:
            return
        what = f"that is another one now, of {at}"
    raise CorruptLogError(
        f"the Iceberg table of {table} has marker {position.marker} of {markers.source}, and "
        f"{what}: was the log emptied? Drop the table, and it is made again"
    )


def _is_behind(markers: BatchLog[LoadedMarker], number: int, table: str, batch: int) -> bool:
    """Return whether the warehouse lacked a batch of a table, as after a restore."""
    return bool(number) and markers.read(number).has.get(table, 0) < batch


def _last_complete(markers: BatchLog[LoadedMarker], table: str, position: Position) -> int:
    """Return the last marker up to a position when the warehouse had all batches of the table."""
    earlier = markers.read_each(range(position.marker, 0, -1))
    return next((each.number for each in earlier if each.has.get(table, 0) >= position.batch), 0)


def _refused(markers: BatchLog[LoadedMarker], number: int, table: str) -> list[RefusedRows]:
    return markers.read(number).refused.get(table, []) if number else []


def events(
    bucket: Bucket, change: Change, key: tuple[str, ...], way: Way, *, is_new: bool
) -> Iterator[Event]:
    """Yield what happens to the rows of a table by one change, in order.

    `is_new` says that the table has no rows yet. Of a batch that repeats what a history has, as a
    replay does, only the last row of each key counts.
    """
    if change.retried:
        yield from _accepted(bucket, change, key)
        is_new = False
    for batch, entry in change.entries:
        if entry.snapshot:
            yield Cleared()
        refused = _of_batch(bucket, change.refused, batch)
        if way == "history" and entry.filled and not is_new:
            for number, rows in enumerate(newest_of(read_parts(bucket, entry.files[::-1]), key)):
                yield Arrival(_without(rows, refused, key), f"{batch:010d}-{number:013d}")
        else:
            for file, rows in zip(entry.files, read_parts(bucket, entry.files), strict=True):
                left = _without(rows, refused, key)
                is_whole = left.num_rows == rows.num_rows
                yield Arrival(left, _name(file.key), file.key if is_whole else None)
        is_new = is_new and not entry.files
        for gone in read_parts(bucket, entry.tombstones if way == "replace" else []):
            yield Deletion(keys_of(gone, key).cast(pa.string()))


def _accepted(bucket: Bucket, change: Change, key: tuple[str, ...]) -> Iterator[Arrival]:
    """Yield the rows that were accepted when they were tried again."""
    last = min((batch - 1 for batch, _ in change.entries), default=change.position.batch)
    left = [rows.drop_columns([REASON]) for rows in read(bucket, change.still)]
    for rows in read(bucket, change.retried):
        accepted = rows.drop_columns([REASON])
        for place, each in enumerate(left):
            accepted, refused = _divided(accepted, each, key)
            left[place] = _without(each, refused, key)  # equal rows may be in the next object
        name = f"{last:010d}-z{change.position.marker:010d}"
        yield Arrival(accepted.drop_columns([BATCH]), name)


def _of_batch(bucket: Bucket, refused: Iterable[RefusedRows], batch: int) -> pa.Table | None:
    """Return the refused rows of a batch, None if there are none."""
    rows = [each.filter(pc.equal(each[BATCH], batch)) for each in read(bucket, refused)]
    if not any(each.num_rows for each in rows):
        return None
    return pa.concat_tables(rows, promote_options="permissive").drop_columns([BATCH, REASON])


def _without(rows: pa.Table, others: pa.Table | None, key: tuple[str, ...]) -> pa.Table:
    """Return rows without as many of those that equal others, from the last on."""
    return _divided(rows, others, key)[0]


def _divided(
    rows: pa.Table, others: pa.Table | None, key: tuple[str, ...]
) -> tuple[pa.Table, pa.Table]:
    """Return rows without those that equal others, as often as these, and those."""
    if others is None or not others.num_rows:
        return rows, rows.slice(0, 0)
    names = [name for name in others.column_names if name in rows.column_names]
    left = Counter(tuples(others.select(names)))
    candidates = pa.array(range(rows.num_rows), pa.int64())
    if key:  # lines have none
        wanted = keys_of(others, key).cast(pa.string())
        candidates = pc.indices_nonzero(pc.is_in(keys_of(rows, key).cast(pa.string()), wanted))
    values = list(tuples(rows.take(candidates).select(names)))
    dropped = []
    for place, value in reversed(list(zip(candidates.to_pylist(), values, strict=True))):
        if left[value]:
            left[value] -= 1
            dropped.append(place)
    places = pa.array(range(rows.num_rows), pa.int64())
    is_dropped = pc.is_in(places, pa.array(dropped, pa.int64()))
    return rows.filter(pc.invert(is_dropped)), rows.filter(is_dropped)


def _name(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".parquet")
