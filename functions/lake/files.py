"""The objects of Iceberg tables in S3, as pyiceberg reads and writes them.

Its own implementations need the S3 part of Arrow, or a second client of S3.
"""

import io
from typing import Any

import boto3
from botocore.exceptions import ClientError
from pyiceberg.io import FileIO, InputFile, OutputFile

from functions.common.storage import CLIENT_CONFIG, Bucket, error_code

SCHEME = "s3://"
IMPLEMENTATION = f"{__name__}.LakeFiles"


def location(bucket: Bucket, key: str) -> str:
    """Return the location of an object, by which Iceberg knows it."""
    return f"{SCHEME}{bucket.name}/{key}"


def key_of(location: str) -> str:
    """Return the key of an object at a location."""
    return location.removeprefix(SCHEME).split("/", 1)[1]


class _Object(InputFile, OutputFile):
    """An object, which is read or written as a whole."""

    def __init__(self, bucket: Bucket, location: str) -> None:
        super().__init__(location)
        self._bucket = bucket
        self._key = key_of(location)

    def __len__(self) -> int:
        """Return its size in bytes."""
        head = self._bucket.client.head_object(Bucket=self._bucket.name, Key=self._key)
        return head["ContentLength"]

    def exists(self) -> bool:
        """Return whether it is there."""
        return self._bucket.etag(self._key) is not None

    def open(self, seekable: bool = True) -> Any:  # noqa: ARG002  as pyiceberg calls it
        """Return its bytes as a file; raise FileNotFoundError."""
        try:
            answer = self._bucket.client.get_object(Bucket=self._bucket.name, Key=self._key)
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "AccessDenied"):
                raise FileNotFoundError(self.location) from error
            raise
        return io.BytesIO(answer["Body"].read())

    def to_input_file(self) -> InputFile:
        """Return the same object, to read it."""
        return self

    def create(self, overwrite: bool = False) -> Any:  # noqa: ARG002
        """Return a file whose bytes become the object when it is closed."""
        return _Written(self._bucket, self._key)


class _Written(io.BytesIO):
    def __init__(self, bucket: Bucket, key: str) -> None:
        super().__init__()
        self._bucket, self._key = bucket, key

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self._bucket.put(self._key, self.getvalue())
        super().close()


class LakeFiles(FileIO):
    """The objects of buckets, by locations such as s3://bucket/key.

    Nothing is deleted: an update whose answer was lost looks like one that failed, and what
    belongs to it may be in use. `upkeep` removes objects that no snapshot names.
    """

    def __init__(self, properties: Any = None) -> None:
        super().__init__(properties or {})
        self._client = boto3.client("s3", config=CLIENT_CONFIG)

    def _object(self, location: str) -> _Object:
        bucket = location.removeprefix(SCHEME).split("/", 1)[0]
        return _Object(Bucket(self._client, bucket), location)

    def new_input(self, location: str) -> InputFile:
        """Return an object to read."""
        return self._object(location)

    def new_output(self, location: str) -> OutputFile:
        """Return an object to write."""
        return self._object(location)

    def delete(self, location: Any) -> None:
        """Leave the object."""
