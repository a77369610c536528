"""Store the page, and look up when and from what the last one was made."""

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from functions.common.storage import Bucket, error_code

KEY = "page/index.html"
_NEWS = "news"  # in the object's metadata


@dataclass(frozen=True)
class StoredPage:
    """A page: when it was written, and the digest of what it shows."""

    at: datetime
    news: str


def stored_page(bucket: Bucket) -> StoredPage | None:
    """Return the stored page, None if there is none.

    Without the right to list the bucket, S3 answers 403 for an object that is not there.
    """
    try:
        found = bucket.client.head_object(Bucket=bucket.name, Key=KEY)
    except ClientError as error:
        if error_code(error) in ("404", "403"):
            return None
        raise
    return StoredPage(found["LastModified"], found["Metadata"].get(_NEWS, ""))


def put_page(bucket: Bucket, body: bytes, news: str) -> None:
    """Write the page, over the last one; browsers revalidate it each time."""
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=KEY,
        Body=body,
        ContentType="text/html; charset=utf-8",
        CacheControl="no-cache",
        Metadata={_NEWS: news},
    )
