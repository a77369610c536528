"""The notification configuration of a bucket, which is written whole: ours in it, theirs kept."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from deployer.aws.account import Account
from deployer.aws.s3_notifications import Notification, ensure_notification, remove_notification
from tests.aws.faults import stubbed

FUNCTION = "arn:aws:lambda:eu-west-2:123456789012:function"
ASKED = {"Bucket": "lake", "ExpectedBucketOwner": "123456789012"}
CREATED = ["s3:ObjectCreated:*"]
THEIRS: dict[str, Any] = {
    "Id": "theirs",
    "LambdaFunctionArn": f"{FUNCTION}:theirs",
    "Events": CREATED,
    "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "exports/"}]}},
}
QUEUED: dict[str, Any] = {
    "Id": "queued",
    "QueueArn": "arn:aws:sqs:eu-west-2:123456789012:theirs",
    "Events": ["s3:ObjectRemoved:*"],
}
OURS: dict[str, Any] = {
    "Id": "ours",
    "LambdaFunctionArn": f"{FUNCTION}:transform",
    "Events": CREATED,
    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "batches/"}]}},
}
WANTED = Notification("ours", "lake", "batches/", f"{FUNCTION}:transform")


@pytest.fixture
def s3(account: Account) -> Iterator[Stubber]:
    """S3, which is asked and written as the account that the bucket has to belong to."""
    with stubbed(account.clients.s3) as stubber:
        yield stubber


def answer(s3: Stubber, *functions: dict[str, Any]) -> None:
    there = {"LambdaFunctionConfigurations": list(functions), "QueueConfigurations": [QUEUED]}
    s3.add_response("get_bucket_notification_configuration", there, ASKED)


def expect(s3: Stubber, *functions: dict[str, Any]) -> None:
    put = {"LambdaFunctionConfigurations": list(functions), "QueueConfigurations": [QUEUED]}
    s3.add_response(
        "put_bucket_notification_configuration", {}, {**ASKED, "NotificationConfiguration": put}
    )


def test_ours_is_added_to_those_of_others(account: Account, s3: Stubber) -> None:
    """A function and a queue of somebody else are notified as before."""
    answer(s3, THEIRS)
    expect(s3, THEIRS, OURS)

    assert ensure_notification(account, WANTED).action == "created"


def test_ours_is_replaced_between_those_of_others(account: Account, s3: Stubber) -> None:
    """Only one of ours is left after a change, and everybody else's."""
    answer(s3, {**OURS, "LambdaFunctionArn": f"{FUNCTION}:another"}, THEIRS)
    expect(s3, THEIRS, OURS)

    change = ensure_notification(account, WANTED)

    assert (change.action, list(change.differences)) == ("updated", ["function"])


def test_only_ours_is_removed(account: Account, s3: Stubber) -> None:
    """A bucket that is kept still notifies those who are not part of the deployment."""
    answer(s3, THEIRS, OURS)
    answer(s3, THEIRS, OURS)
    expect(s3, THEIRS)

    assert remove_notification(account, "lake/ours")


def test_a_notification_that_is_not_there_is_not_written(account: Account, s3: Stubber) -> None:
    """Without ours there is nothing to remove, whatever else the bucket has."""
    answer(s3, THEIRS)

    assert not remove_notification(account, "lake/ours")
