"""The batch logs, read from outside: numbered JSON documents under a prefix of a bucket.

Nothing here writes, and nothing lists a whole log, which may have a hundred thousand batches.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployer.errors import OperationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE = 1000  # the most keys that S3 lists in one call
MARKERS_BACK = 20  # how many of the newest markers are searched


class BatchLog:
    """The documents `<prefix><10 digits>.json` of a bucket."""

    def __init__(self, s3: "S3Client", bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._number = re.compile(re.escape(prefix) + r"(\d{10})\.json")

    def newest(self) -> int:
        """Return the last number before the first gap, 0 when the log is empty.

        An exponential search, then a binary one: about 2 log2(n / 1,000) requests.
        """
        low, step = 0, PAGE
        while self._has(low + step):
            low, step = low + step, 2 * step
        high = low + step  # not in the log
        while high - low > PAGE:
            middle = (low + high) // 2
            if self._has(middle):
                low = middle
            else:
                high = middle
        found = enumerate(self._numbers_after(low, PAGE), low + 1)
        return low + sum(number == expected for expected, number in found)

    def _has(self, batch: int) -> bool:
        """Return whether a number and the one before it exist: one object far ahead is no log."""
        return self._numbers_after(batch - 2, 2) == [batch - 1, batch]

    def read(self, batch: int) -> dict[str, Any]:
        """Return the document of a batch; raise OperationError if it is malformed."""
        key = self._key(batch)
        answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        try:
            document: dict[str, Any] = json.loads(answer["Body"].read())
            document |= lists_of(document, self._body)
        except (ValueError, RecursionError) as error:
            raise OperationError(
                f"s3://{self._bucket}/{key} is not a manifest: restore its first version, which "
                "S3 keeps."
            ) from error
        return document

    def _body(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def newest_document(self) -> dict[str, Any] | None:
        """Return the document of the newest batch, None when the log is empty."""
        newest = self.newest()
        return self.read(newest) if newest else None

    def _key(self, batch: int) -> str:
        return f"{self._prefix}{batch:010d}.json"

    @property
    def place(self) -> str:
        """Where the log is, at any endpoint."""
        return f"{self._s3.meta.endpoint_url} s3://{self._bucket}/{self._prefix}"

    def tags(self, after: int) -> dict[int, str]:
        """Return the next numbers, up to 1,000, each with the ETag of its document."""
        return self._listed(after, PAGE)

    def _numbers_after(self, batch: int, limit: int) -> list[int]:
        """Return the next numbers, up to `limit`; keys without a number sort after them."""
        return list(self._listed(batch, limit))

    def _listed(self, after: int, limit: int) -> dict[int, str]:
        answer = self._s3.list_objects_v2(
            Bucket=self._bucket, Prefix=self._prefix, StartAfter=self._key(after), MaxKeys=limit
        )
        matches = (
            (self._number.fullmatch(found["Key"]), found) for found in answer.get("Contents", [])
        )
        return {int(match[1]): found.get("ETag", "") for match, found in matches if match}


def lists_of(document: dict[str, Any], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Return the fields that are too long for a document, from the objects that it names.

    Raises ValueError for an object that is not what was written there.
    """
    return {
        name: _list(read(file["key"]), file["sha256"])
        for name, file in (document.get("elsewhere") or {}).items()
    }


def _list(body: bytes, sha256: str) -> object:
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ValueError("a long list is not what was written there")
    return json.loads(body)


def marker_of(s3: "S3Client", bucket: str, source: str, batch: int) -> dict[str, Any] | None:
    """Return the newest marker of a recently loaded batch of a source, None if there is none.

    Markers are numbered in the order in which they were written; a batch that was loaded again has
    several.
    """
    log = BatchLog(s3, bucket, f"loaded/{source}/")
    newest = log.newest()
    for number in range(newest, max(0, newest - MARKERS_BACK), -1):
        marker = log.read(number)
        if marker["batch"] == batch:
            return marker
    return None
