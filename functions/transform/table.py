"""The rows of a batch for one target table: each goes into that table or into quarantine.

Rows are processed in slices; only joined rows and those in quarantine are held.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from etl import Pipeline, Table, Text
from etl import mapping as declared
from functions.common.batchlog import BatchLog
from functions.common.carried import UNFIT
from functions.common.keys import keys_of
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter, read_rows
from functions.common.storage import Bucket
from functions.transform import checks, quarantine
from functions.transform.absent import Absent
from functions.transform.batchkeys import BatchKeys
from functions.transform.making import make
from functions.transform.reasons import Reasons
from functions.transform.rowexports import RowExports
from functions.transform.rows import as_declared, require_columns, tombstones_of
from functions.transform.values import convert, form


@dataclass(frozen=True)
class Batch:
    """A batch of a source, the absent parents, and where its rows come from and go.

    `number` and `day` are for the keys of written objects. `manifest` names the rows: those of the
    batch, or of an earlier one with which a new target table is filled. `keys`, and `reasons` by
    target table, are collected. `read_ahead` has objects of the ingestion bucket that have been
    read already.
    """

    number: int
    day: date
    manifest: IngestionManifest
    absent: Absent
    pipeline: Pipeline
    ingested: BatchLog[IngestionManifest]
    processed: Bucket
    keys: BatchKeys
    reasons: defaultdict[str, Reasons]
    read_ahead: Bucket | None = None

    @property
    def lake(self) -> Bucket:
        """The bucket of the rows, or one of which some objects have been read already."""
        return self.read_ahead or self.ingested.bucket

    @property
    def is_own(self) -> bool:
        """Whether the rows are those of the batch itself."""
        return self.manifest.batch == self.number

    def writer(self, prefix: str) -> PartWriter:
        """Return a writer of objects under a prefix of the processed bucket."""
        return PartWriter(self.processed, prefix, self.number, self.day)


class TableOfBatch:
    """The rows of a batch that are remodelled for one target table."""

    def __init__(self, batch: Batch, mapping: declared.Mapping) -> None:
        self._batch = batch
        self._mapping = mapping
        self._table = mapping.main
        self._lake = batch.lake
        self._waits = batch.pipeline.waits(mapping)
        self._calendar = batch.pipeline.calendar_of(mapping)
        self._exports = RowExports(batch.processed, batch.pipeline)
        self._capture = batch.manifest.capture(mapping.main.id)

    @property
    def taken(self) -> int:
        """How many rows the batch has."""
        return sum(file.rows for file in self._capture.files)

    def release(self, open_rows: pa.Table) -> pa.Table:
        """Write the open rows of which a parent has come and that are fit now; return the rest."""
        if not (open_rows.num_rows and self._waits):
            return open_rows
        reasons: dict[int, str] = {}
        for positions, joined in self._ready(as_declared(self._table, open_rows)):
            rows = as_declared(self._table, open_rows.take(positions))
            still = self._remodel(rows, self._releases, joined)
            self._batch.absent.note(self._table, checks.without(rows, still), (), is_new=False)
            for place, position in enumerate(positions.to_pylist()):
                reasons[position] = still.get(place, "")
        if not reasons:
            return open_rows
        every = dict(enumerate(open_rows[quarantine.REASON].to_pylist())) | reasons
        left = {position: reason for position, reason in every.items() if reason}
        return quarantine.still_open(open_rows, left)

    @cached_property
    def _releases(self) -> PartWriter:
        return self._batch.writer(self._mapping.target.id)

    def released(self) -> list[DataFile]:
        """Return the files of the rows that were released."""
        return self._releases.close()

    def _ready(self, rows: pa.Table) -> Iterator[tuple[pa.Array, Sequence[checks.Partners]]]:
        """Yield the positions of open rows of which a parent has come, with their joined rows.

        The rows that a row joins with are as in its batch: had one changed, the row would be in a
        later batch too. So they are read from there.
        """
        ready = checks.waiting(rows, self._waits, self._batch.absent.come)
        batches = rows[quarantine.BATCH].combine_chunks()
        if not self._mapping.joins:
            batches = pa.repeat(self._batch.number, rows.num_rows)
        for number in pc.unique(batches.filter(ready)).to_pylist():
            positions = pc.indices_nonzero(pc.and_(ready, pc.equal(batches, number)))
            joins = self._mapping.joins
            yield positions, self._joined_in(self._batch.ingested.read(number)) if joins else ()

    def take(self) -> tuple[list[DataFile], list[pa.Table]]:
        """Write the batch's own rows that are fit; return their files, and the unfit rows."""
        manifest, unfit = self._batch.manifest, []
        writer = self._batch.writer(self._mapping.target.id)
        for rows in self.rows():
            wrong, reasons = self.remodel(rows, writer)
            is_new = manifest.replay_of is None
            self._batch.absent.note(self._table, rows, reasons, is_new=is_new)
            if reasons:
                unfit.append(wrong)
        return writer.close(), unfit

    def rows(self) -> Iterator[pa.Table]:
        """Yield the rows of the batch with all columns of their table, in slices."""
        for part in read_rows(self._lake, self._capture.files):
            yield self._declared(self._table, pa.Table.from_batches([part]))

    def remodel(
        self, rows: pa.Table, writer: PartWriter, batches: pa.Array | None = None
    ) -> tuple[pa.Table, dict[int, str]]:
        """Write the rows that are fit for the target; return the unfit ones, and why they are.

        `batches` are those in which the rows came; None for the batch itself.
        """
        if batches is None:
            batches = pa.repeat(pa.scalar(self._batch.manifest.batch), rows.num_rows)
        reasons = self._remodel(rows, writer, self._partners)
        return quarantine.arrived(rows, batches, self._mapping.target.id, reasons), reasons

    def _remodel(
        self, rows: pa.Table, writer: PartWriter, joined: Sequence[checks.Partners]
    ) -> dict[int, str]:
        """Write the rows that are fit for the target; return why the others are not."""
        around = checks.Surroundings(self._calendar, joined, self._waits, self._batch.absent.now)
        converted = convert(self._table, rows)
        keys = keys_of(converted, self._table.keys)
        self._batch.keys.add(self._table.id, keys)
        reasons = checks.reasons(self._table, rows, converted, around)
        self._batch.reasons[self._mapping.target.id].add(keys, reasons)
        if len(reasons) < rows.num_rows:
            partners = dict(chain.from_iterable(each.by_parameter() for each in joined))
            fit = checks.without(converted, reasons)
            made = make(self._mapping, fit, partners)
            self._exports.write(self._mapping.target, made)
            writer.write(made)
        return reasons

    @cached_property
    def _partners(self) -> Sequence[checks.Partners]:
        return self._joined_in(self._batch.manifest)

    def _joined_in(self, manifest: IngestionManifest) -> Sequence[checks.Partners]:
        """Return the joined rows of a batch, which has all that its rows need."""
        return checks.joined_in(
            self._mapping, self._calendar, lambda table: self._all_rows(manifest, table)
        )

    def _all_rows(self, manifest: IngestionManifest, table: Table) -> pa.Table:
        files = manifest.capture(table.id).joining
        parts = [pa.Table.from_batches([part]) for part in read_rows(self._lake, files)]
        columns = {**table.columns, UNFIT: Text()}
        none = pa.table({name: pa.nulls(0, form(column)) for name, column in columns.items()})
        rows = [self._declared(table, part).select(none.column_names) for part in parts]
        return pa.concat_tables(rows or [none], promote_options="permissive")

    def _declared(self, table: Table, rows: pa.Table) -> pa.Table:
        """Return rows with all columns of their table; those of the batch itself must have them."""
        if not self._batch.is_own:
            return as_declared(table, rows)
        require_columns(table, rows)
        return rows

    def tombstones(self) -> Iterator[pa.Table]:
        """Yield the keys of deleted rows as the source had them, in the types of today."""
        for part in read_rows(self._lake, tombstones_of(self._table, self._capture)):
            keys = as_declared(self._table, pa.Table.from_batches([part]))
            yield keys.select(list(self._table.keys))

    def target_keys(self, rows: pa.Table) -> pa.Table:
        """Return the keys of rows as the target has them, but for those that it cannot have.

        They are among the keys of the batch.
        """
        keys = convert(self._table, rows, self._table.keys).drop_null()
        self._batch.keys.add(self._table.id, keys_of(keys, self._table.keys))
        return keys.rename_columns(list(self._mapping.target.key))

    def deleted(self) -> Iterator[pa.Table]:
        """Yield the keys of deleted rows as the target has them, but for those it cannot have."""
        if self._mapping.target.key:
            yield from map(self.target_keys, self.tombstones())

    def write_deleted(self, keys: Iterable[pa.Table]) -> list[DataFile]:
        """Write the keys of deleted rows; return their files."""
        writer = self._batch.writer(f"tombstones/{self._mapping.target.id}")
        for some in keys:
            writer.write(some)
        return writer.close()
