"""Events as a kind of source, for reconcile: no provider can be read, so the lake counts."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from etl import Events, Pipeline, Table
from functions.common.accounts import FileVersion
from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest
from functions.common.parquet import read_rows


def current(
    source: Events,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    since: IngestionManifest | None,
) -> "CollectedEvents":
    """Read from the log of a source the events that came after the batch `since`."""
    later = range(since.batch + 1 if since else 1, log.newest() + 1)
    return CollectedEvents(log, list(log.read_each(later)))


class CollectedEvents:
    """The events of all batches, those of a table in a batch as a file; none is ever gone."""

    def __init__(
        self, log: BatchLog[IngestionManifest], later: Sequence[IngestionManifest]
    ) -> None:
        self.unusable: dict[FileVersion, str] = {}
        self._log = log
        self._later = later

    def newer(self, table: Table) -> Sequence[FileVersion]:
        """Return the events of a table that came after the batch, in that order."""
        return [
            read.file
            for manifest in self._later
            if manifest.replay_of is None
            for read in manifest.files
            if read.table == table.id
        ]

    def has(self, file: FileVersion) -> bool:  # noqa: ARG002  the lake keeps them all
        """Return whether the events of a batch are still there."""
        return True

    def rows(
        self,
        table: Table,
        file: FileVersion,
        *,
        was_accepted: bool,  # noqa: ARG002  collect writes every column that is declared
    ) -> Iterator[pa.Table]:
        """Yield the events of a table in one batch, as collect wrote them.

        They may lack columns that were declared since.
        """
        manifest = self._log.read(int(file.key.rpartition("/")[2]))
        for rows in read_rows(self._log.bucket, manifest.capture(table.id).files):
            yield pa.Table.from_batches([rows])
