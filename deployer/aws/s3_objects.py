"""Objects that the deployer keeps in a bucket: each under its own key, none ever changed."""

import base64
import hashlib
from collections.abc import Collection
from functools import partial
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import found

# The answer to a bucket or an object that is not there.
ABSENT = ("NoSuchBucket", "NoSuchKey")


def put(account: Account, bucket: str, key: str, body: bytes) -> None:
    """Write an object; S3 checks what arrives. To be called as part of a write."""
    account.clients.s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=body,
        ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
        ExpectedBucketOwner=account.id,
    )


def get(account: Account, bucket: str, key: str, sha256: str) -> bytes | None:
    """Return an object with this digest (in hex); None if there is none, or it is another's."""
    ours: Any = {"Bucket": bucket, "ExpectedBucketOwner": account.id}
    answer = found(lambda: account.clients.s3.get_object(**ours, Key=key), *ABSENT)
    body = answer["Body"].read() if answer else b""
    return body if hashlib.sha256(body).hexdigest() == sha256 else None


def keep_only(account: Account, bucket: str, prefix: str, keys: Collection[str]) -> None:
    """Delete the other objects under a prefix. To be called as part of a write."""
    s3 = account.clients.s3
    ours: Any = {"Bucket": bucket, "ExpectedBucketOwner": account.id}
    for page in s3.get_paginator("list_objects_v2").paginate(**ours, Prefix=prefix):
        for entry in page.get("Contents", []):
            if entry["Key"] not in keys:
                s3.delete_object(**ours, Key=entry["Key"])


def folders(account: Account, bucket: str, prefix: str) -> list[str]:
    """Return the prefixes one level below a prefix; none if there is no such bucket."""
    ours: Any = {"Bucket": bucket, "ExpectedBucketOwner": account.id}
    list_below = partial(account.clients.s3.list_objects_v2, Prefix=prefix, Delimiter="/")
    answer = found(lambda: list_below(**ours), *ABSENT)
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])] if answer else []
