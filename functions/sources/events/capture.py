"""Capture a batch of events: from the messages of a queue to the next manifest.

Data first, manifest last: nothing that was written counts until the manifest is claimed, and the
messages stay in the queue until then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from etl import Events, Pipeline, Table
from functions.common.accounts import FileRead, FileVersion, KnownFiles
from functions.common.batchlog import BatchLog
from functions.common.carried import EVENT, RECEIVED, SIGNED
from functions.common.errors import BatchConflictError
from functions.common.manifests import IngestionManifest, Source, TableCapture
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter
from functions.common.received import Received
from functions.sources.events.messages import Message
from functions.sources.events.rows import EventRow, row_of
from functions.sources.formats.rows import RowsBuilder

ROWS_BYTES = 4 << 20  # of text, written at a time


class TableRows:
    """Writes the rows of one table of a batch into the lake."""

    def __init__(self, writer: PartWriter, table: Table) -> None:
        self.bytes = 0
        self._writer = writer
        self._rows = RowsBuilder(list(table.columns), (EVENT, RECEIVED, SIGNED))

    def add(self, place: int, row: EventRow, received: Received) -> None:
        """Append an event, at its place in the batch."""
        self.bytes += len(received.body)
        signed = None if received.signed is None else str(received.signed).lower()
        more = row.id, received.received_at.isoformat(), signed
        self._rows.add(place, row.cells, row.text, row.wrong, more=more)
        if self._rows.bytes >= ROWS_BYTES:
            self._writer.write(self._rows.finish())

    def close(self) -> list[DataFile]:
        """Return the objects with the rows, in order."""
        self._writer.write(self._rows.finish())
        return self._writer.close()


@dataclass(frozen=True)
class Capture:
    """A source of events of a pipeline, the log of its batches, and the queue's name."""

    source: Events
    pipeline: Pipeline
    log: BatchLog[IngestionManifest]
    queue: str
    now: Callable[[], datetime]

    def run(self, run: str, messages: Iterable[Message]) -> IngestionManifest:
        """Write events as the next batch, in order of arrival, under the id of a run.

        Of events with the same id, the first counts. Raises BatchConflictError when another run has
        claimed the batch's number in the meantime; what this one wrote then counts for nothing.
        """
        newest, at = self.log.newest(), self.now()
        in_order = sorted(messages, key=lambda message: message.received_at)
        reads, objects = self._write(newest + 1, at, in_order)
        manifest = IngestionManifest(
            batch=newest + 1,
            written_at=self.now(),
            run=run,
            source=Source(system_identifier="", timeline=0, database=self.queue, snapshot_at=at),
            tables={
                table.id: _captured(table, objects.get(table.id, []))
                for table in self.source.tables
            },
            missing={},
            keys=None,
            keys_sha256=None,
            key_parts={},
            targets=sorted(each.target.id for each in self.pipeline.mappings(self.source.name)),
            files=reads,
            known=KnownFiles(since=newest + 1),
        )
        if not self.log.claim(manifest):
            raise BatchConflictError(f"batch {manifest.batch} was claimed by another run")
        return manifest

    def _write(
        self, batch: int, at: datetime, messages: Sequence[Message]
    ) -> tuple[list[FileRead], dict[str, list[DataFile]]]:
        """Write the rows; return the manifest's entry of each table that has some."""
        tables: dict[Table, TableRows] = {}
        seen: set[tuple[str, bool]] = set()
        place = 0
        for message in messages:
            received = message.received()
            row = row_of(self.source, received)
            # A wrong event must not exclude a good one with the same id.
            if row.id is not None:
                if (identity := (row.id, row.wrong is None)) in seen:
                    continue
                seen.add(identity)
            place += 1
            table = row.feed.table
            if table not in tables:
                prefix = f"{self.source.name}/{table.id}"
                writer = PartWriter(self.log.bucket, prefix, batch, at.date())
                tables[table] = TableRows(writer, table)
            tables[table].add(place, row, received)
        objects = {table.id: rows.close() for table, rows in tables.items()}
        return [
            self._read(table, batch, at, rows.bytes, objects[table.id])
            for table, rows in tables.items()
        ], objects

    def _read(
        self, table: Table, batch: int, at: datetime, size: int, objects: list[DataFile]
    ) -> FileRead:
        """Return the manifest's entry of a table's events, as if they were a file."""
        return FileRead(
            table=table.id,
            file=FileVersion(self.queue, f"{table.id}/{batch:010d}", None, "", size, at),
            header=list(table.columns),
            rows=sum(each.rows for each in objects),
            objects=[each.key for each in objects],
        )


def _captured(table: Table, objects: list[DataFile]) -> TableCapture:
    return TableCapture(
        key=list(table.keys),
        columns=[(name, "text") for name in table.columns],
        fingerprint="",
        horizon=None,
        seen=[],
        changed=sum(file.rows for file in objects),
        files=objects,
    )
