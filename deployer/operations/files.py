"""The files of a source, seen from outside: refused ones, and new ones in our bucket."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from deployer.aws.account import Account
from etl import Files

PAGES = 10  # of a listing, 1,000 keys each: enough to say that many are new


@dataclass(frozen=True)
class RefusedFile:
    """A file of which `rows` of its `of` rows were refused, or, for a `reason`, all of it.

    `errors` is the URL of the object with the refused rows and why; None where there is none.
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
    """Return, by key, the files of a processed manifest that were refused, or rows of them."""
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


def strangers(account: Account, bucket: str, sources: Collection[Files]) -> list[str]:
    """Return the keys of a bucket, of 10,000 at most, that are files of no feed: nobody reads them.

    A key that ends with a slash is a folder of the console.
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
    """Count the files of a source that have come since its newest batch was read; 10,000 at most.

    S3 reports arrival to the second, so those that the batch has read are identified by ETag.
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
