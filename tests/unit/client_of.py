"""S3's client as the deployer uses it to read, on a bucket in memory."""

import hashlib
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.unit.fake_bucket import FakeBucket


class ClientOf:
    """The calls of S3's client that a query makes, on a bucket in memory."""

    def __init__(self, bucket: FakeBucket) -> None:
        self.meta = SimpleNamespace(endpoint_url="http://127.0.0.1")
        self._bucket = bucket

    def get_object(self, **asked: str) -> dict[str, Any]:
        if asked["Key"] not in self._bucket.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": BytesIO(self._bucket.get(asked["Key"]))}

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        keys = self._bucket.keys_after(asked["Prefix"], asked["StartAfter"], asked["MaxKeys"])
        return {"Contents": [{"Key": key, "ETag": self._tag(key)} for key in keys]}

    def _tag(self, key: str) -> str:
        return hashlib.sha256(self._bucket.objects[key]).hexdigest()
