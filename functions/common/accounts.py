"""Files in the documents of the logs: those read, those known, and the outcome of each."""

from msgspec import Struct

from functions.common.longlists import ListFile
from functions.common.objects import (
    BatchNumber,
    CopyKey,
    Count,
    DataKey,
    ErrorsKey,
    KeyFile,
    Moment,
    Sha256,
)


class FileVersion(Struct, frozen=True):
    """A file in S3, read by its version, or by its ETag where the bucket keeps no versions."""

    bucket: str
    key: str
    version: str | None
    etag: str
    size: Count
    modified: Moment

    @property
    def identity(self) -> tuple[str, str, str]:
        """A unique identifier of this version of this file."""
        return self.bucket, self.key, self.version or self.etag


class FileRead(Struct, frozen=True):
    """A file that was read, and the objects of its table that hold its rows, in order.

    `rows` are all of them, also those that could not be separated into values; `header` are the
    columns in the order of the file. `error` says why the file cannot be used. `copy` is the object
    with the bytes of a file of a remote bucket, `copy_sha256` its digest (None in batches of an
    earlier version). It is read `again` where an earlier batch has read this version. `url` is what
    an API was asked.
    """

    table: str
    file: FileVersion
    header: list[str]
    rows: Count
    objects: list[DataKey]
    error: str | None = None
    copy: CopyKey | None = None
    again: bool = False
    copy_sha256: Sha256 | None = None
    url: str | None = None


class KnownFiles(Struct, frozen=True):
    """The files that were read: those in an object, and those of the batches from `since` on."""

    since: BatchNumber
    file: KeyFile | None = None


class FileAccount(Struct, frozen=True):
    """The outcome of a file: `rows` = `out` + `refused`, with the reasons in the object `errors`.

    A version that is followed by a newer one in the same batch has no such object.
    `out` counts the rows that are in at least one target table. `reason` says why the whole file
    was refused; then none of its rows is in any target table. `reasons` is the object with the
    refused rows, of very many the first, as [line, reason]; None in batches of earlier versions.
    """

    table: str
    file: FileVersion
    rows: Count
    out: Count
    refused: Count
    errors: ErrorsKey | None = None
    reason: str | None = None
    reasons: ListFile | None = None
