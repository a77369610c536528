"""The files that were read: of each key the version that was read last.

They are in an object that is written from time to time, and in the manifests after it. A key that
the bucket no longer has is dropped with the next object.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from functions.common.accounts import FileVersion, KnownFiles
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.manifests import IngestionManifest
from functions.common.objects import KeyFile, ObjectNames
from functions.common.parquet import digest, opened, packed, put
from functions.common.storage import Bucket

BATCHES = 20  # manifests that a run reads at most, beside the object
FILES = 5_000  # in these manifests, after which an object is written

_FORM = pa.schema(
    [
        ("bucket", pa.string()),
        ("key", pa.string()),
        ("version", pa.string()),
        ("etag", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class Known:
    """The version of each key that was read last; those of batches from `since` on, `recent` many.

    `file` is the object that has the others.
    """

    files: dict[str, FileVersion]
    since: int
    recent: int
    file: KeyFile | None

    def stored(
        self,
        bucket: Bucket,
        names: ObjectNames,
        batch: int,
        there: Collection[str],
        skipped: Iterable[FileVersion],
    ) -> KnownFiles:
        """Return a batch's record of the files before it, writing an object if one is due.

        `there` are the known keys that the bucket still has. Files that were `skipped` are in no
        manifest, so they are always written.
        """
        others = {each.key: each for each in skipped}
        if not others and batch - self.since < BATCHES and self.recent < FILES:
            return KnownFiles(self.since, self.file)
        files = {key: file for key, file in self.files.items() if key in there} | others
        return KnownFiles(batch, _write(bucket, names, files) if files else None)


def known_files(
    log: BatchLog[IngestionManifest], before: IngestionManifest | None, bucket: str
) -> Known:
    """Return the files of a bucket that were read, up to the newest batch of the log."""
    if before is None or before.known is None:
        return Known({}, 1 if before is None else before.batch + 1, 0, None)
    since, file = before.known.since, before.known.file
    files = _read(log.bucket, file) if file else {}
    recent = 0
    for number in range(since, before.batch + 1):
        manifest = before if number == before.batch else log.read(number)
        if manifest.replay_of is None:  # else its files are older than what was read last
            files |= {each.file.key: each.file for each in manifest.files}
            recent += len(manifest.files)
    of_bucket = {key: each for key, each in files.items() if each.bucket == bucket}
    return Known(of_bucket, since, recent, file)


def _write(bucket: Bucket, names: ObjectNames, files: dict[str, FileVersion]) -> KeyFile:
    columns: list[list[Any]] = [
        [getattr(file, name) for file in files.values()] for name in _FORM.names
    ]
    body = packed(pa.table(columns, schema=_FORM))
    return KeyFile(put(bucket, names, body), len(files), digest(body))


def _read(bucket: Bucket, file: KeyFile) -> dict[str, FileVersion]:
    with opened(bucket, file.key, file.sha256, file.rows) as source:
        rows: pa.Table = source.read()
    if rows.schema != _FORM:
        raise CorruptLogError(f"s3://{bucket.name}/{file.key} does not hold the names of files")
    return {row["key"]: FileVersion(**row) for row in rows.to_pylist()}
