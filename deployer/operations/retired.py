"""Which objects of the ledger the sweep has removed: those that newer batches have superseded.

Of the keys of a source and of its quarantine, only the newest batch's are needed. The sweep notes
each day that it has finished, and removes nothing of a day before that.
"""

import re
from typing import TYPE_CHECKING

from deployer.operations.ledger import Log, Named

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUPERSEDED = re.compile(r"(keys|quarantine)/.*/(?P<day>\d{4}-\d{2}-\d{2})/[^/]+")


class Retired:
    """The days that were swept, by the notes in a bucket; they are read when one is needed."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._last: dict[str, str] = {}

    def has(self, log: Log, missing: Named) -> bool:
        """Return whether the sweep may have removed an object that a document of a log names."""
        match = _SUPERSEDED.fullmatch(missing.key)
        if match is None:
            return False
        day, prefix = match["day"], f"swept/{log.source}/{log.stage}/"
        if day > self._last.get(prefix, ""):  # it may have been swept since
            self._last[prefix] = self._newest(prefix)
        return day <= self._last[prefix]

    def _newest(self, prefix: str) -> str:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        keys = (found["Key"] for page in pages for found in page.get("Contents", []))
        return max((key[len(prefix) :].removesuffix(".json") for key in keys), default="")
