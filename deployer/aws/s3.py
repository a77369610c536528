"""Buckets: private, encrypted, versioned, tagged, and reached through TLS only.

Objects are written here only for layers; those in the other buckets belong to the functions. A
removal also removes every object, old version and delete marker: it cannot be undone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import (
    Change,
    Resource,
    Update,
    converge,
    error_code,
    found,
    one_each,
    remove,
)
from deployer.errors import AwsError, ConflictError
from deployer.resources.resource_policies import Policy

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        DeleteObjectsOutputTypeDef,
        ListObjectVersionsOutputTypeDef,
        PublicAccessBlockConfigurationTypeDef,
    )

OLD_VERSIONS_DAYS = 7
SHORT_LIVED_DAYS = 1
BLOCK_PUBLIC_ACCESS: "PublicAccessBlockConfigurationTypeDef" = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
ENCRYPTION, BY_KEY = "AES256", "aws:kms"
UNFINISHED = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": OLD_VERSIONS_DAYS}}
OLD_VERSIONS_EXPIRE: list[Mapping[str, Any]] = [
    {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSIONS_DAYS},
        **UNFINISHED,
    }
]
ALL_VERSIONS_STAY: list[Mapping[str, Any]] = [
    {"ID": "unfinished", "Status": "Enabled", "Filter": {"Prefix": ""}, **UNFINISHED},
]


def ensure_bucket(
    account: Account,
    name: str,
    policy: Policy | None,
    tags: Mapping[str, str],
    *,
    keeps_versions: bool = False,
    short_lived: str | None = None,
    key: str | None = None,
) -> Change:
    """Create or update a bucket. Tags of others are kept, their policies and lifecycle rules not.

    Old versions expire, unless the bucket `keeps_versions`. Objects under the prefix `short_lived`
    expire after a day. All are encrypted by the `key` with an ARN, or by S3's own.

    Raises:
        ConflictError: the name belongs to another account.
    """
    lifecycle = ALL_VERSIONS_STAY if keeps_versions else OLD_VERSIONS_EXPIRE
    if short_lived is not None:
        lifecycle = [*lifecycle, _short_lived(short_lived)]
    return converge(account, _Bucket(account, name, policy, lifecycle, tags, key=key).resource())


def encryption_key(account: Account, name: str) -> str | None:
    """Return the ARN of the key that encrypts new objects; None for S3's own, or no bucket."""
    bucket = _Bucket(account, name, None, (), {})
    # Whether it is ours, and may be read, is said when it is compared.
    encryption = found(bucket.encryption, "AccessDenied", "403") or ""
    algorithm, _, key = encryption.partition(" ")
    return key if algorithm == BY_KEY and key else None


def _short_lived(prefix: str) -> Mapping[str, Any]:
    return {
        "ID": "short-lived",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": SHORT_LIVED_DAYS},
    }


def upload(account: Account, bucket: str, key: str, path: Path, sha256: str) -> str:
    """Upload a file to a versioned bucket, and return the id of its version.

    An object with the same key becomes an old version: it may be somebody else's. S3 checks the
    upload against `sha256` (base64). To be called as part of a write.
    """
    with path.open("rb") as body:
        stored = account.clients.s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ChecksumSHA256=sha256,
            ExpectedBucketOwner=account.id,
        )
    return stored["VersionId"]


def remove_bucket(account: Account, name: str) -> bool:
    """Empty and remove a bucket; return whether it existed.

    Objects that are written meanwhile are removed too.

    Raises:
        AwsError: S3 refuses to delete an object; the message has its reason.
    """
    s3 = account.clients.s3
    ours: Any = {"Bucket": name, "ExpectedBucketOwner": account.id}

    def empty_and_delete() -> None:
        # A page has 1,000 versions, as many as one call deletes.
        for page in s3.get_paginator("list_object_versions").paginate(**ours):
            if versions := _versions(page):
                deleting: Any = {"Objects": versions, "Quiet": True}
                _check(s3.delete_objects(**ours, Delete=deleting), name)
        s3.delete_bucket(**ours)

    # The answer to a HEAD has no body, and so no code.
    return remove(account, lambda: s3.head_bucket(**ours), empty_and_delete, "404", "NoSuchBucket")


