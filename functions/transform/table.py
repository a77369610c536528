"""Remodel one source table of a batch: each row into its star table or into quarantine.

Rows pass in slices; only the partners of a join and the rows in quarantine are held.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.carried import KNOWN, UNFIT, lacking
from functions.common.errors import BatchUnbalanced, LogCorrupted
from functions.common.manifests import (
    Balance,
    DataFile,
    IngestionManifest,
    Quarantine,
    StarTable,
)
from functions.common.parquet import PartWriter, read_rows
from functions.common.storage import Bucket
from functions.common.totesys import TABLES, Table
from functions.transform import checks, quarantine
from functions.transform.star import StarMapping
from functions.transform.values import convert, integers


@dataclass(frozen=True)
class Batch:
    """A batch of a source at work: its manifest, what was open before it, and its two buckets.

    `absent` are the parents that facts must wait for; each dimension that is done updates it.
    """

    source: str
    manifest: IngestionManifest
    open: Mapping[str, Quarantine]
    absent: dict[str, set[int]]
    lake: Bucket
    stars: Bucket

    def writer(self, table: str) -> PartWriter:
        """Return a writer of objects under the name `table` in the processed bucket."""
        day = self.manifest.source.snapshot_at.date()
        return PartWriter(self.stars, table, self.manifest.batch, day)


@dataclass(frozen=True)
class Remodelled:
    """What became of a source table: its star rows, the rows still open, and the account."""

    star: StarTable
    quarantine: Quarantine | None
    balance: Balance


def remodel_table(batch: Batch, mapping: StarMapping) -> Remodelled:
    """Sort the rows of a source table, those that waited first, into star and quarantine."""
    table = _TableOfBatch(batch, mapping)
    before = quarantine.read(batch.stars, batch.open.get(mapping.source))
    kept = table.not_superseded(before)
    released, waiting = table.release(kept)
    fit, unfit = table.take()
    files = released + fit
    balance = Balance(
        taken=sum(file.rows for file in table.capture.files),
        released=kept.num_rows - waiting.num_rows,
        out=sum(file.rows for file in files),
        quarantined=sum(rows.num_rows for rows in unfit),
    )
    _require_balance(batch, mapping, balance)
    tombstones = table.tombstones()
    star = StarTable(balance.out, files, sum(file.rows for file in tombstones), tombstones)
    return Remodelled(star, table.keep([waiting, *unfit], before), balance)


def _require_balance(batch: Batch, mapping: StarMapping, balance: Balance) -> None:
    if balance.taken + balance.released != balance.out + balance.quarantined:
        raise BatchUnbalanced(
            f"batch {batch.manifest.batch}: of {balance.taken} rows of {mapping.source} and "
            f"{balance.released} released ones, {balance.out} went to {mapping.table} and "
            f"{balance.quarantined} to quarantine: this is a defect of transform, report it"
        )


class _TableOfBatch:
    """The rows of one source table in a batch, and what is done with them."""

    def __init__(self, batch: Batch, mapping: StarMapping) -> None:
        self._batch = batch
        self._mapping = mapping
        self._source = TABLES[mapping.source]
        self._partners = _partners(batch, mapping.partner) if mapping.partner else None
        self.capture = batch.manifest.capture(mapping.source)

    def not_superseded(self, open_rows: pa.Table) -> pa.Table:
        """Return the open rows that the batch does not bring again and that are not deleted."""
        if not open_rows.num_rows:
            return open_rows
        key, lake = self._source.key, self._batch.lake
        mine = open_rows[key].cast(pa.int64())
        come = chain(read_rows(lake, self.capture.files), read_rows(lake, self.capture.tombstones))
        again = [
            keys.filter(pc.is_in(keys, mine)) for keys in (r[key].cast(pa.int64()) for r in come)
        ]
        return open_rows.filter(pc.invert(pc.is_in(mine, pa.chunked_array(again, pa.int64()))))

    def release(self, open_rows: pa.Table) -> tuple[list[DataFile], pa.Table]:
        """Write the open rows that wait for nothing any more; return their files, and the rest.

        Only facts wait: a child of a join comes again with its partner.
        """
        if not (open_rows.num_rows and self._source.parents):
            return [], open_rows
        writer = self._batch.writer(self._mapping.table)
        reasons = self._remodel(open_rows, writer)
        return writer.close(), quarantine.still_open(open_rows, reasons)

    def take(self) -> tuple[list[DataFile], list[pa.Table]]:
        """Write the batch's own rows that are fit; return their files, and the unfit rows."""
        number, unfit = self._batch.manifest.batch, []
        writer = self._batch.writer(self._mapping.table)
        for part in read_rows(self._batch.lake, self.capture.files):
            rows = pa.Table.from_batches([part])
            reasons = self._remodel(rows, writer)
            self._note_absent(rows, reasons)
            if reasons:
                unfit.append(quarantine.arrived(rows, number, reasons))
        return writer.close(), unfit

    def _remodel(self, rows: pa.Table, writer: PartWriter) -> dict[int, str]:
        """Write the rows that are fit for the warehouse; return why the others are not."""
        _require_columns(rows, self._source)
        converted = convert(self._source, rows)
        reasons = checks.reasons(self._source, rows, converted, self._partners, self._batch.absent)
        if len(reasons) < rows.num_rows:
            partners = self._partners.rows if self._partners else None
            writer.write(self._mapping.remodel(converted, partners, reasons))
        return reasons

    def _note_absent(self, rows: pa.Table, reasons: Mapping[int, str]) -> None:
        """Let facts wait for the new rows of a dimension that are unfit, and no more for fit ones.

        A row that the batch before had has been fit once, or is among the absent ones already. So
        has every row of a replay, which brings none that is new.
        """
        absent = self._batch.absent.get(self._source.name)
        if absent is None:
            return
        keys = rows[self._source.key].to_pylist()
        absent.difference_update(key for at, key in enumerate(keys) if at not in reasons)
        if self._batch.manifest.replay_of is None:
            is_known = rows[KNOWN].to_pylist()
            absent.update(keys[at] for at in reasons if not is_known[at])

    def tombstones(self) -> list[DataFile]:
        """Write the keys of deleted rows, without those that the warehouse cannot have."""
        writer = self._batch.writer(f"tombstones/{self._mapping.table}")
        for part in read_rows(self._batch.lake, self.capture.tombstones):
            keys = integers(pa.chunked_array([part[self._source.key]])).drop_null()
            writer.write(pa.table({self._mapping.key: keys}))
        return writer.close()

    def keep(self, tables: list[pa.Table], before: pa.Table) -> Quarantine | None:
        """Write the rows that are open now, unless they are those that were open before."""
        name, number = self._source.name, self._batch.manifest.batch
        now = quarantine.together([table for table in tables if table.num_rows])
        if not now.num_rows:
            return None
        if now.equals(before):
            return self._batch.open[name]
        day = self._batch.manifest.source.snapshot_at.date()
        return quarantine.store(self._batch.stars, f"{self._batch.source}/{name}", number, day, now)


def _partners(batch: Batch, name: str) -> checks.Partners:
    """Return the rows of the table that joins in: a batch has all that its children need."""
    table, files = TABLES[name], batch.manifest.capture(name).joining
    none = pa.table({column: pa.nulls(0) for column in [*table.columns, UNFIT, KNOWN]})
    parts = [pa.Table.from_batches([part]) for part in read_rows(batch.lake, files)]
    for part in parts:
        _require_columns(part, table)
    return checks.partners(table, pa.concat_tables([none, *parts], promote_options="permissive"))


def _require_columns(rows: pa.Table, table: Table) -> None:
    """Raise LogCorrupted for rows that extract would not have written."""
    if column := lacking(rows.schema, table):
        raise LogCorrupted(
            f"rows of {table.name} in the ingestion bucket have no column {column}: which version "
            "of extract wrote them?"
        )
    if rows[table.key].null_count:
        raise LogCorrupted(f"rows of {table.name} in the ingestion bucket have no {table.key}")
