"""Fill a new target table with the rows of all batches of the log, in their order.

A long log has many small batches. Their objects are read several at a time, and rows of different
batches are remodelled together where no other rows join with them: those are their own batch's.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.batchlog import AHEAD
from functions.common.keys import Key, keys_of
from functions.common.manifests import Balance, IngestionManifest, StarTable
from functions.common.objects import DataFile
from functions.common.parquet import BYTES_PER_SLICE, READERS, ROWS_AT_ONCE, ROWS_PER_GROUP
from functions.common.storage import OBJECT_BYTES, Bucket
from functions.transform.lasting import Lasting
from functions.transform.quarantine import BATCH
from functions.transform.remodelling import Remodelled, require_balance, rows_of
from functions.transform.table import Batch, TableOfBatch


def fill(batch: Batch, mapping: Mapping) -> Remodelled:
    """Remodel the rows of all batches of the log up to this one."""
    filling = _Filling(batch, mapping)
    for group in _groups(_manifests(batch), mapping):
        lake = _ReadAhead(batch.ingested.bucket, [f for m in group for f in _objects(m, mapping)])
        for manifest in group:
            filling.take(replace(batch, manifest=manifest, read_ahead=lake))
    return filling.finish()


def _manifests(batch: Batch) -> Iterator[IngestionManifest]:
    """Yield the manifests of the log in their order, the batch's own last."""
    yield from batch.ingested.read_each(range(1, batch.number))
    yield batch.manifest


def _groups(
    manifests: Iterator[IngestionManifest], mapping: Mapping
) -> Iterator[list[IngestionManifest]]:
    """Yield manifests in groups, several only where their objects have few rows together."""
    group: list[IngestionManifest] = []
    left = ROWS_AT_ONCE
    for manifest in manifests:
        rows = sum(file.rows for file in _objects(manifest, mapping))
        if group and (rows > left or len(group) == AHEAD):
            yield group
            group, left = [], ROWS_AT_ONCE
        group.append(manifest)
        left -= rows
    yield group


def _objects(manifest: IngestionManifest, mapping: Mapping) -> list[DataFile]:
    """Return the objects of a batch from which rows of a target table are made."""
    main = manifest.capture(mapping.main.id)
    joining = [manifest.capture(join.table.id).joining for join in mapping.joins]
    files = [*main.files, *main.tombstones, *(file for each in joining for file in each)]
    return list(dict.fromkeys(files)) if main.files else main.tombstones


class _ReadAhead(Bucket):
    """A bucket of which some objects, if they are several, were read together."""

    def __init__(self, bucket: Bucket, files: Sequence[DataFile]) -> None:
        super().__init__(bucket.client, bucket.name)
        self._bucket = bucket
        self._bodies: dict[str, bytes] = {}
        keys = [file.key for file in files]
        if sum(file.rows for file in files) <= ROWS_AT_ONCE:
            with ThreadPoolExecutor(READERS) as pool:
                self._bodies = dict(zip(keys, pool.map(bucket.get, keys), strict=True))

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:
        """Return the bytes of an object."""
        return self._bodies[key] if key in self._bodies else self._bucket.get(key, at_most)


class _Filling:
    """The rows of a target table, from batch to batch: those that are fit, unfit or deleted."""

    def __init__(self, batch: Batch, mapping: Mapping) -> None:
        self._batch = batch
        self._mapping = mapping
        self._writer = batch.writer(mapping.target.id)
        self._open, self._deleted = Lasting(), Lasting()
        self._gathered: list[pa.Table] = []
        self._keys: set[Key] = set()
        self._bytes = 0
        self._taken = self._quarantined = 0

    def take(self, batch: Batch) -> None:
        """Take the rows of the next batch, and the keys of the rows that were deleted."""
        table, number = TableOfBatch(batch, self._mapping), batch.manifest.batch
        main, key = self._mapping.main.keys, self._mapping.target.key
        for gone in table.tombstones():
            self._open.end(keys_of(gone, main), number)
            if key:
                self._deleted.add(_numbered(table.target_keys(gone), number), key)
        for rows in table.rows():
            self._open.end(keys_of(rows, main), number)
            if key and self._deleted.count:
                self._deleted.end(keys_of(table.target_keys(rows), key), number)
            self._gather(table, _numbered(rows, number))
        self._taken += table.taken
        if self._mapping.joins:
            self._remodel(table)

    def _gather(self, table: TableOfBatch, rows: pa.Table) -> None:
        """Put rows to those of other batches, unless they are too many, or a key has come again.

        A function of the pipeline sees no key twice, whatever it does with its rows.
        """
        keys = set(keys_of(rows, self._mapping.main.keys).to_pylist())
        is_full = len(self._keys) + len(keys) > ROWS_PER_GROUP
        if is_full or self._bytes + rows.nbytes > BYTES_PER_SLICE or not self._fits(rows, keys):
            self._remodel(table)
        self._gathered.append(rows)
        self._keys |= keys
        self._bytes += rows.nbytes

    def _fits(self, rows: pa.Table, keys: set[Key]) -> bool:
        schemas = {each.schema for each in self._gathered[:1]}
        return schemas <= {rows.schema} and self._keys.isdisjoint(keys)

    def _remodel(self, table: TableOfBatch) -> None:
        """Remodel the gathered rows; with joins all of them are of this batch."""
        if self._gathered:
            rows = pa.concat_tables(self._gathered)
            batches = rows[BATCH].combine_chunks()
            wrong, _ = table.remodel(rows.drop_columns([BATCH]), self._writer, batches)
            self._quarantined += wrong.num_rows
            self._open.add(wrong, self._mapping.main.keys)
        self._gathered, self._keys, self._bytes = [], set(), 0
        self._open.settle()
        self._deleted.settle()

    def finish(self) -> Remodelled:
        """Write what is left, and return the outcome."""
        self._remodel(TableOfBatch(self._batch, self._mapping))
        files, open_rows = self._writer.close(), self._open.left()
        self._batch.absent.note_unfit(self._mapping.main, open_rows)
        balance = Balance(
            self._taken, released=0, out=rows_of(files), quarantined=self._quarantined
        )
        require_balance(self._batch, self._mapping, balance)
        tombstones = self._tombstones()
        made = StarTable(balance.out, files, rows_of(tombstones), tombstones, filled=True)
        return Remodelled(made, balance, [open_rows])

    def _tombstones(self) -> list[DataFile]:
        writer = self._batch.writer(f"tombstones/{self._mapping.target.id}")
        deleted = self._deleted.left()
        if deleted.num_rows:
            writer.write(deleted.drop_columns([BATCH]))
        return writer.close()


def _numbered(rows: pa.Table, batch: int) -> pa.Table:
    return rows.append_column(BATCH, pa.repeat(pa.scalar(batch), rows.num_rows))