class _Bucket:
    """The calls that read and write one bucket; each names our account as its owner."""

    def __init__(
        self,
        account: Account,
        name: str,
        policy: Policy | None,
        lifecycle: Sequence[Mapping[str, Any]],
        tags: Mapping[str, str],
        *,
        key: str | None = None,
    ) -> None:
        self._account = account
        self._key = key
        self._s3 = account.clients.s3
        self._name = name
        self._policy = policy
        self._rules = lifecycle
        self._tags = tags
        self._ours: Any = {"Bucket": name, "ExpectedBucketOwner": account.id}

    def resource(self) -> Resource:
        actual = self._read() if self._exists() else None
        wanted = self._wanted((actual or {}).get("tags", {}))
        return Resource(
            kind="bucket",
            name=self._name,
            wanted=wanted,
            actual=actual,
            create=self._create,
            updates=self._updates(wanted),
        )

    def _wanted(self, tags: Mapping[str, str]) -> dict[str, Any]:
        return {
            "public access block": BLOCK_PUBLIC_ACCESS,
            "encryption": f"{BY_KEY} {self._key}" if self._key else ENCRYPTION,
            "versioning": "Enabled",
            "policy": self._policy,
            "lifecycle": self._rules,
            "tags": {**tags, **self._tags},
        }

    def _exists(self) -> bool:
        try:
            self._s3.head_bucket(Bucket=self._name)
        except ClientError as error:
            if error_code(error) == "404":
                return False
            if error_code(error) == "403":
                raise self._taken() from error
            raise
        return True

    def _read(self) -> dict[str, Any]:
        return {
            "public access block": self._public_access_block(),
            "encryption": self.encryption(),
            "versioning": self._s3.get_bucket_versioning(**self._ours).get("Status"),
            "policy": self._read_policy(),
            "lifecycle": self._lifecycle(),
            "tags": self._bucket_tags(),
        }

    def _public_access_block(self) -> object:
        answer = found(
            lambda: self._s3.get_public_access_block(**self._ours),
            "NoSuchPublicAccessBlockConfiguration",
        )
        return answer and dict(answer["PublicAccessBlockConfiguration"])

    def encryption(self) -> str | None:
        """Return the algorithm, and the key where it is not one of AWS."""
        answer = found(
            lambda: self._s3.get_bucket_encryption(**self._ours),
            "ServerSideEncryptionConfigurationNotFoundError",
            "NoSuchBucket",
        )
        if answer is None:
            return None
        rule = answer["ServerSideEncryptionConfiguration"]["Rules"][0]
        by_default = rule["ApplyServerSideEncryptionByDefault"]
        key = by_default.get("KMSMasterKeyID")
        return f"{by_default['SSEAlgorithm']} {key}" if key else by_default["SSEAlgorithm"]

    def _read_policy(self) -> object:
        answer = found(lambda: self._s3.get_bucket_policy(**self._ours), "NoSuchBucketPolicy")
        return answer and json.loads(answer["Policy"])

    def _lifecycle(self) -> object:
        answer = found(
            lambda: self._s3.get_bucket_lifecycle_configuration(**self._ours),
            "NoSuchLifecycleConfiguration",
        )
        return answer and answer["Rules"]

    def _bucket_tags(self) -> dict[str, str]:
        """Return the tags that may be written: AWS keeps its own, which begin with aws:."""
        answer = found(lambda: self._s3.get_bucket_tagging(**self._ours), "NoSuchTagSet")
        tags = answer["TagSet"] if answer else []
        return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}

    def _create(self) -> None:
        region: Any = self._account.region
        location: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            # us-east-1 is the default, and naming it is an error.
            self._s3.create_bucket(Bucket=self._name, **({} if region == "us-east-1" else location))
        except ClientError as error:
            if error_code(error) == "BucketAlreadyExists":
                raise self._taken() from error
            raise

    def _updates(self, wanted: Mapping[str, Any]) -> list[Update]:
        # With a key of the bucket's, derived from the key, KMS is asked (and paid) far less often.
        by_key = {"SSEAlgorithm": BY_KEY, "KMSMasterKeyID": self._key}
        rule = {"ApplyServerSideEncryptionByDefault": by_key, "BucketKeyEnabled": True}
        by_s3 = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": ENCRYPTION}}
        encrypted: Any = {"Rules": [rule if self._key else by_s3]}
        tag_set: Any = [{"Key": key, "Value": value} for key, value in wanted["tags"].items()]
        calls: dict[str, Callable[[], object]] = {
            "public access block": self._block_public_access,
            "encryption": lambda: self._s3.put_bucket_encryption(
                **self._ours,
                ServerSideEncryptionConfiguration=encrypted,
            ),
            "versioning": lambda: self._s3.put_bucket_versioning(
                **self._ours, VersioningConfiguration={"Status": "Enabled"}
            ),
            "policy": lambda: self._write_policy(wanted["policy"]),
            "lifecycle": lambda: self._s3.put_bucket_lifecycle_configuration(
                **self._ours, LifecycleConfiguration={"Rules": wanted["lifecycle"]}
            ),
            "tags": lambda: self._s3.put_bucket_tagging(
                **self._ours,
                Tagging={"TagSet": tag_set},
            ),
        }
        return one_each(calls)

    def _block_public_access(self) -> None:
        """Block public access unless it is: an organisation may deny the call to everybody."""
        if self._public_access_block() != BLOCK_PUBLIC_ACCESS:
            self._s3.put_public_access_block(
                **self._ours, PublicAccessBlockConfiguration=BLOCK_PUBLIC_ACCESS
            )

    def _write_policy(self, policy: Policy | None) -> None:
        if policy is None:
            self._s3.delete_bucket_policy(**self._ours)
        else:
            self._s3.put_bucket_policy(**self._ours, Policy=json.dumps(policy))

    def _taken(self) -> ConflictError:
        return ConflictError(
            f"bucket {self._name}: the name belongs to somebody else. Choose another PROJECT or "
            "STAGE, or ask for access to it (s3:ListBucket)."
        )


def _versions(page: "ListObjectVersionsOutputTypeDef") -> list[dict[str, str]]:
    listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in listed]


def _check(answer: "DeleteObjectsOutputTypeDef", bucket: str) -> None:
    """Raise the errors inside an answer that has the status of a success."""
    errors = answer.get("Errors", [])
    if errors:
        key, code, message = (errors[0].get(part) for part in ("Key", "Code", "Message"))
        raise AwsError(
            f"bucket {bucket}: {len(errors)} objects cannot be deleted, the first is {key} "
            f"({code}): {message}"
        )
