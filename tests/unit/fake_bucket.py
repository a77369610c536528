"""A bucket in memory that counts what is asked of it."""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

from botocore.exceptions import ClientError

from functions.common.errors import CorruptLogError
from functions.common.storage import ANYTHING, NEW, NO_METADATA, OBJECT_BYTES, Bucket, Condition

NO_CLIENT: Any = None
S3_LISTS_AT_MOST = 1000


class FakeBucket(Bucket):
    """A write-once store of bytes: `objects` is what it holds, `requests` how often it was used."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        super().__init__(NO_CLIENT, "lake")
        self.objects = dict(objects or {})
        self.requests: Counter[str] = Counter()
        self.metadata: dict[str, Mapping[str, str]] = {}
        self._keys = sorted(self.objects)

    def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        self.requests["put"] += 1
        if key in self.objects:
            return False
        self.objects[key] = body
        self.metadata[key] = metadata
        insort(self._keys, key)
        return True

    def put(self, key: str, body: bytes | IO[bytes], condition: Condition = ANYTHING) -> None:
        self.requests["put"] += 1
        if condition == NEW and key in self.objects:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        if key not in self.objects:
            insort(self._keys, key)
        self.objects[key] = body if isinstance(body, bytes) else body.read()

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:
        self.requests["get"] += 1
        if key not in self.objects:
            raise CorruptLogError(f"s3://{self.name}/{key} is not there")
        if len(self.objects[key]) > at_most:
            raise CorruptLogError(f"s3://{self.name}/{key} is too large")
        return self.objects[key]

    def keys_after(self, prefix: str, start_after: str, limit: int) -> list[str]:
        self.requests["list"] += 1
        assert limit <= S3_LISTS_AT_MOST
        first = bisect_right(self._keys, start_after)
        return [key for key in self._keys[first : first + limit] if key.startswith(prefix)]

    def empty(self) -> None:
        """Remove all objects, as somebody may do by hand."""
        self.objects.clear()
        self._keys.clear()
