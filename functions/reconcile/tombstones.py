"""The keys that were deleted in the source, by the manifests.

An object under `tombstones/` proves nothing by itself: its key only says which manifest to read. So
a log of 100,000 batches costs a listing and the manifests of the batches with deletions.
"""

import re
from collections.abc import Iterator

import pyarrow as pa

from functions.common.batchlog import PAGE, BatchLog
from functions.common.manifests import ProcessedManifest
from functions.common.parquet import read_rows

_NUMBER = re.compile(r".*/(\d{10})-\d+\.parquet")


def deleted_keys(
    log: BatchLog[ProcessedManifest], table: str, latest: int
) -> Iterator[pa.RecordBatch]:
    """Yield the tombstones of a target table in the batches up to `latest`, a slice at a time.

    Raises CorruptLogError for an object that is not what its manifest says.
    """
    batches = sorted(number for number in _batches(log, table) if 1 <= number <= latest)
    for manifest in log.read_each(batches):
        if table in manifest.tables:
            yield from read_rows(log.bucket, manifest.tables[table].tombstones)


def _batches(log: BatchLog[ProcessedManifest], table: str) -> set[int]:
    """Return the numbers of the batches that may have deleted rows of a target table."""
    prefix = f"tombstones/{table}/"
    numbers: set[int] = set()
    keys = log.bucket.keys_after(prefix, prefix, PAGE)
    while keys:
        numbers |= {int(match[1]) for key in keys if (match := _NUMBER.fullmatch(key))}
        keys = log.bucket.keys_after(prefix, keys[-1], PAGE)
    return numbers
