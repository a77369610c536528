"""Rows that the warehouse refused, stored under `refused/` until it accepts them.

The newest marker names those that are open. A newer row of the same key, or its deletion,
supersedes one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.keys import keys_of
from functions.common.loaded import RefusedRows
from functions.common.manifests import ProcessedManifest
from functions.common.objects import DataFile, ObjectNames
from functions.common.parquet import digest, packed, put, read_parts, read_rows
from functions.common.storage import Bucket

PREFIX = "refused"
REASON, BATCH = "_reason", "_batch"
_NAN = "NaN"  # no number equals it

Open = Mapping[str, list[RefusedRows]]


def store(bucket: Bucket, table: str, batch: int, rows: pa.Table) -> list[RefusedRows]:
    """Store refused rows of a table; `rows` have the columns `_reason` and `_batch`."""
    if not rows.num_rows:
        return []
    body = packed(rows)
    key = put(bucket, ObjectNames(f"{PREFIX}/{table}", batch, datetime.now(UTC).date()), body)
    file = DataFile(key, rows.num_rows, digest(body))
    return [RefusedRows(file, dict(Counter(rows[REASON].to_pylist())))]


def with_batch(rows: pa.Table, batch: int) -> pa.Table:
    """Return rows with a column for their batch."""
    return rows.append_column(BATCH, pa.array([batch] * rows.num_rows, pa.int64()))


def read(bucket: Bucket, refused: Iterable[RefusedRows]) -> Iterator[pa.Table]:
    """Yield the rows of each object, with `_reason` and `_batch`."""
    return read_parts(bucket, [each.file for each in refused])


def among_equal(bucket: Bucket, files: Sequence[DataFile], lines: pa.Table) -> pa.Table:
    """Return refused lines after the accepted ones of their snapshot, in `files`, that equal them.

    A table without a key has as many of each line as the snapshot, so only all of them together say
    how many it lacks.
    """
    refused = Counter(tuples(lines))
    found = []
    for part in read_parts(bucket, list(files)):
        some = _similar(part.select(lines.column_names), lines)
        places = []
        for place, line in enumerate(tuples(some)):
            if line not in refused:
                continue
            if not refused[line]:
                places.append(place)
            else:
                refused[line] -= 1  # it is a refused one
        found.append(some.take(pa.array(places, pa.int64())))
    return pa.concat_tables([*found, lines], promote_options="permissive")


def _similar(rows: pa.Table, others: pa.Table) -> pa.Table:
    """Return the rows that may equal one of others: each integer and text is in its column."""
    for name in others.column_names:
        kind = rows[name].type
        if kind == others[name].type and (pa.types.is_integer(kind) or pa.types.is_string(kind)):
            rows = rows.filter(pc.is_in(rows[name], others[name].unique()))
    return rows


def tuples(rows: pa.Table) -> Iterable[tuple[object, ...]]:
    """Return the values of each row; NaN equals NaN in them, as in a database."""
    return zip(*map(_values, rows.columns), strict=True)


def _values(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [_NAN if value != value else value for value in values]  # noqa: PLR0124
    return values


@dataclass(frozen=True)
class Superseding:
    """The keys, in `columns`, of the rows of a batch that supersede refused ones of a table."""

    table: str
    batch: int
    columns: tuple[str, ...]
    keys: pa.ChunkedArray

    @classmethod
    def of(
        cls,
        table: str,
        batch: int,
        columns: tuple[str, ...],
        rows: Iterable[pa.Table | pa.RecordBatch],
    ) -> "Superseding":
        """Return the keys of rows."""
        keys = [keys_of(each, columns).cast(pa.string()) for each in rows]
        return cls(table, batch, columns, pa.chunked_array(keys, pa.string()))

    def left_of(self, bucket: Bucket, refused: Iterable[RefusedRows]) -> list[RefusedRows]:
        """Return those of a table's refused rows that stay open."""
        return [left for each in refused for left in self._left_of(bucket, each)]

    def _left_of(self, bucket: Bucket, refused: RefusedRows) -> list[RefusedRows]:
        [rows] = read(bucket, [refused])
        keys = keys_of(rows, self.columns).cast(pa.string())
        left = rows.filter(pc.invert(pc.is_in(keys, self.keys)))
        if left.num_rows == rows.num_rows:
            return [refused]
        return store(bucket, self.table, self.batch, left)


def without_superseded(
    bucket: Bucket,
    refused: Open,
    manifest: ProcessedManifest,
    tables: Mapping[str, tuple[str, ...]],
) -> dict[str, list[RefusedRows]]:
    """Return the refused rows that stay open after a batch: none that it has or deletes.

    `tables` are the tables that it is applied to, and their keys. A snapshot supersedes all rows.
    """
    still = {name: list(rows) for name, rows in refused.items()}
    for name in tables.keys() & still.keys() & manifest.tables.keys():
        table = manifest.tables[name]
        if table.snapshot:
            still[name] = []
        elif tables[name]:  # lines have no key, and only a snapshot supersedes them
            newer = read_rows(bucket, [*table.files, *table.tombstones])
            newest = Superseding.of(name, manifest.batch, tables[name], newer)
            still[name] = newest.left_of(bucket, still[name])
    return {name: rows for name, rows in still.items() if rows}
