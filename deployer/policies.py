"""Who may do what: the trust policy of the roles, the policy of each function, of each bucket.

Pure functions of the names and of the pipeline's declaration. Every statement names its actions,
and its resources down to the prefix; a call that a function does not make is not allowed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from deployer import specs
from deployer.names import BucketUse, FunctionUse, Names
from etl.pipeline import RESERVED, Pipeline

Policy = Mapping[str, Any]

ALL = "*"
# Of all inline policies of a role, without white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
POLICY_CHARACTERS = 10_240


def trust_policy(names: Names) -> Policy:
    """Let Lambda act in a role, for this account alone.

    Not aws:SourceArn: Lambda has to assume the role before the function is there.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
        }
    )


def bucket_policy(use: BucketUse, names: Names) -> Policy:
    """Refuse what is not encrypted on its way and, where functions write, what overwrites."""
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
    if use != "code":
        statements.append(_written_once(arn))
    return _policy(*statements)


def _written_once(bucket_arn: str) -> dict[str, Any]:
    """Refuse uploads that do not ask S3 to fail if the key is taken, whoever sends them.

    Parts of an upload carry no condition, the call that completes it does.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
    """
    return {
        "Sid": "WrittenOnce",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{bucket_arn}/*",
        "Condition": {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        },
    }


def alarms_only(names: Names) -> Policy:
    """Let the alarms of this deployment publish to its topic, and no other service."""
    return _policy(
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


def function_policy(
    use: FunctionUse, names: Names, declared: Pipeline, *, writes_notices: bool = False
) -> Policy:
    """Return the least that a function needs.

    In the processed bucket that is a prefix for each target table. Where so many are more than a
    role may have, it is all prefixes but those that are for something else.
    """
    own = {
        "extract": _extract,
        "transform": _transform,
        "load": _load,
        "reconcile": _reconcile,
    }
    notices = [_allow("sns:Publish", names.topic_arn)] if writes_notices else []
    rest = [*_secrets(use, names, declared), *notices, *_common(use, names)]
    sources = [source.name for source in declared.sources]
    tables = [table.id for target in declared.targets for table in target.tables]
    policy = _policy(*own[use](names, sources, tables), *rest)
    if len(json.dumps(policy, separators=(",", ":"))) <= POLICY_CHARACTERS:
        return policy
    return _policy(*own[use](names, sources, [ALL]), *rest)


def _extract(names: Names, sources: list[str], tables: list[str]) -> list[Policy]:
    lake = [*sources, "tombstones", "batches", "keys"]
    return [
        *_objects("s3:GetObject", "ingestion", lake, names),  # the rows only for a replay
        *_objects("s3:PutObject", "ingestion", lake, names),
        *_list("ingestion", ["batches"], names),
    ]


def _transform(names: Names, sources: list[str], tables: list[str]) -> list[Policy]:
    kept = ["batches", "quarantine"]
    # What no manifest names is listed and removed; manifests and markers never are.
    lake = [*sources, "tombstones", "keys"]
    stars = [*tables, "tombstones", "quarantine"]
    return [
        *_objects("s3:GetObject", "ingestion", [*sources, "tombstones", "batches"], names),
        *_list("ingestion", ["batches", *lake], names),
        *_objects("s3:DeleteObject", "ingestion", lake, names),
        *_objects("s3:GetObject", "processed", kept, names),
        *_objects("s3:PutObject", "processed", [*tables, "tombstones", "swept", *kept], names),
        *_list("processed", ["batches", "swept", *stars], names),
        *_objects("s3:DeleteObject", "processed", stars, names),
    ]


def _load(names: Names, sources: list[str], tables: list[str]) -> list[Policy]:
    kept = ["loaded", "refused"]
    return [
        *_objects("s3:GetObject", "processed", [*tables, "tombstones", "batches", *kept], names),
        *_objects("s3:PutObject", "processed", kept, names),
        *_list("processed", ["batches", "loaded"], names),
    ]


def _reconcile(names: Names, sources: list[str], tables: list[str]) -> list[Policy]:
    kept = ["batches", "loaded", "quarantine", "tombstones"]
    return [
        *_objects("s3:GetObject", "ingestion", ["batches", "keys"], names),
        *_list("ingestion", ["batches"], names),
        *_objects("s3:GetObject", "processed", kept, names),
        *_list("processed", ["loaded", "tombstones"], names),
    ]


def _common(use: FunctionUse, names: Names) -> list[Policy]:
    """Let a function write its log, and Lambda hand on what failed for good in its name."""
    streams = f"{names.log_group_arn(use)}:*"
    keeper = [_allow("sqs:SendMessage", names.queue_arn)] if use in specs.KEEPS_FAILED else []
    return [_allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams), *keeper]


def _secrets(use: FunctionUse, names: Names, declared: Pipeline) -> list[Policy]:
    arns = [names.secret_arn(part.name) for part in specs.databases(use, declared)]
    return [_allow("secretsmanager:GetSecretValue", arns)] if arns else []


def _objects(action: str, bucket: BucketUse, prefixes: Sequence[str], names: Names) -> list[Policy]:
    """Allow an action on the objects under prefixes; ALL are all but the other reserved ones."""
    arn = names.bucket_arn(bucket)
    allowed = _allow(action, [f"{arn}/{prefix}/*" for prefix in prefixes])
    if ALL not in prefixes:
        return [allowed]
    others = [f"{arn}/{prefix}/*" for prefix in sorted(RESERVED - set(prefixes))]
    return [allowed, {"Effect": "Deny", "Action": action, "Resource": others}]


def _list(bucket: BucketUse, prefixes: Sequence[str], names: Names) -> list[Policy]:
    condition = {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in prefixes]}}
    return [{**_allow("s3:ListBucket", names.bucket_arn(bucket)), "Condition": condition}]


def _allow(action: str | list[str], resource: str | list[str]) -> Policy:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
