"""The quarantine of a source table over a batch: which rows it touches, and which are left.

A part that the batch has nothing to do with is neither read nor written: its marks show that it has
none of the batch's keys, and refers to no parent that has come. Small parts are put together, so
that their number grows with the logarithm of that of the batches.
"""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from etl import Table
from etl.pipeline import Wait
from functions.common.keys import arrays_of, is_among, keys_of
from functions.common.objects import DataFile, ObjectNames
from functions.common.parquet import read_rows
from functions.common.quarantined import Quarantine, QuarantinePart
from functions.common.slices import sliced
from functions.transform import quarantine
from functions.transform.marks import Marks, in_common, marks_in, marks_of
from functions.transform.rows import tombstones_of
from functions.transform.table import Batch


class Held:
    """The open rows of a table: those that were open before a batch, and those that are after it.

    Use: for each part that is `touched`, `keep` what is left of it; `add` what the batch holds
    back; then `stored` writes what is new. With `whole` all parts are touched.
    """

    def __init__(
        self,
        batch: Batch,
        table: Table,
        waits: Sequence[Wait],
        before: Quarantine | None,
        *,
        whole: bool,
    ) -> None:
        self._batch = batch
        self._table = table
        self._key = tuple(table.keys)
        self._waits = waits
        self._whole = whole
        self._before = before
        self._by = [self._key, *dict.fromkeys(wait.columns for wait in waits)]
        prefix = f"quarantine/{batch.ingested.source}/{table.id}"
        self._names = ObjectNames(prefix, batch.number, batch.day)
        self._again: list[pa.Array] = []
        self._kept: list[QuarantinePart] = []
        self._marks: dict[str, Marks] = {}
        self._new: list[QuarantinePart] = []
        self._loose: list[pa.Table] = []
        self._bytes = 0
        self._left: list[pa.Array] = []

    def touched(self) -> Iterator[tuple[QuarantinePart, pa.Table]]:
        """Yield each part that the batch may change, and its rows."""
        parts = list(self._before.all_parts) if self._before else []
        has_rows = bool(self._own_files)
        wanted = self._come()
        if not (self._whole or has_rows or wanted):
            self._kept = parts
            return
        by = [columns for columns, _ in wanted] + [self._key] * has_rows
        self._marks = {part.file: self._marks_of(part, by) for part in parts}
        if has_rows and parts:
            self._again = self._keys_again()
            wanted += [(self._key, marks_of(keys)) for keys in self._again]
        for part in parts:
            if self._whole or any(self._has(part, *each) for each in wanted):
                yield part, quarantine.read(self._batch.processed, part)
            else:
                self._kept.append(part)

    def not_again(self, rows: pa.Table) -> pa.Table:
        """Return the rows of a part that the batch neither has again nor deletes."""
        for keys in self._again if rows.num_rows else ():
            rows = rows.filter(pc.invert(is_among(keys_of(rows, self._table.keys), keys)))
        return rows

    def keep(
        self, part: QuarantinePart, rows: Sequence[pa.Table], left: Sequence[pa.Table]
    ) -> None:
        """Keep what is `left` of a part that had `rows`, both by target table."""
        is_same = all(one.equals(other) for one, other in zip(rows, left, strict=True))
        if is_same and sum(each.num_rows for each in rows) == part.rows:
            self._note(quarantine.together(list(rows)))
            self._kept.append(part)
            return
        for each in left:
            self.add(each)

    def add(self, rows: pa.Table) -> None:
        """Hold back rows."""
        self._note(rows)
        for some in sliced(rows, max(1, rows.num_rows), quarantine.PART_BYTES):
            self._loose.append(some)
            self._bytes += some.nbytes
            if self._bytes >= quarantine.PART_BYTES:
                self._flush()

    def holds(self, keys: pa.Array) -> pa.Array:
        """Return those of some keys of which a row is open."""
        marks = marks_of(keys)
        found = [keys.filter(is_among(keys, each)) for each in self._left]
        for part in self._kept if len(keys) else ():
            if self._has(part, self._key, marks):
                there = keys_of(quarantine.read(self._batch.processed, part), self._table.keys)
                found.append(keys.filter(is_among(keys, there)))
        return pa.concat_arrays([keys[:0], *found])

    def stored(self) -> Quarantine | None:
        """Write what is new; return the entry of the manifest, None if no row is open."""
        self._gather()
        self._flush()
        return Quarantine.of([*self._kept, *self._new])

    @property
    def _own_files(self) -> list[DataFile]:
        capture = self._batch.manifest.capture(self._table.id)
        return [*capture.files, *tombstones_of(self._table, capture)]

    def _keys_again(self) -> list[pa.Array]:
        """Return the keys of the batch that parts may have, in arrays of one type."""
        known = [marks[self._key] for marks in self._marks.values() if self._key in marks]
        # A part that was written under another key has no marks of this one.
        is_any = len(known) < len(self._marks)
        found: dict[pa.DataType, list[pa.Array]] = {}
        for rows in read_rows(self._batch.ingested.bucket, self._own_files, self._table.keys):
            keys = keys_of(rows, self._table.keys)
            if not is_any:
                mine = marks_of(keys)
                keys = keys.filter(pc.is_in(mine, _all([in_common(each, mine) for each in known])))
            found.setdefault(keys.type, []).append(keys)
        return [pa.concat_arrays(each) for each in found.values()]

    def _has(self, part: QuarantinePart, columns: tuple[str, ...], marks: pa.Array) -> bool:
        """Return whether a part may have rows with one of some marks."""
        mine = self._marks[part.file].get(columns)
        return mine is None or len(in_common(mine, marks)) > 0

    def _marks_of(self, part: QuarantinePart, by: Collection[tuple[str, ...]]) -> Marks:
        if part.marks is not None:
            return quarantine.marks(self._batch.processed, part.marks, set(by))
        rows = quarantine.read(self._batch.processed, part)
        return marks_in(rows, [each for each in by if set(each) <= set(rows.column_names)])

    def _note(self, rows: pa.Table) -> None:
        if rows.num_rows and self._table.id in self._batch.absent.now:
            self._left.append(keys_of(rows, self._table.keys))

    def _gather(self) -> None:
        """Put small parts to what is written, as many rows at most as there are already."""
        for part in sorted(self._kept, key=lambda each: each.rows):
            loose = sum(each.num_rows for each in self._loose)
            if not 0 < part.rows <= loose or 2 * self._bytes > quarantine.PART_BYTES:
                return
            self._kept.remove(part)
            rows = quarantine.read(self._batch.processed, part)
            self._loose.insert(0, rows)
            self._bytes += rows.nbytes

    def _flush(self) -> None:
        rows = quarantine.together(self._loose)
        self._loose, self._bytes = [], 0
        if rows.num_rows:
            self._new.append(quarantine.store(self._batch.processed, self._names, rows, self._by))

    def _come(self) -> list[tuple[tuple[str, ...], pa.Array]]:
        """Return the marks of the parents that have come, by the columns that refer to them."""
        come = self._batch.absent.come
        found = {wait.columns: come.get(wait.parent.id, ()) for wait in self._waits}
        return [
            (columns, _all(list(map(marks_of, arrays_of(keys)))))
            for columns, keys in found.items()
            if keys
        ]


def _all(marks: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays([pa.nulls(0, pa.int64()), *marks])
