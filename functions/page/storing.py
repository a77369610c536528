"""Where the page is, and what the last one was made of."""

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from functions.common.storage import Bucket, error_code

KEY = "page/index.html"
_NEWS = "news"  # of the object's own metadata


@dataclass(frozen=True)
class StoredPage:
    """A page: when it was written, and the digest of what it shows."""

    at: datetime
    news: str


def stored_page(bucket: Bucket) -> StoredPage | None:
    """Return the page that is there, None without one.

    Whoever may not list the bucket is refused a look at an object that is not there.
    """
    try:
        found = bucket.client.head_object(Bucket=bucket.name, Key=KEY)
    except ClientError as error:
        if error_code(error) in ("404", "403"):
            return None
        raise
    return StoredPage(found["LastModified"], found["Metadata"].get(_NEWS, ""))


def put_page(bucket: Bucket, body: bytes, news: str) -> None:
    """Write the page, over the last one; a browser asks for it again each time."""
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=KEY,
        Body=body,
        ContentType="text/html; charset=utf-8",
        CacheControl="no-cache",
        Metadata={_NEWS: news},
    )
