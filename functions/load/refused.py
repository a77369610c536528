"""Rows that the warehouse refused, kept under `refused/` until it accepts them.

Which of them are open is in the newest marker. A newer row of the same key supersedes one, and a
deletion ends it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.manifests import DataFile, ProcessedManifest, RefusedRows
from functions.common.names import ObjectNames
from functions.common.parquet import digest, packed, put, read_parts, read_rows
from functions.common.storage import Bucket
from functions.targets.postgres.star import DIMENSIONS, FACTS

PREFIX = "refused"
REASON, BATCH = "_reason", "_batch"

Open = Mapping[str, list[RefusedRows]]


def store(bucket: Bucket, table: str, batch: int, rows: pa.Table) -> list[RefusedRows]:
    """Write refused rows of a star table; `rows` have the columns `_reason` and `_batch`."""
    if not rows.num_rows:
        return []
    body = packed(rows)
    key = put(bucket, ObjectNames(f"{PREFIX}/{table}", batch, datetime.now(UTC).date()), body)
    file = DataFile(key, rows.num_rows, digest(body))
    return [RefusedRows(file, dict(Counter(rows[REASON].to_pylist())))]


def with_batch(rows: pa.Table, batch: int) -> pa.Table:
    """Return rows with the batch that they came in."""
    return rows.append_column(BATCH, pa.array([batch] * rows.num_rows, pa.int64()))


def read(bucket: Bucket, refused: Iterable[RefusedRows]) -> Iterator[pa.Table]:
    """Yield the rows of each object, with `_reason` and `_batch`."""
    return read_parts(bucket, [each.file for each in refused])


def without_superseded(
    bucket: Bucket, refused: Open, manifest: ProcessedManifest, tables: Iterable[str]
) -> dict[str, list[RefusedRows]]:
    """Return what stays open when some tables get a batch: no row that it brings or deletes."""
    still = {name: list(rows) for name, rows in refused.items()}
    for name in set(tables) & still.keys():
        if keys := _keys(bucket, name, manifest):
            still[name] = [
                left
                for each in still[name]
                for left in _without(bucket, name, manifest.batch, each, pa.chunked_array(keys))
            ]
    return {name: rows for name, rows in still.items() if rows}


def _keys(bucket: Bucket, name: str, manifest: ProcessedManifest) -> list[pa.Array]:
    table, key = manifest.tables[name], (DIMENSIONS | FACTS)[name]
    return [rows[key] for rows in read_rows(bucket, [*table.files, *table.tombstones])]


def _without(
    bucket: Bucket, name: str, batch: int, refused: RefusedRows, keys: pa.ChunkedArray
) -> list[RefusedRows]:
    [rows] = read(bucket, [refused])
    own = rows[(DIMENSIONS | FACTS)[name]]
    left = rows.filter(pc.invert(pc.is_in(own, keys.cast(own.type))))
    return [refused] if left.num_rows == rows.num_rows else store(bucket, name, batch, left)
