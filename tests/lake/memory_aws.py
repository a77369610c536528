"""S3 and Glue in memory, as the function `lake` calls them: with Glue's optimistic lock."""

import io
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


def refused(code: str, call: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, call)


class MemoryS3:
    """The calls of S3's client on one bucket: `objects` by key, `at` when each was written."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.at: dict[str, datetime] = {}
        self._ordered: list[str] = []
        self.now = datetime.now(UTC)
        self.reads = 0

    def put_object(self, **asked: Any) -> dict[str, Any]:
        if asked.get("IfNoneMatch") and asked["Key"] in self.objects:
            raise refused("PreconditionFailed", "PutObject")
        if asked["Key"] not in self.objects:
            insort(self._ordered, asked["Key"])
        self.objects[asked["Key"]] = bytes(asked["Body"])
        self.at[asked["Key"]] = self.now
        return {}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        if (body := self.objects.get(asked["Key"])) is None:
            raise refused("NoSuchKey", "GetObject")
        self.reads += 1
        return {"Body": io.BytesIO(body), "ContentLength": len(body)}

    def head_object(self, **asked: Any) -> dict[str, Any]:
        return {"ContentLength": len(self.objects[asked["Key"]])}

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        prefix, most = asked["Prefix"], asked.get("MaxKeys", 1000)
        after = asked.get("StartAfter", "")
        first = max(bisect_left(self._ordered, prefix), bisect_right(self._ordered, after))
        in_order = (self._ordered[place] for place in range(first, len(self._ordered)))
        of_prefix = takewhile(lambda key: key.startswith(prefix), in_order)
        found = list(islice(of_prefix, most))
        return {
            "Contents": [{"Key": key, "ETag": key, "LastModified": self.at[key]} for key in found]
        }

    def get_paginator(self, _: str) -> Any:
        def pages(**asked: Any) -> Iterator[dict[str, Any]]:
            yield self.list_objects_v2(**asked, MaxKeys=10**9)

        return SimpleNamespace(paginate=pages)

    def delete_objects(self, **asked: Any) -> dict[str, Any]:
        for each in asked["Delete"]["Objects"]:
            del self.objects[each["Key"]]
            self._ordered.remove(each["Key"])
        return {}


class MemoryGlue:
    """The calls of Glue's client; `before` and `after` run around each update of a table."""

    class exceptions:  # noqa: N801  as boto3 calls it
        EntityNotFoundException = type("EntityNotFoundException", (ClientError,), {})
        AlreadyExistsException = type("AlreadyExistsException", (ClientError,), {})
        ConcurrentModificationException = type(
            "ConcurrentModificationException", (ClientError,), {}
        )

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.commits = 0

    def get_table(self, **asked: Any) -> dict[str, Any]:
        if (table := self.tables.get(asked["Name"])) is None:
            raise self._error("EntityNotFoundException")
        return {"Table": dict(table)}

    def create_table(self, **asked: Any) -> dict[str, Any]:
        name = asked["TableInput"]["Name"]
        if name in self.tables:
            raise self._error("AlreadyExistsException")
        self._put(asked, "0")
        return {}

    def update_table(self, **asked: Any) -> dict[str, Any]:
        name = asked["TableInput"]["Name"]
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "killed before":
            raise KeyboardInterrupt
        if self.tables[name]["VersionId"] != asked["VersionId"]:
            raise self._error("ConcurrentModificationException")
        self._put(asked, str(int(asked["VersionId"]) + 1))
        self.commits += 1
        if fault == "killed after":
            raise KeyboardInterrupt
        if fault == "answer lost and repeated":  # as botocore does
            raise self._error("ConcurrentModificationException")
        return {}

    def _put(self, asked: dict[str, Any], version: str) -> None:
        table = {**asked["TableInput"], "DatabaseName": asked["DatabaseName"], "VersionId": version}
        self.tables[table["Name"]] = table

    def _error(self, name: str) -> ClientError:
        kind: type[ClientError] = getattr(self.exceptions, name)
        return kind({"Error": {"Code": name, "Message": name}}, "Glue")
