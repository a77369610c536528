"""The policies of buckets and of the topic, whole: each word of them is a right."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.resource_policies import (
    Policy,
    alarms_only,
    bucket_policy,
    senders_only,
    trust_policy,
)
from etl.loading import load

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
BUCKETS = "arn:aws:s3:::shop-dev-123456789012-eu-west-2"


def statements(policy: Policy) -> dict[str, Policy]:
    """Return the statements of a policy by their names."""
    return {statement["Sid"]: statement for statement in policy["Statement"]}


@pytest.mark.parametrize("use", ["code", "drop", "ingestion", "processed"])
def test_a_bucket_and_all_that_is_in_it_is_reached_by_tls_alone(use: BucketUse) -> None:
    """Neither a listing nor an object crosses a network in the clear, whoever asks for it."""
    assert statements(bucket_policy(use, NAMES))["TlsOnly"] == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"{BUCKETS}-{use}", f"{BUCKETS}-{use}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


@pytest.mark.parametrize(
    ("use", "what"),
    [
        ("ingestion", {"Resource": f"{BUCKETS}-ingestion/*"}),
        (
            "processed",
            {
                "NotResource": [
                    f"{BUCKETS}-processed/{prefix}/*" for prefix in ("errors", "exports", "page")
                ]
            },
        ),
    ],
)
def test_what_functions_read_again_is_written_once(use: BucketUse, what: dict[str, object]) -> None:
    """No upload replaces an object of the log; what is for people is replaced by what is newer."""
    assert statements(bucket_policy(use, NAMES))["WrittenOnce"] == {
        "Sid": "WrittenOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        **what,
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }


@pytest.mark.parametrize("use", ["code", "drop"])
def test_files_of_others_may_be_replaced(use: BucketUse) -> None:
    """A file is dropped again under its name, and a layer built again."""
    assert list(statements(bucket_policy(use, NAMES))) == ["TlsOnly"]


def test_only_our_alarms_publish() -> None:
    """Neither another service nor another deployment's alarm sends mail as this one."""
    assert statements(alarms_only(NAMES)) == {
        "AlarmsOnly": {
            "Sid": "AlarmsOnly",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": "arn:aws:sns:eu-west-2:123456789012:shop-dev-alerts",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnLike": {
                    "aws:SourceArn": "arn:aws:cloudwatch:eu-west-2:123456789012:alarm:shop-dev-*"
                },
            },
        }
    }


def test_only_lambda_acts_in_a_role() -> None:
    """A role is for Lambda on behalf of this account, and for nobody else."""
    assert trust_policy(NAMES)["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        }
    ]


@pytest.mark.parametrize(
    ("lists", "uses"), [([False], ["receive"]), ([True, False], ["receive", "reconcile"])]
)
def test_events_are_queued_by_receive_and_by_who_fetches_missed_ones(
    lists: list[bool], uses: list[FunctionUse]
) -> None:
    """Nobody else puts an event there that no provider signed."""
    [listed] = load("stripe").events
    events = [listed if each else replace(listed, missed=None) for each in lists]
    declared: Any = SimpleNamespace(events=events)
    roles = [NAMES.role_arn(use) for use in uses]
    session = "arn:aws:sts::123456789012:assumed-role"

    assert senders_only(NAMES, declared)["Statement"] == [
        {
            "Sid": "SendersOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": NAMES.events_queue_arn,
            "Condition": {
                "ArnNotLike": {
                    "aws:PrincipalArn": [
                        *roles,
                        *(f"{session}/{NAMES.role(use)}/*" for use in uses),
                    ]
                },
                "BoolIfExists": {"aws:ViaAWSService": "false"},
            },
        }
    ]
