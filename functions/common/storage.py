"""A bucket whose objects are written once and never changed.

Nothing here overwrites or deletes: every write asks S3 to refuse it if the key is taken.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common.errors import LogCorrupted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLIENT_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 6},
    max_pool_connections=16,  # all tables of a batch may be on their way at once
)

# S3 answers 409 when two conditional writes of one key overlap, and asks for another try.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICT_RETRIES = 8


def error_code(error: ClientError) -> str:
    """Return the code of an AWS error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Bucket:
    """An S3 bucket, seen as a write-once store of bytes."""

    def __init__(
        self, client: "S3Client", name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self.name = name
        self._sleep = sleep

    def put_new(self, key: str, body: bytes) -> bool:
        """Write `body` at `key`; return False if the key is taken."""
        for attempt in range(CONFLICT_RETRIES):
            try:
                self.client.put_object(Bucket=self.name, Key=key, Body=body, IfNoneMatch="*")
                return True
            except ClientError as error:
                if error_code(error) == "PreconditionFailed":
                    return False
                if error_code(error) != "ConditionalRequestConflict":
                    raise
                last = error
                self._sleep(0.1 * 2**attempt)
        raise last

    def get(self, key: str) -> bytes:
        """Return the bytes at `key`; raise LogCorrupted when there is no such object.

        Whoever may list a bucket under some prefixes only is told "access denied" of a key that is
        not there. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "AccessDenied"):
                raise LogCorrupted(
                    f"s3://{self.name}/{key} is named by the batch log and cannot be read "
                    f"({error_code(error)}): was it deleted by hand?"
                ) from error
            raise

    def keys_after(self, prefix: str, start_after: str, limit: int) -> list[str]:
        """Return up to `limit` keys under `prefix` after `start_after`; S3 lists 1,000 at most."""
        answer = self.client.list_objects_v2(
            Bucket=self.name, Prefix=prefix, StartAfter=start_after, MaxKeys=limit
        )
        return [found["Key"] for found in answer.get("Contents", [])]
