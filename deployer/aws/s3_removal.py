"""The removal of buckets, with every object, old version and delete marker in them.

There is no way back: objects of a versioned bucket are only gone once this has removed them.
"""

from typing import TYPE_CHECKING, Any

from deployer.aws.account import Account
from deployer.aws.removal import remove
from deployer.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import DeleteObjectsOutputTypeDef, ListObjectVersionsOutputTypeDef

# A HEAD has no body to name the reason in.
ABSENT = ("404", "NoSuchBucket")


def remove_bucket(account: Account, name: str) -> bool:
    """Empty and remove a bucket; return whether there was one.

    Objects written meanwhile are removed too, for as long as S3 finds that it is not empty.

    Raises:
        AwsError: S3 refuses to delete an object, and says why.
    """
    s3 = account.clients.s3
    ours: Any = {"Bucket": name, "ExpectedBucketOwner": account.id}

    def empty_and_delete() -> None:
        # A page is 1,000 versions, as many as one call deletes.
        for page in s3.get_paginator("list_object_versions").paginate(**ours):
            if versions := _versions(page):
                deleting: Any = {"Objects": versions, "Quiet": True}
                _check(s3.delete_objects(**ours, Delete=deleting), name)
        s3.delete_bucket(**ours)

    return remove(account, lambda: s3.head_bucket(**ours), empty_and_delete, *ABSENT)


def _versions(page: "ListObjectVersionsOutputTypeDef") -> list[dict[str, str]]:
    listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in listed]


def _check(answer: "DeleteObjectsOutputTypeDef", bucket: str) -> None:
    """Raise what S3 says inside an answer that looks like a success."""
    errors = answer.get("Errors", [])
    if errors:
        key, code, message = (errors[0].get(part) for part in ("Key", "Code", "Message"))
        raise AwsError(
            f"bucket {bucket}: {len(errors)} objects cannot be deleted, the first is {key} "
            f"({code}): {message}"
        )
