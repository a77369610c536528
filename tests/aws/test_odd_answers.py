"""Answers of AWS that are easily misread, each as AWS gives it and where it must lead."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from deployer.aws import lambda_functions, logs, s3, s3_notifications, secrets
from deployer.aws import schedules as events
from deployer.aws.account import Account, connect
from deployer.aws.changes import Change
from deployer.errors import AwsError, ConflictError, SettingsError
from deployer.packaging.packages import Package
from tests.aws.faults import stubbed
from tests.aws.sandbox import Sandbox

ARN = "arn:aws:lambda:eu-west-2:123456789012:function:load"
TAGS = {"stage": "dev"}
FUNCTION = lambda_functions.Function(
    name="load",
    description="",
    handler="functions.load.handler.handler",
    runtime="python3.13",
    architecture="arm64",
    memory=1024,
    timeout=900,
    role_arn="arn:aws:iam::123456789012:role/load",
    layers=(),
    network=None,
    kms_key=None,
    environment={},
    code=Package(b"zip", "c2hh"),
    concurrency=None,
    retries=0,
    event_age=60,
    failed_events_arn="arn:aws:sqs:eu-west-2:123456789012:failed",
    tags=TAGS,
)


@pytest.mark.parametrize(("head", "create"), [("404", "BucketAlreadyExists"), ("403", None)])
def test_a_bucket_name_of_somebody_else_stops(
    account: Account, head: str, create: str | None
) -> None:
    """A bucket that belongs to another account is never written to."""
    with stubbed(account.clients.s3) as stubber:
        stubber.add_client_error("head_bucket", head, http_status_code=int(head))
        if create:
            stubber.add_client_error("create_bucket", create)
        with pytest.raises(ConflictError) as caught:
            s3.ensure_bucket(account, "taken", None, TAGS)

    assert str(caught.value) == (
        "bucket taken: the name belongs to somebody else. Choose another PROJECT or STAGE, or ask "
        "for access to it (s3:ListBucket)."
    )


def test_an_unexpected_answer_is_not_taken_for_an_absence(account: Account) -> None:
    """A read that fails for another reason than "not found" does not lead to a write."""
    with stubbed(account.clients.s3) as stubber:
        stubber.add_client_error("head_bucket", "400", http_status_code=400)
        with pytest.raises(ClientError, match="400"):
            s3.ensure_bucket(account, "ours", None, TAGS)
    with stubbed(account.clients.events) as stubber:
        stubber.add_client_error("describe_rule", "InternalException")
        with pytest.raises(ClientError, match="InternalException"):
            events.ensure_rule(account, "ours", ARN, "rate(1 day)", TAGS)


def test_a_target_can_fail_inside_a_success(account: Account) -> None:
    """An entry that EventBridge refuses in a 200 answer is an error with its reason."""
    with stubbed(account.clients.events) as stubber:
        stubber.add_response("list_targets_by_rule", {})
        stubber.add_response(
            "put_targets",
            {
                "FailedEntryCount": 1,
                "FailedEntries": [
                    {
                        "TargetId": "function",
                        "ErrorCode": "ConcurrentModificationException",
                        "ErrorMessage": "Rule every-minute was modified.",
                    }
                ],
            },
        )
        with pytest.raises(AwsError) as caught:
            events.ensure_target(account, "every-minute", ARN)

    assert str(caught.value) == (
        "rule every-minute: its target was not set (ConcurrentModificationException): Rule "
        "every-minute was modified. Run again."
    )


def test_a_secret_that_waits_for_its_deletion_is_restored(account: Account) -> None:
    """A deployment after a teardown takes the old secret back and gives it its new value."""
    value = {"host": "db.example.com"}
    with stubbed(account.clients.secrets) as stubber:
        stubber.add_response(
            "describe_secret",
            {
                "Name": "totesys-etl/dev/source",
                "DeletedDate": datetime(2025, 1, 1, tzinfo=UTC),
                "Tags": [{"Key": "stage", "Value": "dev"}],
            },
        )
        stubber.add_response("restore_secret", {}, {"SecretId": "totesys-etl/dev/source"})
        stubber.add_response(
            "put_secret_value",
            {},
            {"SecretId": "totesys-etl/dev/source", "SecretString": json.dumps(value)},
        )
        change = secrets.ensure_secret(account, "totesys-etl/dev/source", value, TAGS)

    assert change == Change(
        "secret",
        "totesys-etl/dev/source",
        "updated",
        {"scheduled for deletion": (True, False), "value": ("(hidden)", "(hidden)")},
    )


def test_a_longer_name_is_another_log_group(account: Account) -> None:
    """The listing of log groups goes by prefix: a namesake's start is not the group."""
    account.clients.logs.create_log_group(logGroupName="/aws/lambda/load-old")

    change = logs.ensure_log_group(account, "/aws/lambda/load", 14, TAGS)

    assert change.action == "created"


