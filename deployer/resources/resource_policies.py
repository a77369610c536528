"""Policies of resources: who may assume a role, or write to a bucket, a topic or a queue.

Pure functions of the names and of the pipeline's declaration.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.resources.names import BucketUse, FunctionUse, Names
from etl.pipeline import Pipeline

Policy = Mapping[str, Any]

# Prefixes of the processed bucket that people read: their objects may be overwritten.
FOR_PEOPLE = ("errors", "exports", "page")
WRITTEN_ONCE: Mapping[BucketUse, tuple[str, ...]] = {"ingestion": (), "processed": FOR_PEOPLE}


def trust_policy(names: Names) -> Policy:
    """Let Lambda assume a role, for this account only.

    Without aws:SourceArn: Lambda has to assume the role before the function exists.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return policy_of(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
        }
    )


def bucket_policy(use: BucketUse, names: Names) -> Policy:
    """Deny requests without TLS and, for data that functions read, overwriting."""
    arn = names.bucket_arn(use)
    statements = [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if use in WRITTEN_ONCE:
        statements.append(_written_once(arn, WRITTEN_ONCE[use]))
    return policy_of(*statements)


def _written_once(bucket_arn: str, but: Sequence[str]) -> dict[str, Any]:
    """Deny uploads, by anybody, without the condition that the key does not exist.

    The parts of a multipart upload carry no condition, the call that completes it does.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    others = {"NotResource": [f"{bucket_arn}/{prefix}/*" for prefix in but]}
    return {
        "Sid": "WrittenOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        **(others if but else {"Resource": f"{bucket_arn}/*"}),
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }


def alarms_only(names: Names) -> Policy:
    """Let the alarms of this deployment, and no other service, publish to its topic."""
    return policy_of(
        {
            "Sid": "AlarmsOnly",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": names.topic_arn,
            "Condition": {
                "StringEquals": {"aws:SourceAccount": names.account},
                "ArnLike": {"aws:SourceArn": names.alarm_arn("*")},
            },
        }
    )


def senders_only(names: Names, declared: Pipeline) -> Policy:
    """Deny sending to the queue of events, except to receive, and to reconcile if it fetches some.

    So every event in it was signed, or fetched from the provider. A redrive from the dead-letter
    queue is not denied.
    """
    uses: list[FunctionUse] = ["receive"]
    if any(source.missed for source in declared.events):
        uses.append("reconcile")
    session = f"arn:{names.partition}:sts::{names.account}:assumed-role"
    senders = [names.role_arn(use) for use in uses]
    senders += [f"{session}/{names.role(use)}/*" for use in uses]
    return policy_of(
        {
            "Sid": "SendersOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": names.events_queue_arn,
            "Condition": {
                # On AWS this is the session's role, on an emulator the session.
                "ArnNotLike": {"aws:PrincipalArn": senders},
                "BoolIfExists": {"aws:ViaAWSService": "false"},
            },
        }
    )


def policy_of(*statements: Policy) -> Policy:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str | list[str], resource: str | list[str]) -> Policy:
    """Return a statement that allows actions on resources."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}
