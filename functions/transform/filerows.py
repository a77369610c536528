"""Remodel the rows of one file: fit ones go into target tables, the others are refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from etl import Delivered, Pipeline, Table
from etl.mapping import Mapping as TargetMapping
from functions.common.accounts import FileRead
from functions.common.ahead import ahead
from functions.common.errors import RowBalanceError
from functions.common.keys import keys_of
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter, read_rows
from functions.transform import checks
from functions.transform.batchkeys import BatchKeys
from functions.transform.cells import checked, with_all_columns
from functions.transform.making import make
from functions.transform.rowexports import RowExports

Refuse = Callable[[pa.Table, pa.Table, Mapping[int, str]], None]
"""Take rows of the lake, the same converted, and by position why some of them are refused."""


@dataclass(frozen=True)
class FileBatch:
    """A batch of files, events or answers; `environment` has the settings, `keys` are
    collected.

    The events of a table count as one file of JSON documents.
    """

    pipeline: Pipeline
    source: Delivered
    logs: Logs
    manifest: IngestionManifest
    environment: Mapping[str, str]
    keys: BatchKeys

    @property
    def mappings(self) -> tuple[TargetMapping, ...]:
        """How the target tables are made."""
        return self.pipeline.mappings(self.source.name)

    def table(self, read: FileRead) -> Table | None:
        """Return the table of a file, None if it is no longer declared."""
        return next((table for table in self.source.tables if table.id == read.table), None)

    def mappings_of(self, table: Table) -> tuple[TargetMapping, ...]:
        """Return how the target tables of a table are made."""
        return tuple(mapping for mapping in self.mappings if mapping.main is table)


def write_rows(
    batch: FileBatch,
    table: Table,
    read: FileRead,
    came_with: IngestionManifest,
    *,
    mappings: Sequence[TargetMapping],
    refuse: Refuse,
) -> dict[str, list[DataFile]]:
    """Write the rows of a file, which came with a batch, into target tables; `refuse` the unfit.

    Returns the objects by target table. Raises PipelineCodeError and RowBalanceError.
    """
    bucket, number = batch.logs.processed.bucket, batch.manifest.batch
    day = batch.manifest.source.snapshot_at.date()
    writers = {each: PartWriter(bucket, each.target.id, number, day) for each in mappings}
    exports = RowExports(bucket, batch.pipeline)
    taken = fit = 0
    # A thread reads, another converts, and this one writes.
    with (
        ahead(read_rows(batch.logs.ingested.bucket, _objects(read, came_with))) as slices,
        ahead(_checked(batch, table, slices)) as parts,
    ):
        for rows, converted, refused in parts:
            refuse(rows, converted, refused)
            if table.keys:
                batch.keys.add(table.id, keys_of(converted, table.keys))
            taken += rows.num_rows
            fit += rows.num_rows - len(refused)
            if len(refused) < rows.num_rows:
                for mapping, writer in writers.items():
                    made_rows = make(mapping, checks.without(converted, refused), {})
                    exports.write(mapping.target, made_rows)
                    writer.write(made_rows)
    made = {mapping.target.id: writer.close() for mapping, writer in writers.items()}
    if taken != read.rows or any(rows_of(files) != fit for files in made.values()):
        raise RowBalanceError(
            f"batch {number}: of {read.rows} rows of {read.file.key}, {taken} were read and {fit} "
            "are fit, and its target tables have others: this is a defect of transform, report it"
        )
    return made


def _objects(read: FileRead, came_with: IngestionManifest) -> list[DataFile]:
    own = set(read.objects)
    return [file for file in came_with.tables[read.table].files if file.key in own]


def _checked(
    batch: FileBatch, table: Table, slices: Iterable[pa.RecordBatch]
) -> Iterator[tuple[pa.Table, pa.Table, Mapping[int, str]]]:
    """Yield the rows of a file as they came and converted, and why some are refused.

    A row has to be fit for all target tables of its table; else it is in none of them.
    """
    calendars = (batch.pipeline.calendar_of(mapping) for mapping in batch.mappings_of(table))
    calendar = next(filter(None, calendars), None)
    for each in slices:
        rows = with_all_columns(table, pa.Table.from_batches([each]))
        yield rows, *checked(table, rows, calendar)


def rows_of(files: Sequence[DataFile]) -> int:
    """Return how many rows objects have."""
    return sum(file.rows for file in files)
