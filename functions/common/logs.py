"""The batch logs of a source on both sides of transform."""

from dataclasses import dataclass

from etl.sources import Source
from functions.common.batchlog import BatchLog, Manifest
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.storage import Bucket


@dataclass(frozen=True)
class Logs:
    """The logs of a source in the ingestion bucket and in the processed one."""

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
    """Return whether a source may have batches: an optional one without any may never be set up."""
    return not source.optional or bool(log.bucket.keys_after(log.prefix, log.prefix, 1))
