"""Multipart uploads: an object is written in pieces, of which a few are in memory.

The object appears when it is complete; a failed upload leaves nothing.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.common.errors import BucketAccessError
from functions.common.storage import (
    ANYTHING,
    CONFLICT_RETRIES,
    NEW,
    Bucket,
    Condition,
    error_code,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 << 20  # S3 wants at least 5 MB of each part but the last, and takes 10,000 of them


def only_new() -> Condition:
    """Overwrite nothing."""
    return NEW


def whatever_is_there() -> Condition:
    """Overwrite any object."""
    return ANYTHING


class Upload:
    """Write an object in pieces, as in `with Upload(bucket, key) as upload: upload.write(piece)`.

    The object is complete at the end of the block; an error in the block aborts the upload. One of
    less than a part takes one request. One part is uploaded while the next one is filled.

    The `condition` is asked for just before the object is written, and again while it is not met;
    for None the object remains as it is. Raises BucketAccessError when the key is taken.
    """

    def __init__(
        self, bucket: Bucket, key: str, *, condition: Callable[[], Condition | None] = only_new
    ) -> None:
        self.size = 0
        self._bucket = bucket
        self._object: dict[str, Any] = {"Bucket": bucket.name, "Key": key}
        self._condition = condition
        self._pending = bytearray()
        self._upload: dict[str, Any] | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._thread = ThreadPoolExecutor(1)
        self._on_its_way: Future[CompletedPartTypeDef] | None = None

    def __enter__(self) -> "Upload":
        return self

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes."""
        self.size += len(piece)
        self._pending += piece
        while len(self._pending) >= PART_BYTES:
            self._send(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException:
            self._abort()
            raise
        else:
            if error is not None:
                self._abort()
        finally:
            self._thread.shutdown()

    def _send(self, part: bytes) -> None:
        """Start to send a part, once the previous one has been sent."""
        if self._upload is None:
            # S3 verifies each part as it arrives, by the algorithm declared here.
            begun = self._bucket.client.create_multipart_upload(
                **self._object, ChecksumAlgorithm="CRC32"
            )
            self._upload = {**self._object, "UploadId": begun["UploadId"]}
        self._arrive()
        self._on_its_way = self._thread.submit(
            self._send_part, self._upload, len(self._parts) + 1, part
        )

    def _send_part(
        self, upload: dict[str, Any], number: int, part: bytes
    ) -> "CompletedPartTypeDef":
        sent = self._bucket.client.upload_part(
            **upload, PartNumber=number, Body=part, ChecksumAlgorithm="CRC32"
        )
        done: CompletedPartTypeDef = {"ETag": sent["ETag"], "PartNumber": number}
        if checksum := sent.get("ChecksumCRC32"):
            done["ChecksumCRC32"] = checksum
        return done

    def _arrive(self) -> None:
        arriving, self._on_its_way = self._on_its_way, None
        if arriving is not None:
            self._parts.append(arriving.result())

    def _finish(self) -> None:
        rest = bytes(self._pending)
        if self._upload is not None:
            if rest:
                self._send(rest)
            self._arrive()
        failed: Condition | None = None
        for attempt in range(CONFLICT_RETRIES):
            condition = self._condition()
            if condition is None:
                self._abort()
                return
            if condition == failed:
                break
            try:
                self._complete(rest, condition)
            except ClientError as error:
                if error_code(error) in ("PreconditionFailed", "NoSuchKey"):
                    failed = condition
                elif error_code(error) == "ConditionalRequestConflict":
                    self._bucket.wait_for_other_write(attempt)
                else:
                    raise
            else:
                return
        raise self._taken()

    def _complete(self, body: bytes, condition: Condition) -> None:
        """Write the object: its parts, or the whole body if there are none."""
        if self._upload is None:
            self._bucket.put(self._object["Key"], body, condition)
            return
        only: Any = condition
        self._bucket.client.complete_multipart_upload(
            **self._upload, MultipartUpload={"Parts": self._parts}, **only
        )

    def _taken(self) -> BucketAccessError:
        where = f"s3://{self._bucket.name}/{self._object['Key']}"
        return BucketAccessError(f"{where} is there already, and is not overwritten: run again")

    def _abort(self) -> None:
        """Abort the upload, after the last part has arrived: it would remain otherwise."""
        if self._on_its_way is not None:
            self._on_its_way.exception()
        if self._upload is not None:
            self._bucket.client.abort_multipart_upload(**self._upload)
