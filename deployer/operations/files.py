"""The files of a source: refused ones, new ones, and those that match no feed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from deployer.aws.account import Account
from etl import Files

PAGES = 10  # of a listing, 1,000 keys each: beyond that, only "many" matters


@dataclass(frozen=True)
class RefusedFile:
    """A file with `rows` of its `of` rows refused, or refused as a whole for a `reason`.

    `errors` is the URL of the object with the refused rows and the reasons, None without one.
    """

    rows: int
    of: int
    reason: str | None
    errors: str | None

    def text(self, key: str) -> str:
        """Return it as one line."""
        if self.reason:
            return f"{key}: refused as a whole: {self.reason}"
        return f"{key}: {self.rows:,} of {self.of:,} rows refused"


def refused_files(accounts: Sequence[Mapping[str, Any]], bucket: str) -> dict[str, RefusedFile]:
    """Return, by key, the files of a processed manifest that were refused, wholly or in part."""
    return {
        each["file"]["key"]: RefusedFile(
            rows=each["refused"],
            of=each["rows"],
            reason=each.get("reason"),
            errors=f"s3://{bucket}/{errors}" if (errors := each.get("errors")) else None,
        )
        for each in accounts
        if each["refused"] or each.get("reason")
    }


def unmatched(account: Account, bucket: str, sources: Collection[Files]) -> list[str]:
    """Return the keys among the first 10,000 of a bucket that match no feed, so are never read.

    A key that ends with a slash is a folder of the console, and not among them.
    """
    feeds = [feed for source in sources for feed in source.feeds]
    return [
        key
        for key in _keys(account, bucket)
        if not key.endswith("/") and not any(feed.fits(key) for feed in feeds)
    ]


def _keys(account: Account, bucket: str) -> Iterator[str]:
    pages = account.clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for page in islice(pages, PAGES):
        yield from (found["Key"] for found in page.get("Contents", []))


def count_new(
    account: Account, bucket: str, source: Files, newest: Mapping[str, Any] | None
) -> int:
    """Count the files of a source that arrived after its newest batch was read; 10,000 at most.

    S3 reports arrival to the second, so files that the batch has read are identified by ETag.
    """
    read = {(each["file"]["key"], each["file"]["etag"]) for each in (newest or {}).get("files", [])}
    since = (
        datetime.fromisoformat(newest["source"]["snapshot_at"]).replace(microsecond=0)
        if newest
        else None
    )
    pages = account.clients.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(
        any(feed.fits(found["Key"]) for feed in source.feeds)
        and (since is None or found["LastModified"] >= since)
        and (found["Key"], found["ETag"].strip('"')) not in read
        for page in islice(pages, PAGES)
        for found in page.get("Contents", [])
    )
