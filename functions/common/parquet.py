"""Parquet objects of a batch: written in parts of bounded size, read in slices.

A manifest has the digest of each object, so rows are read as they were written or not at all. An
object that would expand to more than a function can hold is rejected before it is expanded.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from functions.common.errors import CorruptLogError
from functions.common.objects import DataFile, ObjectNames
from functions.common.slices import rows_within, sliced
from functions.common.storage import Bucket

ROWS_PER_PART = 500_000  # about 40 MB of narrow rows, which fits a function several times
BYTES_PER_PART = 32 << 20  # in memory, for rows that are large
ROWS_PER_GROUP = 65_536  # that a reader holds at a time
BYTES_PER_SLICE = 16 << 20  # in memory: a reader of large rows holds fewer
READERS = 8  # objects that are fetched at a time, as manifests are
ROWS_AT_ONCE = 1_000  # in all of these: 10 MB, if each is of 10 kB
BYTES_AT_ONCE = 1 << 20  # of so few rows, when they are written

EXPANDED_AT_MOST = 256 << 20  # a part, its last slice, and some margin


class PartWriter:
    """Writes the rows of one table of a batch as Parquet objects; none if there are no rows.

    Every object has a new name. A thread uploads a part while the next one is built.
    """

    def __init__(
        self,
        bucket: Bucket,
        table: str,
        batch: int,
        day: date,
        rows_per_part: int = ROWS_PER_PART,
    ) -> None:
        self._bucket = bucket
        self._names = ObjectNames(table, batch, day)
        self._rows_per_part = rows_per_part
        self._part: _Part | None = None
        self._thread = ThreadPoolExecutor(1)
        self._on_its_way: Future[DataFile] | None = None
        self._files: list[DataFile] = []

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows; a change of schema begins a new object."""
        for some in sliced(rows, ROWS_PER_GROUP, BYTES_PER_SLICE):
            self._append(some)

    def _append(self, rows: pa.RecordBatch | pa.Table) -> None:
        if self._part is not None and self._part.schema != rows.schema:
            self.flush()
        if self._part is None:
            self._part = _Part(rows.schema)
        self._part.write(rows)
        if self._part.rows >= self._rows_per_part or self._part.bytes >= BYTES_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Start to upload the rows so far, without waiting for it."""
        if self._part is not None:
            self._arrive()  # one upload at a time bounds memory
            self._on_its_way = self._thread.submit(self._put, self._part)
            self._part = None

    def close(self) -> list[DataFile]:
        """Upload the rest and return the objects, in order."""
        self.flush()
        self._arrive()
        self._thread.shutdown()
        return self._files

    def _arrive(self) -> None:
        if self._on_its_way is not None:
            self._files.append(self._on_its_way.result())
            self._on_its_way = None

    def _put(self, part: "_Part") -> DataFile:
        body = part.finish()
        return DataFile(put(self._bucket, self._names, body), part.rows, digest(body))


def put(bucket: Bucket, names: ObjectNames, body: bytes) -> str:
    """Write an object under a new name; return the name."""
    while not bucket.put_new(key := names.next(), body):
        pass
    return key


class _Part:
    """A Parquet object being built; `bytes` is about the size of its rows in memory.

    A few rows wait for others: each write makes a group of rows, with metadata for each column.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = self.bytes = 0
        self.schema = schema
        self._few: list[pa.Table] = []
        self._few_rows = self._few_bytes = 0
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            use_dictionary=False,
            # Keys, timestamps and prices as differences compress better and are faster to read.
            store_decimal_as_integer=True,
            column_encoding={
                field.name: "DELTA_BINARY_PACKED" for field in schema if _is_number(field.type)
            },
        )

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._few.append(table)
        self._few_rows += rows.num_rows
        self._few_bytes += rows.nbytes
        self.rows += rows.num_rows
        self.bytes += rows.nbytes
        if self._few_rows >= ROWS_AT_ONCE or self._few_bytes >= BYTES_AT_ONCE:
            self._write_group()

    def _write_group(self) -> None:
        rows, self._few = self._few, []
        self._few_rows = self._few_bytes = 0
        if rows:
            self._writer.write_table(pa.concat_tables(rows), row_group_size=ROWS_PER_GROUP)

    def finish(self) -> bytes:
        self._write_group()
        self._writer.close()
        body: bytes = self._sink.getvalue().to_pybytes()
        return body


def packed(rows: pa.Table) -> bytes:
    """Return rows as one Parquet object."""
    part = _Part(rows.schema)
    part.write(rows)
    return part.finish()


