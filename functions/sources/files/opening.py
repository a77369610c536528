"""Read the bytes of one version of a file, over several connections if they break."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from functions.common.accounts import FileVersion
from functions.common.errors import MissingFileError, UnusableFileError
from functions.common.storage import error_code
from functions.common.telemetry import logger
from functions.sources.files.listing import UNVERSIONED, Place
from functions.sources.formats.decoding import EXPANDED_AT_MOST, TOO_LARGE

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

READ_BYTES = 4 << 20  # a block of CSV: fewer and larger ones are read faster
ATTEMPTS = 5  # in a row without any bytes

_BROKEN = (
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
_GONE = ("NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed")  # the last: a delete marker
_CHANGED = ("PreconditionFailed", "412")
_ARCHIVED = "InvalidObjectState"


def bytes_of(place: Place, file: FileVersion) -> Iterator[bytes]:
    """Yield the bytes of a file, in pieces; a connection that breaks is resumed where it broke.

    Raises MissingFileError for a file that was replaced or deleted, UnusableFileError for one
    in an archive or larger than is read, SettingsError for one that may not be read.
    """
    if file.size > EXPANDED_AT_MOST:
        raise UnusableFileError(TOO_LARGE)
    done = failures = 0
    while done < file.size or not file.size:
        try:
            for piece in _from(place, file, done):
                done += len(piece)
                failures = 0
                yield piece
        except _BROKEN as error:
            failures += 1
            if failures == ATTEMPTS:
                raise
            logger.warning(f"reading s3://{file.bucket}/{file.key} resumes at byte {done}: {error}")
        else:
            return


def _from(place: Place, file: FileVersion, start: int) -> Iterator[bytes]:
    """Yield the bytes from a place on."""
    which: dict[str, Any] = (
        {"VersionId": file.version} if file.version else {"IfMatch": f'"{file.etag}"'}
    )
    if start:
        which["Range"] = f"bytes={start}-"
    try:
        answer = _answer(place, file, which)
    except ClientError as error:
        if error_code(error) in (*_GONE, *_CHANGED):
            raise MissingFileError(
                f"s3://{file.bucket}/{file.key} was replaced or deleted after it was listed"
            ) from error
        if error_code(error) == _ARCHIVED:
            raise UnusableFileError(
                "it is archived: restore it, and copy it over itself"
            ) from error
        raise place.refused(error) from error
    with closing(answer["Body"]) as body:
        while piece := body.read(READ_BYTES):
            yield piece


def _answer(place: Place, file: FileVersion, which: dict[str, Any]) -> "GetObjectOutputTypeDef":
    """Return S3's answer; of a file without a version also if a newer version covers it.

    A bucket that began to keep versions keeps what it had until then as one of them.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html
    """
    asked: dict[str, Any] = {"Bucket": file.bucket, "Key": file.key, **which}
    try:
        return place.client.get_object(**asked)
    except ClientError as error:
        if file.version or error_code(error) not in _CHANGED:
            raise
        try:
            return place.client.get_object(**asked, VersionId=UNVERSIONED)
        except ClientError:
            raise error from None  # whatever it says, such as that versions may not be read
