"""Who may do what: the trust policy of the roles, the policy of each function, of each bucket.

Pure functions of the names. Every statement names its actions, and its resources down to the
prefix; a call that a function does not make is not allowed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer import specs
from deployer.names import BucketUse, FunctionUse, Names, SecretUse

Policy = Mapping[str, Any]

SOURCE_TABLES = (
    "address",
    "counterparty",
    "currency",
    "department",
    "design",
    "payment",
    "payment_type",
    "purchase_order",
    "sales_order",
    "staff",
    "transaction",
)
LAKE_TABLES = tuple(f"{specs.SOURCE}/{name}" for name in SOURCE_TABLES)
# dim_date has no rows of its own in a batch: load extends it from the dates of the facts.
STAR_TABLES = (
    "dim_counterparty",
    "dim_currency",
    "dim_design",
    "dim_location",
    "dim_payment_type",
    "dim_staff",
    "dim_transaction",
    "fact_payment",
    "fact_purchase_order",
    "fact_sales_order",
)


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


def function_policy(use: FunctionUse, names: Names, *, writes_notices: bool = False) -> Policy:
    """Return the least that a function needs."""
    own = {
        "extract": _extract,
        "transform": _transform,
        "load": _load,
        "reconcile": _reconcile,
    }
    notices = [_allow("sns:Publish", names.topic_arn)] if writes_notices else []
    return _policy(*own[use](names), *notices, *_common(use, names))


def _extract(names: Names) -> list[Policy]:
    lake = (*LAKE_TABLES, "tombstones", "batches", "keys")
    return [
        _read_secret("source", names),
        _objects("s3:GetObject", "ingestion", lake, names),  # the tables only for a replay
        _objects("s3:PutObject", "ingestion", lake, names),
        _list("ingestion", ("batches",), names),
    ]


def _transform(names: Names) -> list[Policy]:
    kept = ("batches", "quarantine")
    # What no manifest names is listed and removed; manifests and markers never are.
    lake = (*LAKE_TABLES, "tombstones", "keys")
    stars = (*STAR_TABLES, "tombstones", "quarantine")
    return [
        _objects("s3:GetObject", "ingestion", (*LAKE_TABLES, "tombstones", "batches"), names),
        _list("ingestion", ("batches", *lake), names),
        _objects("s3:DeleteObject", "ingestion", lake, names),
        _objects("s3:GetObject", "processed", kept, names),
        _objects("s3:PutObject", "processed", (*STAR_TABLES, "tombstones", "swept", *kept), names),
        _list("processed", ("batches", "swept", *stars), names),
        _objects("s3:DeleteObject", "processed", stars, names),
    ]


def _load(names: Names) -> list[Policy]:
    kept = ("loaded", "refused")
    return [
        _read_secret("warehouse", names),
        _objects(
            "s3:GetObject", "processed", (*STAR_TABLES, "tombstones", "batches", *kept), names
        ),
        _objects("s3:PutObject", "processed", kept, names),
        _list("processed", ("batches", "loaded"), names),
    ]


def _reconcile(names: Names) -> list[Policy]:
    return [
        _read_secret("source", names),
        _read_secret("warehouse", names),
        _objects("s3:GetObject", "ingestion", ("batches", "keys"), names),
        _list("ingestion", ("batches",), names),
        _objects(
            "s3:GetObject", "processed", ("batches", "loaded", "quarantine", "tombstones"), names
        ),
        _list("processed", ("loaded", "tombstones"), names),
    ]


def _common(use: FunctionUse, names: Names) -> list[Policy]:
    """Let a function write its log, and Lambda hand on what failed for good in its name."""
    streams = f"{names.log_group_arn(use)}:*"
    keeper = [_allow("sqs:SendMessage", names.queue_arn)] if use in specs.KEEPS_FAILED else []
    return [_allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams), *keeper]


def _read_secret(use: SecretUse, names: Names) -> Policy:
    return _allow("secretsmanager:GetSecretValue", names.secret_arn(use))


def _objects(action: str, bucket: BucketUse, prefixes: Sequence[str], names: Names) -> Policy:
    return _allow(action, [f"{names.bucket_arn(bucket)}/{prefix}/*" for prefix in prefixes])


def _list(bucket: BucketUse, prefixes: Sequence[str], names: Names) -> Policy:
    condition = {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in prefixes]}}
    return {**_allow("s3:ListBucket", names.bucket_arn(bucket)), "Condition": condition}


def _allow(action: str | list[str], resource: str | list[str]) -> Policy:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
