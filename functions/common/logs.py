"""The logs of a source: batches on both sides of transform, and markers of what was loaded.

Markers, under `loaded/<source>/`, are numbered in the order in which they were written, whichever
warehouse they are about. The newest one is the state of the load; the older ones are read when a
warehouse was restored, moved or replaced.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etl.sources import Source
from functions.common.batchlog import BatchLog, Manifest
from functions.common.loaded import LoadedMarker
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.storage import Bucket


@dataclass(frozen=True)
class Logs:
    """The batch logs of a source: in the ingestion bucket and in the processed bucket."""

    ingested: BatchLog[IngestionManifest]
    processed: BatchLog[ProcessedManifest]

    @classmethod
    def of(cls, ingestion: Bucket, processed: Bucket, source: str) -> "Logs":
        """Return the logs of a source in two buckets."""
        return cls(
            BatchLog(ingestion, source, IngestionManifest),
            BatchLog(processed, source, ProcessedManifest),
        )


def is_in_use(source: Source, log: BatchLog[Manifest]) -> bool:
    """Return whether a source may have batches; an optional one may never be set up."""
    return not source.optional or bool(log.bucket.keys_after(log.prefix, log.prefix, 1))


class MarkerLog(BatchLog[LoadedMarker]):
    """The markers of a source's batches; each is read from S3 once."""

    folder = "loaded"

    def __init__(self, bucket: Bucket, source: str) -> None:
        super().__init__(bucket, source, LoadedMarker)
        self._read: dict[int, LoadedMarker] = {}

    def number(self, manifest: LoadedMarker) -> int:
        """Return the number under which a marker is in the log."""
        return manifest.number

    def read(self, batch: int) -> LoadedMarker:
        """Return a marker by its number; raise CorruptLogError when it is missing or malformed."""
        if batch not in self._read:
            self._read[batch] = super().read(batch)
        return self._read[batch]

    def forget(self) -> None:
        """Read markers from S3 again from now on: the log may have been emptied and begun again."""
        self._read.clear()

    def read_each(self, batches: Sequence[int]) -> Iterator[LoadedMarker]:
        """Yield some markers in order; they are not kept, as they may be many."""
        for each in super().read_each(batches):
            self._read.pop(each.number, None)
            yield each
