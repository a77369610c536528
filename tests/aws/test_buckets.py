"""What a bucket is, and what is repaired of it, by the answers of S3."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.s3 import ensure_bucket
from tests.aws.faults import stubbed

TAGS = {"stage": "dev"}
UNFINISHED = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
EXPIRING: list[dict[str, Any]] = [
    {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        **UNFINISHED,
    }
]
STAYING: list[dict[str, Any]] = [
    {"ID": "unfinished", "Status": "Enabled", "Filter": {"Prefix": ""}, **UNFINISHED}
]


@pytest.mark.parametrize(("keeps", "rules"), [(False, EXPIRING), (True, STAYING)])
def test_a_new_bucket_is_private_and_cleans_up_after_itself(
    account: Account, keeps: bool, rules: list[dict[str, Any]]
) -> None:
    """Old versions expire after a week, or stay for good; unfinished uploads never stay."""
    change = ensure_bucket(account, "lake", None, TAGS, keeps_versions=keeps)

    assert change == Change(
        "bucket",
        "lake",
        "created",
        {
            "public access block": (None, PRIVATE),
            "encryption": (None, "AES256"),
            "versioning": (None, "Enabled"),
            "lifecycle": (None, rules),
            "tags": (None, TAGS),
        },
    )
    s3 = account.clients.s3
    assert s3.get_public_access_block(Bucket="lake")["PublicAccessBlockConfiguration"] == PRIVATE
    assert s3.get_bucket_versioning(Bucket="lake")["Status"] == "Enabled"
    assert s3.get_bucket_lifecycle_configuration(Bucket="lake")["Rules"] == rules
    assert ensure_bucket(account, "lake", None, TAGS, keeps_versions=keeps).action == "left"


def test_what_protects_a_bucket_is_put_back(account: Account) -> None:
    """A bucket that lost its block of public access and its rules gets both again."""
    ensure_bucket(account, "lake", None, TAGS)
    s3 = account.clients.s3
    s3.delete_public_access_block(Bucket="lake")
    s3.delete_bucket_lifecycle(Bucket="lake")

    assert ensure_bucket(account, "lake", None, TAGS).differences == {
        "public access block": (None, PRIVATE),
        "lifecycle": (None, EXPIRING),
    }
    assert s3.get_public_access_block(Bucket="lake")["PublicAccessBlockConfiguration"] == PRIVATE


def test_tags_of_others_are_kept(account: Account) -> None:
    """Our tags are added to those that somebody else put there."""
    ensure_bucket(account, "lake", None, TAGS)
    s3 = account.clients.s3
    s3.put_bucket_tagging(Bucket="lake", Tagging={"TagSet": [{"Key": "team", "Value": "data"}]})

    assert ensure_bucket(account, "lake", None, TAGS).differences == {
        "tags": ({"team": "data"}, {"team": "data", "stage": "dev"})
    }
    tags = s3.get_bucket_tagging(Bucket="lake")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "data", "stage": "dev"}


def test_a_policy_that_is_not_wanted_is_removed(account: Account) -> None:
    """A bucket without a policy of ours has none of anybody else either."""
    ensure_bucket(account, "lake", None, TAGS)
    account.clients.s3.put_bucket_policy(Bucket="lake", Policy='{"Statement": []}')

    assert ensure_bucket(account, "lake", None, TAGS).differences == {
        "policy": ({"Statement": []}, None)
    }
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        account.clients.s3.get_bucket_policy(Bucket="lake")


def test_a_creation_that_fails_says_why(account: Account) -> None:
    """Only a name that is taken is called so; the reason of another refusal is AWS's."""
    with stubbed(account.clients.s3) as stubber:
        stubber.add_client_error("head_bucket", "404", http_status_code=404)
        stubber.add_client_error("create_bucket", "TooManyBuckets")
        with pytest.raises(ClientError, match="TooManyBuckets"):
            ensure_bucket(account, "lake", None, TAGS)


def test_what_is_needed_for_minutes_leaves_the_bucket(account: Account) -> None:
    """Zips of layers that are published, and outcomes that were read, expire after a day."""
    ensure_bucket(account, "lake", None, TAGS, short_lived="layers/")

    rules = account.clients.s3.get_bucket_lifecycle_configuration(Bucket="lake")["Rules"]
    assert rules == [
        *EXPIRING,
        {
            "ID": "short-lived",
            "Status": "Enabled",
            "Filter": {"Prefix": "layers/"},
            "Expiration": {"Days": 1},
        },
    ]
    assert ensure_bucket(account, "lake", None, TAGS, short_lived="layers/").action == "left"
