"""Feed a batch through transform and load once more, as a new batch.

For after a fix in the code. A batch is never changed, so its rows come again under a new number,
and only those that no later batch has superseded: history must not run backwards.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.carried import lacking
from functions.common.errors import BatchContended, BatchOutdated, NoSuchBatch
from functions.common.manifests import DataFile, IngestionManifest, TableCapture
from functions.common.parquet import PartWriter, read_rows
from functions.common.storage import Bucket
from functions.common.totesys import JOINS, TABLES

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

    Change capture stands after it where it stood before. Parents that were missing when the batch
    was written may have come since: transform knows which of them it still waits for. Raises
    NoSuchBatch, BatchOutdated when the star needs columns that the batch does not have, and
    BatchContended when another run has claimed the next number in the meantime.
    """
    newest = log.newest()
    if not 1 <= batch <= newest:
        raise NoSuchBatch(f"there is no batch {batch}: the newest is {newest}")
    again, last = log.read(batch), log.read(newest)
    current = _Current(
        bucket, log.source, again, [log.read(later) for later in range(batch + 1, newest + 1)]
    )
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
        missing={},
        keys=last.keys,
        keys_sha256=last.keys_sha256,
        replay_of=batch,
        schemas=last.schemas,
    )
    if not log.claim(manifest):
        raise BatchContended(f"batch {manifest.batch} was claimed by another run")
    return manifest


class _Current:
    """The rows of a batch that no later batch brings again, or reports as deleted.

    A later replay brings rows that were current already, so it supersedes none.
    """

    def __init__(
        self,
        bucket: Bucket,
        source: str,
        manifest: IngestionManifest,
        later: list[IngestionManifest],
    ) -> None:
        self._bucket = bucket
        self._source = source
        self._manifest = manifest
        self._later = [each for each in later if each.replay_of is None]
        self._needed: dict[str, set[int]] = {join.parent: set() for join in JOINS}

    def rows(self, name: str, batch: int, at: datetime) -> list[DataFile]:
        """Return objects with the current rows of a table, writing new ones where some are not.

        A parent that a current child needs comes as the last batch that has it shows it, unless it
        was deleted since.
        """
        table = self._manifest.tables[name]
        superseded = self._superseded(name, table.key)
        writer = PartWriter(self._bucket, f"{self._source}/{name}", batch, at.date())
        for rows in read_rows(self._bucket, table.files):
            self._require_columns(name, rows.schema)
            kept = rows.filter(pc.invert(_is_among(rows[table.key], superseded)))
            self._note_parents(name, kept)
            if superseded:
                writer.write(kept)
        for rows in self._newest(name, self._needed.get(name, set()) & superseded):
            writer.write(rows)
        return writer.close() if superseded else table.files

    def _require_columns(self, name: str, schema: pa.Schema) -> None:
        """Raise BatchOutdated for rows that transform would refuse, and stop at in every run."""
        if column := lacking(schema, TABLES[name]):
            raise BatchOutdated(
                f"batch {self._manifest.batch} cannot be replayed: its rows of {name} have no "
                f"column {column}, which the star needs. Replay a later batch"
            )

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
                self._needed[join.parent].update(rows[join.column].drop_null().to_pylist())

    def _newest(self, name: str, keys: set[int]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of keys from the last batch that has each, none for a deleted one."""
        wanted = set(keys)
        for manifest in reversed(self._later):
            if not wanted:
                return
            table = manifest.tables[name]
            for rows in read_rows(self._bucket, table.tombstones):
                wanted.difference_update(rows[table.key].to_pylist())
            for rows in read_rows(self._bucket, table.files):
                yield (found := rows.filter(_is_among(rows[table.key], wanted)))
                wanted.difference_update(found[table.key].to_pylist())


def _with_rows(standing: TableCapture, files: list[DataFile]) -> TableCapture:
    """Return where a table stands, with the rows that come again."""
    rows = sum(file.rows for file in files)
    return replace(standing, changed=rows, companions=0, files=files, deleted=0, tombstones=[])


def _is_among(column: pa.Array, keys: set[int]) -> pa.Array:
    return pc.is_in(column.cast(pa.int64()), pa.array(sorted(keys), pa.int64()))