def test_a_function_is_ready_when_its_update_is(account: Account, sleeps: list[float]) -> None:
    """An active function without an update status is still being made."""
    with stubbed(account.clients.lambda_) as stubber:
        stubber.add_client_error("get_function", "ResourceNotFoundException")
        stubber.add_response("create_function", {})
        for state in (
            {"State": "Pending", "StateReasonCode": "Creating"},
            {"State": "Active"},
            {"State": "Active", "LastUpdateStatus": "InProgress"},
            {"State": "Active", "LastUpdateStatus": "Successful"},
        ):
            stubber.add_response("get_function_configuration", state)
        stubber.add_response("put_function_event_invoke_config", {})
        lambda_functions.ensure_function(account, ARN, FUNCTION)

    assert sleeps == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    "answer",
    [
        {
            "State": "Failed",
            "StateReasonCode": "InvalidSecurityGroup",
            "StateReason": "The group is gone.",
        },
        {
            "State": "Active",
            "LastUpdateStatus": "Failed",
            "LastUpdateStatusReasonCode": "InvalidSecurityGroup",
            "LastUpdateStatusReason": "The group is gone.",
        },
    ],
)
def test_a_function_that_fails_says_why(account: Account, answer: dict[str, str]) -> None:
    """A function that AWS cannot make ready ends the deployment with the reason of AWS."""
    with stubbed(account.clients.lambda_) as stubber:
        stubber.add_client_error("get_function", "ResourceNotFoundException")
        stubber.add_response("create_function", {})
        stubber.add_response("get_function_configuration", answer)
        with pytest.raises(AwsError) as caught:
            lambda_functions.ensure_function(account, ARN, FUNCTION)

    assert str(caught.value) == (
        "function load: AWS could not make it ready (InvalidSecurityGroup): The group is gone."
    )


@pytest.mark.parametrize("prefix", ["", "bat", "batches/", "batches/0"])
def test_an_overlapping_notification_is_named(account: Account, prefix: str) -> None:
    """S3 says of an overlap what it says of a late permission; we say what it is, at once."""
    ours = s3_notifications.Notification("ours", "bucket", "batches/", ARN)
    with stubbed(account.clients.s3) as stubber:
        stubber.add_response(
            "get_bucket_notification_configuration",
            {
                "TopicConfigurations": [
                    {
                        "Id": "theirs",
                        "TopicArn": "arn:aws:sns:eu-west-2:123456789012:theirs",
                        "Events": ["s3:ObjectCreated:Put"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": prefix}]}},
                    }
                ]
            },
        )
        with pytest.raises(ConflictError) as caught:
            s3_notifications.ensure_notification(account, ours)

    assert str(caught.value) == (
        f"bucket bucket: its notification 'theirs' for the prefix {prefix!r} overlaps with ours "
        "for 'batches/', which S3 does not allow. Remove it or change its prefix, then run again."
    )


def test_plain_http_needs_no_tls_only_policy(sandbox: Sandbox) -> None:
    """An emulator without TLS gets buckets that can be used; everything else is the same."""
    sandbox.account = replace(sandbox.account, endpoint="http://127.0.0.1:4566")

    change = sandbox.deployer().create_bucket("ingestion")

    assert sorted(change.differences) == [
        "encryption",
        "lifecycle",
        "public access block",
        "tags",
        "versioning",
    ]


def test_a_tls_only_policy_goes_when_it_cannot_be_met(sandbox: Sandbox) -> None:
    """A bucket of an emulator that once spoke TLS is usable without it after a deployment."""
    sandbox.deployer().create_bucket("ingestion")
    sandbox.account = replace(sandbox.account, endpoint="http://127.0.0.1:4566")

    change = sandbox.deployer().create_bucket("ingestion")

    assert (change.action, list(change.differences)) == ("updated", ["policy"])
    assert sandbox.deployer().create_bucket("ingestion").action == "left"


def test_an_emulator_gets_functions_for_this_machine(sandbox: Sandbox) -> None:
    """The zips for an emulator are for the Python that is running, whatever the settings say."""
    sandbox.account = replace(sandbox.account, endpoint="http://localhost:4566")

    sandbox.deploy()

    function = sandbox.account.clients.lambda_.get_function(FunctionName="totesys-etl-dev-load")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert function["Configuration"].get("Runtime") == version


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "AWS_REGION is not set. Example: AWS_REGION=eu-west-2"),
        (
            {"AWS_REGION": "eu-west-2", "AWS_ENDPOINT_URL": "http://aws.example.com"},
            "AWS_ENDPOINT_URL must be https. Example: AWS_ENDPOINT_URL=https://aws.example.com",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "nobody"},
            (
                "AWS_PROFILE or AWS_ACCESS_KEY_ID cannot be used: "
                "The config profile (nobody) could not be found"
            ),
        ),
    ],
)
def test_an_account_is_named_completely(
    aws: None, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], problem: str
) -> None:
    """No region, no such profile, an endpoint that secrets would reach in the clear: refused."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

    with pytest.raises(SettingsError) as caught:
        connect({**keys, **environment})

    assert str(caught.value) == problem
