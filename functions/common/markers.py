"""The log of markers, `loaded/<source>/`: what was applied, to which warehouse, and its state then.

Markers are numbered in the order in which they were written, whichever warehouse they are about.
The newest one is the state of the load; the older ones are read when a warehouse was restored,
moved or replaced.
"""

from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker
from functions.common.storage import Bucket


class MarkerLog(BatchLog[LoadedMarker]):
    """The markers of a source's batches; each is read once."""

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
