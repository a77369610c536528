"""Replay: write the rows of a batch again as a new batch, for transform and load.

It is used after a fix in the code. Batches are immutable, so the rows get a new number, and only
those that no later batch has superseded are repeated: older values must not replace newer ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from etl import Delivered, Pipeline, Table
from etl.mapping import Mapping as TargetMapping
from etl.sources import Source
from functions.common.accounts import FileRead
from functions.common.batchlog import BatchLog
from functions.common.carried import missing
from functions.common.errors import BatchConflictError, OutdatedBatchError, UnknownBatchError
from functions.common.keys import is_among, keys_of
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter, read_rows
from functions.extract.replay_files import FilesAgain


def replay(
    log: BatchLog[IngestionManifest],
    source: Source,
    pipeline: Pipeline,
    batch: int,
    *,
    run: str,
    now: Callable[[], datetime],
) -> IngestionManifest:
    """Write the rows of a batch that are still current as the next batch; return its manifest.

    The position of change capture is unchanged. Parents that were missing when the batch was
    written may have arrived since: transform knows which of them are still absent. Raises
    UnknownBatchError, OutdatedBatchError if the batch lacks columns that are declared today or
    there are deletions by another key, and BatchConflictError if another run has claimed the next
    number in the meantime.
    """
    newest = log.newest()
    if not 1 <= batch <= newest:
        raise UnknownBatchError(f"there is no batch {batch}: the newest is {newest}")
    last, at = log.read(newest), now()
    current = _Current(log, batch, last, at)
    reads, captures = (
        _files(current, source, pipeline, last)
        if isinstance(source, Delivered)
        else ([], _rows(current, source, pipeline, last))
    )
    manifest = IngestionManifest(
        batch=newest + 1,
        written_at=at,
        run=run,
        # Its rows are current, so they are those of this moment as well.
        source=replace(last.source, snapshot_at=at),
        tables=captures,
        missing={},
        keys=last.keys,
        keys_sha256=last.keys_sha256,
        key_parts=last.key_parts,
        replay_of=batch,
        schemas=last.schemas,
        targets=last.targets,
        files=reads,
        known=last.known,
        index=last.index,
    )
    if not log.claim(manifest):
        raise BatchConflictError(f"batch {manifest.batch} was claimed by another run")
    return manifest


def _rows(
    current: "_Current", source: Source, pipeline: Pipeline, last: IngestionManifest
) -> dict[str, TableCapture]:
    """Return the rows to repeat, by table, of a database."""
    files = {table: current.rows(table) for table in source.tables}
    partners = _Partners(current, files)
    for mapping in pipeline.mappings(source.name):
        partners.look_for(mapping)
    return {
        table.id: _with_rows(last.tables[table.id], files[table], partners.of(table))
        for table in source.tables
        if table.id in last.tables
    }


def _files(
    current: "_Current", source: Delivered, pipeline: Pipeline, last: IngestionManifest
) -> tuple[list[FileRead], dict[str, TableCapture]]:
    """Return the files to repeat, and the rows to repeat of their tables."""
    again = FilesAgain(current.bucket, current.manifest, current.later, current.writer)
    found = list(again.current(source, pipeline))
    tables = {
        name: _with_rows(
            standing,
            [each for file, objects in found if file.table == name for each in objects],
            [],
        )
        for name, standing in last.tables.items()
    }
    return [file for file, _ in found], tables


def _with_rows(
    standing: TableCapture, files: list[DataFile], partners: list[DataFile]
) -> TableCapture:
    """Return the state of a table, with the rows to repeat."""
    return replace(
        standing,
        changed=sum(file.rows for file in files),
        companions=0,
        files=files,
        partners=partners,
        deleted=0,
        tombstones=[],
    )


class _Current:
    """The rows of a batch that no later batch has again, or reports as deleted.

    A later replay supersedes none, because its rows were already current.
    """

    def __init__(
        self, log: BatchLog[IngestionManifest], batch: int, last: IngestionManifest, at: datetime
    ) -> None:
        self.log = log
        self.bucket = log.bucket
        self.manifest = log.read(batch)
        later = log.read_each(range(batch + 1, last.batch + 1))
        self.later = [_rows_only(each) for each in later if each.replay_of is None]
        self._targets = last.targets
        self._number, self._day = last.batch + 1, at.date()

    def writer(self, table: Table) -> PartWriter:
        """Return a writer of rows of a table in the new batch."""
        prefix = f"{self.log.source}/{table.id}"
        return PartWriter(self.bucket, prefix, self._number, self._day)

    def rows(self, table: Table) -> list[DataFile]:
        """Return objects with the current rows of a table, new ones if some rows are superseded."""
        capture = self.manifest.capture(table.id)
        if not capture.files:
            return []
        mine = [keys_of(rows, table.keys) for rows in self._read(table, capture.files)]
        superseded = self._superseded(table, _distinct(mine))
        if not len(superseded):
            return capture.files
        writer = self.writer(table)
        for rows in self._read(table, capture.files):
            writer.write(rows.filter(pc.invert(is_among(keys_of(rows, table.keys), superseded))))
        return writer.close()

    def newest(self, table: Table, keys: pa.Array) -> Iterator[pa.RecordBatch]:
        """Yield the row of each key from the last batch that has it, none for deleted keys."""
        for manifest in self._newest_first():
            if not len(keys):
                return
            capture = manifest.capture(table.id)
            _require_key(table, capture, manifest.batch)
            for rows in read_rows(self.bucket, capture.tombstones):
                keys = _without(keys, keys_of(rows, table.keys))
            for rows in self._read(table, capture.joining):
                found = keys_of(rows, table.keys)
                yield rows.filter(is_among(found, keys))
                keys = _without(keys, found)

    def _newest_first(self) -> Iterator[IngestionManifest]:
        """Yield the manifests that may have partners, newest first.

        A batch has the partners of its rows, except for joins declared after it: only then earlier
        batches are needed.
        """
        yield from reversed(self.later)
        yield self.manifest
        if self.manifest.targets != self._targets:
            yield from self.log.read_each(range(self.manifest.batch - 1, 0, -1))

    def _superseded(self, table: Table, keys: pa.Array) -> pa.Array:
        """Return which keys a later batch has."""
        for manifest in self.later:
            _require_key(table, manifest.capture(table.id), manifest.batch)
        captures = [manifest.capture(table.id) for manifest in self.later]
        files = [file for each in captures for file in (*each.files, *each.tombstones)]
        found = (
            keys.filter(is_among(keys, keys_of(rows, table.keys)))
            for rows in read_rows(self.bucket, files, table.keys)
        )
        return _distinct([each for each in found if len(each)])

    def _read(self, table: Table, files: list[DataFile]) -> Iterator[pa.RecordBatch]:
        """Yield rows; raise OutdatedBatchError for those that transform would always refuse."""
        for rows in read_rows(self.bucket, files):
            if column := missing(rows.schema, table):
                raise OutdatedBatchError(
                    f"batch {self.manifest.batch} cannot be replayed: its rows of {table.name} have"
                    f" no column {column}, which is declared today. Replay a later batch"
                )
            yield rows


class _Partners:
    """The rows that join with the repeated ones, each from the newest batch that has it."""

    def __init__(self, current: _Current, files: Mapping[Table, list[DataFile]]) -> None:
        self._current = current
        self._files = files
        self._found: dict[Table, list[pa.RecordBatch]] = {}

    def look_for(self, mapping: TargetMapping) -> None:
        """Collect the rows that join with rows of a mapping, level by level."""
        first = {join.columns for join in mapping.joins if join.child == mapping.parameter}
        references = {columns: pa.nulls(0) for columns in first}
        for rows in read_rows(self._current.bucket, self._files[mapping.main]):
            for columns, known in references.items():
                references[columns] = _distinct([known, keys_of(rows, columns)])
        found: dict[str, list[pa.RecordBatch]] = {}
        for join in mapping.joins:
            if join.child == mapping.parameter:
                wanted = references[join.columns]
            else:
                wanted = _distinct([keys_of(rows, join.columns) for rows in found[join.child]])
            found[join.parameter] = list(self._current.newest(join.table, wanted))
            self._found.setdefault(join.table, []).extend(found[join.parameter])

    def of(self, table: Table) -> list[DataFile]:
        """Return objects with the rows of a table that are only joined, each once."""
        writer = self._current.writer(table)
        there = [
            keys_of(rows, table.keys)
            for rows in read_rows(self._current.bucket, self._files[table], table.keys)
        ]
        for rows in self._found.get(table, []):
            keys = keys_of(rows, table.keys)
            is_there = is_among(keys, _distinct(there))
            writer.write(rows.filter(pc.invert(is_there)))
            there.append(keys)
        return writer.close()


def _rows_only(manifest: IngestionManifest) -> IngestionManifest:
    """Return what of a later batch may supersede rows: of 100,000 batches all are in memory."""
    tables = {
        name: replace(capture, columns=[], seen=[])
        for name, capture in manifest.tables.items()
        if capture.objects
    }
    return replace(manifest, tables=tables, missing={}, key_parts={}, schemas={}, drift=[])


def _require_key(table: Table, capture: TableCapture, batch: int) -> None:
    """Raise OutdatedBatchError for a batch whose deletions are of another key than today's."""
    if capture.tombstones and set(capture.key) != set(table.keys):
        raise OutdatedBatchError(
            f"no batch before {batch} can be replayed: its deletions in {table.name} are by another"
            " key than is declared today. Replay a later batch"
        )


def _without(keys: pa.Array, others: pa.Array) -> pa.Array:
    return keys.filter(pc.invert(is_among(keys, others)))


def _distinct(keys: Sequence[pa.Array]) -> pa.Array:
    """Return the distinct keys, without NULL."""
    kinds = {each.type for each in keys if not pa.types.is_null(each.type)}
    kind = kinds.pop() if len(kinds) == 1 else pa.string()
    chunks = [each.drop_null().cast(kind) for each in keys]
    return pc.unique(pa.chunked_array(chunks, kind))
