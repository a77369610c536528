"""A bucket whose objects are written once, except those for people.

What the pipeline itself reads is written by `put_new`, a conditional write that never overwrites.
Errors and exports are for people, and are overwritten by newer ones.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common.errors import BucketAccessError, CorruptLogError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLIENT_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 6},
    max_pool_connections=16,  # all tables of a batch may be uploaded at once
    # Explicit, so that S3 rejects an object damaged in transit whatever the environment sets.
    request_checksum_calculation="when_supported",
    response_checksum_validation="when_supported",
)

# S3 answers 409 when two conditional writes of one key overlap, and asks for another try.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICT_RETRIES = 8

Condition = Mapping[str, str]
"""What has to be at a key when an object is written there, as parameters of S3."""

ANYTHING: Condition = MappingProxyType({})
NEW: Condition = MappingProxyType({"IfNoneMatch": "*"})

LISTED_AT_MOST = 1000  # keys that S3 lists or removes per request
NO_METADATA: Mapping[str, str] = MappingProxyType({})
OBJECT_BYTES = 128 << 20  # more than any function writes into one


def error_code(error: ClientError) -> str:
    """Return the code of an AWS error, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Bucket:
    """An S3 bucket as a write-once store of bytes."""

    def __init__(
        self, client: "S3Client", name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self.name = name
        self._sleep = sleep

    def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        """Write `body` at `key`; return False if the key is taken."""
        described: dict[str, Any] = {"Metadata": dict(metadata)} if metadata else {}
        for attempt in range(CONFLICT_RETRIES):
            try:
                self.client.put_object(
                    Bucket=self.name, Key=key, Body=body, IfNoneMatch="*", **described
                )
                return True
            except ClientError as error:
                if error_code(error) == "PreconditionFailed":
                    return False
                if error_code(error) != "ConditionalRequestConflict":
                    raise
                last = error
                self.wait_for_other_write(attempt)
        raise last

    def wait_for_other_write(self, attempt: int) -> None:
        """Wait before another try at a key that is being written; attempts count from 0."""
        self._sleep(0.1 * 2**attempt)

    def put(self, key: str, body: bytes | IO[bytes], condition: Condition = ANYTHING) -> None:
        """Write an object for people at `key`, from memory or a seekable file; overwrite it.

        A `condition` of S3 says what has to be there: its ClientError if something else is.
        """
        only: Any = condition
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **only)

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:
        """Return the bytes at `key`; raise CorruptLogError if there are none, or over `at_most`.

        Where a bucket may be listed under some prefixes only, S3 answers "access denied" for a
        missing key. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        try:
            found = self.client.get_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "AccessDenied"):
                raise CorruptLogError(
                    f"s3://{self.name}/{key} is named by the batch log and cannot be read "
                    f"({error_code(error)}): was it deleted by hand?"
                ) from error
            raise
        with found["Body"] as body:
            if found["ContentLength"] > at_most:
                raise CorruptLogError(
                    f"s3://{self.name}/{key} has {found['ContentLength']:,} bytes, and "
                    f"{at_most:,} is the most that is written there: who wrote it?"
                )
            return body.read()

    def keys_after(self, prefix: str, start_after: str, limit: int) -> list[str]:
        """Return up to `limit` keys under `prefix` after `start_after`; S3 lists 1,000 at most."""
        answer = self.client.list_objects_v2(
            Bucket=self.name, Prefix=prefix, StartAfter=start_after, MaxKeys=limit
        )
        return [found["Key"] for found in answer.get("Contents", [])]

    def etag(self, key: str) -> str | None:
        """Return the ETag of the object at `key`, None if there is none; it need not be readable.

        A listing needs no right to read it, and a missing key is no denied one there.
        """
        answer = self.client.list_objects_v2(Bucket=self.name, Prefix=key, MaxKeys=1)
        return next(
            (each["ETag"] for each in answer.get("Contents", []) if each["Key"] == key), None
        )

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield all keys under a prefix, in order."""
        keys = self.keys_after(prefix, prefix, LISTED_AT_MOST)
        while keys:
            yield from keys
            keys = self.keys_after(prefix, keys[-1], LISTED_AT_MOST)

    def folders(self, prefix: str, start_after: str) -> list[str]:
        """Return the prefixes under `prefix`, up to the next slash, after `start_after`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, StartAfter=start_after, Delimiter="/"
        )
        return [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]

    def remove(self, keys: Sequence[str]) -> None:
        """Delete objects; their versions remain while the bucket keeps noncurrent versions."""
        for start in range(0, len(keys), LISTED_AT_MOST):
            some = keys[start : start + LISTED_AT_MOST]
            answer = self.client.delete_objects(
                Bucket=self.name, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
            )
            if failed := answer.get("Errors"):
                raise BucketAccessError(
                    f"s3://{self.name}/{failed[0].get('Key')} cannot be removed "
                    f"({failed[0].get('Code')}): deploy again, to give the function its rights"
                )