def _is_number(kind: pa.DataType) -> bool:
    """Return whether Parquet stores a type as an integer of 32 or 64 bits."""
    if pa.types.is_decimal(kind):
        return int(kind.precision) <= 18
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def read_rows(
    bucket: Bucket, files: Iterable[DataFile], columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet objects in slices; one object is in memory, or a few small ones.

    `columns` are those to read, None for all. Raises CorruptLogError for an object that is missing,
    damaged or replaced, at the latest after its last row.
    """
    for file, body in _bodies(bucket, files):
        rows = 0
        with opened(bucket, file.key, file.sha256, file.rows, body=body) as source:
            # Arrow's threads would take over 50 MB, and save no time on at most one core.
            size, names = _rows_per_slice(source.metadata), columns and list(columns)
            for batch in source.iter_batches(batch_size=size, columns=names, use_threads=False):
                rows += batch.num_rows
                yield batch
        require_rows(bucket, file.key, file.rows, rows)


def _bodies(bucket: Bucket, files: Iterable[DataFile]) -> Iterator[tuple[DataFile, bytes]]:
    """Yield objects with their bytes; small ones, of which a long log has many, come together."""
    for group in _groups(files):
        if len(group) == 1:
            yield group[0], bucket.get(group[0].key)
            continue
        with ThreadPoolExecutor(READERS) as pool:
            bodies = list(pool.map(bucket.get, [file.key for file in group]))
        yield from zip(group, bodies, strict=True)


def _groups(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Yield up to `READERS` objects at a time, several only where they have few rows together."""
    group: list[DataFile] = []
    for file in files:
        if group and (
            len(group) == READERS or sum(each.rows for each in (*group, file)) > ROWS_AT_ONCE
        ):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _rows_per_slice(found: pq.FileMetaData) -> int:
    """Return how many rows of an object a reader holds at a time."""
    expanded = sum(found.row_group(at).total_byte_size for at in range(found.num_row_groups))
    return rows_within(found.num_rows, expanded, ROWS_PER_GROUP, BYTES_PER_SLICE)


def read_parts(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.Table]:
    """Yield the rows of Parquet objects, an object at a time: about `BYTES_PER_PART` in memory.

    Each column is one chunk. A thread reads the next object while the caller works on one, so two
    are in memory. Raises CorruptLogError as `read_rows` does.
    """
    return _Parts(bucket, files)


class _Parts(Iterator[pa.Table]):
    def __init__(self, bucket: Bucket, files: list[DataFile]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._coming = _parts(self._pool, bucket, files)

    def __next__(self) -> pa.Table:
        return next(self._coming)

    def close(self) -> None:
        self._coming.close()
        self._pool.shutdown()

    def __del__(self) -> None:
        # Without waiting: one that an error has left may be garbage collected in any thread, also
        # in one that is about to start and holds a lock that waiting needs.
        self._pool.shutdown(wait=False)


def _parts(
    pool: ThreadPoolExecutor, bucket: Bucket, files: list[DataFile]
) -> Generator[pa.Table, None, None]:
    parts = (pool.submit(_read_part, bucket, file) for file in files)
    reading = next(parts, None)
    while reading:
        part, reading = reading.result(), next(parts, None)
        if part.num_rows:
            yield part
    pool.shutdown()


def _read_part(bucket: Bucket, file: DataFile) -> pa.Table:
    with opened(bucket, file.key, file.sha256, file.rows) as source:
        rows = source.read().combine_chunks()  # a long column of text is read in several chunks
    require_rows(bucket, file.key, file.rows, rows.num_rows)
    return rows


@contextmanager
def opened(
    bucket: Bucket,
    key: str,
    sha256: str,
    rows: int | None = None,
    expanded: int = EXPANDED_AT_MOST,
    *,
    body: bytes | None = None,
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet object for the context; `body` are its bytes, None to get them.

    Raises CorruptLogError, before anything is expanded, for an object that is missing or too large,
    or that has another digest, another number of rows (None: any) or more than `expanded` bytes in
    memory.
    """
    body = bucket.get(key) if body is None else body
    if digest(body) != sha256:
        raise _damaged(bucket, key, "it is not what was written there")
    try:
        source = pq.ParquetFile(pa.BufferReader(body))
        if rows is not None:
            require_rows(bucket, key, rows, source.metadata.num_rows)
        if wrong := _too_much(source, expanded):
            raise _damaged(bucket, key, wrong)
        yield source
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow's message may quote a value, which must not be logged.
        raise _damaged(bucket, key, "it cannot be read as Parquet") from error


def _too_much(source: pq.ParquetFile, at_most: int) -> str | None:
    """Return from its metadata why an object is larger than a function can hold."""
    kinds = [field.type for field in source.schema_arrow]
    if not all(_is_bytes(kind) or _is_flat(kind) for kind in kinds):
        return "a column is of a type that is never written"
    # A text takes four bytes in addition to its own, and each value a bit for NULL.
    bits = sum(33 if _is_bytes(kind) else int(kind.bit_width) + 1 for kind in kinds)
    expanded = source.metadata.num_rows * bits // 8
    if any(_is_bytes(kind) for kind in kinds):
        # Sizes of whole groups only: damaged metadata of a column makes Arrow abort the process.
        groups = range(source.metadata.num_row_groups)
        expanded += sum(source.metadata.row_group(number).total_byte_size for number in groups)
    return f"it would take {expanded:,} bytes in memory" if expanded > at_most else None


def _is_flat(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal128(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def require_rows(bucket: Bucket, key: str, expected: int, actual: int) -> None:
    """Raise CorruptLogError if an object has another number of rows than its manifest says."""
    if actual != expected:
        raise _damaged(bucket, key, f"it has {actual} rows, and its manifest says {expected}")


def digest(body: bytes) -> str:
    """Return the digest by which a manifest identifies an object."""
    return hashlib.sha256(body).hexdigest()


def _damaged(bucket: Bucket, key: str, what: str) -> CorruptLogError:
    return CorruptLogError(
        f"s3://{bucket.name}/{key} is damaged: {what}. Restore its first version, which S3 keeps"
    )
