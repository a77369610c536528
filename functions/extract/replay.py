"""Feed a batch through transform and load once more, as a batch of its own.

For after a fix in the code. A batch is never changed, so its rows come again under a new number,
and only those that no later batch has superseded: history must not run backwards.
"""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.errors import BatchContended, NoSuchBatch
from functions.common.manifests import DataFile, IngestionManifest, TableCapture
from functions.common.parquet import PartWriter, read_rows
from functions.common.storage import Bucket
from functions.common.totesys import JOINS

# Children first: a parent comes along with every child that does.
_JOINED = [join.child for join in JOINS] + [join.parent for join in JOINS]


def replay(
    bucket: Bucket,
    log: BatchLog[IngestionManifest],
    batch: int,
    run: str,
    now: Callable[[], datetime],
) -> IngestionManifest:
    """Write the rows of a batch that are still current as the next batch, and return its manifest.

    Change capture stands after it where it stood before. Raises NoSuchBatch, and BatchContended
    when another run has claimed the next number in the meantime.
    """
    newest = log.newest()
    if not 1 <= batch <= newest:
        raise NoSuchBatch(f"there is no batch {batch}: the newest is {newest}")
    again, last = log.read(batch), log.read(newest)
    current = _Current(bucket, again, [log.read(later) for later in range(batch + 1, newest + 1)])
    at = now()
    tables = [*_JOINED, *(name for name in again.tables if name not in _JOINED)]
    captures = {
        name: _with_rows(last.tables[name], current.rows(name, newest + 1, at)) for name in tables
    }
    manifest = IngestionManifest(
        batch=newest + 1,
        written_at=at,
        run=run,
        # Its rows are current, so they are as true now as they were then.
        source=replace(last.source, snapshot_at=at),
        tables=captures,
        missing=again.missing,
        keys=last.keys,
        keys_sha256=last.keys_sha256,
        replay_of=batch,
        schemas=last.schemas,
    )
    if not log.claim(manifest):
        raise BatchContended(f"batch {manifest.batch} was claimed by another run")
    return manifest


class _Current:
    """The rows of a batch that no later batch brings again, or tells to be deleted."""

    def __init__(
        self, bucket: Bucket, manifest: IngestionManifest, later: list[IngestionManifest]
    ) -> None:
        self._bucket = bucket
        self._manifest = manifest
        self._later = later
        self._needed: dict[str, set[int]] = {join.parent: set() for join in JOINS}

    def rows(self, name: str, batch: int, at: datetime) -> list[DataFile]:
        """Return objects with the current rows of a table, writing new ones where some are not."""
        table = self._manifest.tables[name]
        superseded = self._superseded(name, table.key) - self._needed.get(name, set())
        writer = PartWriter(self._bucket, name, batch, at.date())
        for rows in read_rows(self._bucket, table.files):
            past = pc.is_in(rows[table.key].cast(pa.int64()), _keys(superseded))
            kept = rows.filter(pc.invert(past))
            self._note_parents(name, kept)
            if superseded:
                writer.write(kept)
        return writer.close() if superseded else table.files

    def _superseded(self, name: str, key: str) -> set[int]:
        if not self._manifest.tables[name].files:
            return set()
        captures = [manifest.tables[name] for manifest in self._later]
        files = [file for capture in captures for file in (*capture.files, *capture.tombstones)]
        return {
            number for rows in read_rows(self._bucket, files) for number in rows[key].to_pylist()
        }

    def _note_parents(self, name: str, rows: pa.RecordBatch) -> None:
        for join in JOINS:
            if join.child == name:
                self._needed[join.parent].update(rows[join.column].to_pylist())


def _with_rows(standing: TableCapture, files: list[DataFile]) -> TableCapture:
    """Return where a table stands, with the rows that come again."""
    rows = sum(file.rows for file in files)
    return replace(standing, changed=rows, companions=0, files=files, deleted=0, tombstones=[])


def _keys(numbers: set[int]) -> pa.Array:
    return pa.array(sorted(numbers), pa.int64())
