"""Parquet objects of a batch: written in parts of bounded size, read a slice at a time.

Rows are read as they were written, or not at all: a manifest has the digest of each object, and an
object that would expand to more than a function can hold is refused before it does.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from functions.common.errors import CorruptLogError
from functions.common.objects import DataFile, ObjectNames
from functions.common.storage import Bucket

ROWS_PER_PART = 500_000  # about 40 MB of orders in memory, which a function can hold a few times
BYTES_PER_PART = 64 << 20  # in memory; few rows may be large ones
ROWS_PER_GROUP = 65_536  # that a reader holds at a time

EXPANDED_AT_MOST = 256 << 20  # a part, the rows that came with its last one, and some room


class PartWriter:
    """Write the rows of one table of a batch as one or more Parquet objects.

    Nothing is written when there are no rows. The names of the objects are new ones, and no
    object is written twice. A background thread puts a part into the bucket while the next one is
    made.
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
        """Append rows; those of another schema than the last ones begin another object."""
        for start in range(0, rows.num_rows, ROWS_PER_GROUP):
            self._append(rows.slice(start, ROWS_PER_GROUP))

    def _append(self, rows: pa.RecordBatch | pa.Table) -> None:
        if self._part is not None and self._part.schema != rows.schema:
            self.flush()
        if self._part is None:
            self._part = _Part(rows.schema)
        self._part.write(rows)
        if self._part.rows >= self._rows_per_part or self._part.bytes >= BYTES_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Begin to write the rows so far, and do not wait for it."""
        if self._part is not None:
            self._arrive()  # no more than one at a time, so that memory holds no more
            self._on_its_way = self._thread.submit(self._put, self._part)
            self._part = None

    def close(self) -> list[DataFile]:
        """Write what is left and return the objects, in order."""
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
    """Write an object under a new name, and return that."""
    while not bucket.put_new(key := names.next(), body):
        pass
    return key


class _Part:
    """One Parquet object in the making; `bytes` is about what its rows take in memory."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = self.bytes = 0
        self.schema = schema
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            use_dictionary=False,
            # Keys, stamps and prices as differences: less to compress, and quicker to read.
            store_decimal_as_integer=True,
            column_encoding={
                field.name: "DELTA_BINARY_PACKED" for field in schema if _is_number(field.type)
            },
        )

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        self.rows += rows.num_rows
        self.bytes += rows.nbytes

    def finish(self) -> bytes:
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


def read_rows(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet objects, a slice at a time; one object is in memory at a time.

    Raises CorruptLogError for an object that is missing, damaged or not the one that was written,
    at the latest after its last row.
    """
    for file in files:
        rows = 0
        with opened(bucket, file.key, file.sha256, file.rows) as source:
            # Arrow's own threads would take over 50 MB, and save no time on one core or less.
            for batch in source.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False):
                rows += batch.num_rows
                yield batch
        require_rows(bucket, file.key, file.rows, rows)


def read_parts(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.Table]:
    """Yield the rows of Parquet objects, an object at a time: about `ROWS_PER_PART` rows.

    Each column is one chunk. While the caller works on one object a thread reads the next, so two
    are in memory. Raises CorruptLogError as `read_rows` does.
    """
    with ThreadPoolExecutor(1) as pool:
        parts = (pool.submit(_read_part, bucket, file) for file in files)
        reading = next(parts, None)
        while reading:
            part, reading = reading.result(), next(parts, None)
            if part.num_rows:
                yield part


def _read_part(bucket: Bucket, file: DataFile) -> pa.Table:
    with opened(bucket, file.key, file.sha256, file.rows) as source:
        rows = source.read().combine_chunks()  # a long column of text comes in more than one
    require_rows(bucket, file.key, file.rows, rows.num_rows)
    return rows


@contextmanager
def opened(
    bucket: Bucket,
    key: str,
    sha256: str,
    rows: int | None = None,
    expanded: int = EXPANDED_AT_MOST,
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet object, to be read within the context.

    Raises CorruptLogError, before anything is expanded, for an object that is missing, too large,
    not the one with this digest, without this many rows (None: however many there are), or of more
    than `expanded` bytes in memory.
    """
    body = bucket.get(key)
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
        # Arrow's message may quote a value, and none may be in a log.
        raise _damaged(bucket, key, "it cannot be read as Parquet") from error


def _too_much(source: pq.ParquetFile, at_most: int) -> str | None:
    """Return why an object is larger than a function can hold, from its metadata alone."""
    kinds = [field.type for field in source.schema_arrow]
    if not all(_is_bytes(kind) or _is_flat(kind) for kind in kinds):
        return "a column is of a type that is never written"
    # A text takes four bytes beside its own, and each value a bit that says whether it is NULL.
    bits = sum(33 if _is_bytes(kind) else int(kind.bit_width) + 1 for kind in kinds)
    expanded = source.metadata.num_rows * bits // 8
    if any(_is_bytes(kind) for kind in kinds):
        # Of whole groups only: Arrow ends the process over a column's metadata that is damaged.
        groups = range(source.metadata.num_row_groups)
        expanded += sum(source.metadata.row_group(number).total_byte_size for number in groups)
    return f"it would take {expanded:,} bytes in memory" if expanded > at_most else None


def _is_flat(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or pa.types.is_decimal128(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def require_rows(bucket: Bucket, key: str, expected: int, actual: int) -> None:
    """Raise CorruptLogError when an object has not as many rows as its manifest says."""
    if actual != expected:
        raise _damaged(bucket, key, f"it has {actual} rows, and its manifest says {expected}")


def digest(body: bytes) -> str:
    """Return the digest by which a manifest identifies an object."""
    return hashlib.sha256(body).hexdigest()


def _damaged(bucket: Bucket, key: str, what: str) -> CorruptLogError:
    return CorruptLogError(
        f"s3://{bucket.name}/{key} is damaged: {what}. Restore its first version, which S3 keeps"
    )
