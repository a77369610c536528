"""Parquet objects of a batch: written in parts of bounded size, read a slice at a time.

What is read is what was written, or an error: a manifest knows the digest of each object.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from functions.common.errors import LogCorrupted
from functions.common.manifests import DataFile
from functions.common.storage import Bucket

ROWS_PER_PART = 500_000  # about 40 MB of orders in memory, which a function can hold a few times
ROWS_PER_GROUP = 65_536  # what a reader holds at a time

KEY_FORM = "{table}/{day:%Y-%m-%d}/{batch:010d}-{part:04d}.parquet"


class PartWriter:
    """Write the rows of one table of a batch as one or more Parquet objects.

    Nothing is written when there are no rows. A part number that is taken, by a run that died or
    by one that runs now, is passed over: an object is never written twice. A thread of its own
    puts a part into the bucket while the next one is made.
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
        self._name = (table, day, batch)
        self._rows_per_part = rows_per_part
        self._number = 0
        self._part: _Part | None = None
        self._thread = ThreadPoolExecutor(1)
        self._on_its_way: Future[DataFile] | None = None
        self._files: list[DataFile] = []

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows; those of another schema than the last ones begin another object."""
        if rows.num_rows == 0:
            return
        if self._part is not None and self._part.schema != rows.schema:
            self.flush()
        if self._part is None:
            self._part = _Part(rows.schema)
        self._part.write(rows)
        if self._part.rows >= self._rows_per_part:
            self.flush()

    def flush(self) -> None:
        """Begin to put what there is into the bucket, and do not wait for it."""
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
        table, day, batch = self._name
        body = part.finish()
        while True:
            self._number += 1
            key = KEY_FORM.format(table=table, day=day, batch=batch, part=self._number)
            if self._bucket.put_new(key, body):
                return DataFile(key, part.rows, digest(body))


class _Part:
    """One Parquet object in the making."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
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

    def finish(self) -> bytes:
        self._writer.close()
        body: bytes = self._sink.getvalue().to_pybytes()
        return body


def _is_number(kind: pa.DataType) -> bool:
    """Tell whether Parquet stores a type as an integer of 32 or 64 bits."""
    if pa.types.is_decimal(kind):
        return int(kind.precision) <= 18
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def read_rows(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet objects, a slice at a time; one object is in memory at a time.

    Raises LogCorrupted for an object that is missing, damaged or not the one that was written, at
    the latest after its last row: whoever stops before that has not read it.
    """
    for file in files:
        rows = 0
        for batch in read_object(bucket, file.key, file.sha256):
            rows += batch.num_rows
            yield batch
        require_rows(bucket, file.key, file.rows, rows)


def read_object(bucket: Bucket, key: str, sha256: str | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one Parquet object, of whatever number; raise LogCorrupted."""
    with opened(bucket, key, sha256) as source:
        # Arrow's own threads would take over 50 MB, and save no time on one core or less.
        yield from source.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False)


def read_parts(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.Table]:
    """Yield the rows of Parquet objects, an object at a time: about `ROWS_PER_PART` rows.

    Each column is one chunk. While the caller works on one object a thread reads the next, so two
    are in memory. Raises LogCorrupted as `read_rows` does, before any row of a damaged object.
    """
    with ThreadPoolExecutor(1) as pool:
        parts = (pool.submit(_read_part, bucket, file) for file in files)
        reading = next(parts, None)
        while reading:
            part, reading = reading.result(), next(parts, None)
            if part.num_rows:
                yield part


def _read_part(bucket: Bucket, file: DataFile) -> pa.Table:
    with opened(bucket, file.key, file.sha256) as source:
        rows = source.read().combine_chunks()  # a long column of text comes in more than one
    require_rows(bucket, file.key, file.rows, rows.num_rows)
    return rows


@contextmanager
def opened(bucket: Bucket, key: str, sha256: str | None) -> Iterator[pq.ParquetFile]:
    """Open a Parquet object, to be read within the context; raise LogCorrupted.

    `sha256` is None where no digest was noted: then only Arrow can tell that it is damaged.
    """
    body = bucket.get(key)
    if sha256 is not None and digest(body) != sha256:
        raise _damaged(bucket, key, "it is not what was written there")
    try:
        yield pq.ParquetFile(pa.BufferReader(body))
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow's own words may quote what it read, and no value is to be in a log.
        raise _damaged(bucket, key, "it cannot be read as Parquet") from error


def require_rows(bucket: Bucket, key: str, expected: int, actual: int) -> None:
    """Raise LogCorrupted when an object has not as many rows as its manifest says."""
    if actual != expected:
        raise _damaged(bucket, key, f"it has {actual} rows, and its manifest says {expected}")


def digest(body: bytes) -> str:
    """Return the digest by which a manifest knows an object."""
    return hashlib.sha256(body).hexdigest()


def _damaged(bucket: Bucket, key: str, what: str) -> LogCorrupted:
    return LogCorrupted(
        f"s3://{bucket.name}/{key} is damaged: {what}. Restore its first version, which S3 keeps"
    )
