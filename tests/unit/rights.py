"""The statements of a function's policy, written in lines, to compare whole policies with.

`read ingestion: a b` allows to get the objects of the ingestion bucket under the prefixes `a/` and
`b/`, `write`, `remove` and `abort` likewise; `list` is limited to prefixes; `files` are those of
a bucket, in every version, or below a path; `TABLES` are the target tables.
"""

from typing import Any

from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.resource_policies import Policy
from etl.pipeline import RESERVED

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
_BUCKETS: tuple[BucketUse, ...] = ("ingestion", "processed", "drop")
_ACTIONS = {
    "read": "s3:GetObject",
    "write": "s3:PutObject",
    "remove": "s3:DeleteObject",
    "abort": "s3:AbortMultipartUpload",
}


def expected(lines: str, use: FunctionUse, tables: list[str]) -> list[Policy]:
    """Return the statements that lines stand for, and those of each function."""
    found = [each for line in lines.strip().splitlines() for each in _statements(line, tables)]
    streams = f"{NAMES.log_group_arn(use)}:*"
    log = allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams)
    failed = [allow("sqs:SendMessage", NAMES.queue_arn)] if use == "transform" else []
    outcomes = {"extract": "ingestion"} | dict.fromkeys(
        ("transform", "load", "reconcile", "page", "lake"), "processed"
    )
    if use in outcomes:
        failed += _statements(f"write {outcomes[use]}: runs/{use}", [])
    return [*found, log, *failed]


def _statements(line: str, tables: list[str]) -> list[Policy]:
    """Return what a line stands for."""
    words, _, rest = line.strip().partition(":")
    names = rest.replace("TABLES", " ".join(tables)).split()
    what, _, where = words.partition(" ")
    buckets = {each: NAMES.bucket_arn(each) for each in _BUCKETS}
    arn = buckets.get(where, "arn:aws:s3:::their-bucket")  # type: ignore[call-overload]
    match what:
        case "list":
            prefixes = {"StringLike": {"s3:prefix": [f"{name}/*" for name in names]}}
            return [allow("s3:ListBucket", arn, Condition=prefixes)]
        case "files":
            under = names[0] if names else ""
            limit = {"Condition": {"StringLike": {"s3:prefix": [f"{under}*"]}}} if under else {}
            return [
                allow(["s3:ListBucket", "s3:ListBucketVersions"], arn, **limit),
                allow(["s3:GetObject", "s3:GetObjectVersion"], f"{arn}/{under}*"),
            ]
        case "secrets":
            secrets = [NAMES.secret_arn(name) for name in names]
            return [allow("secretsmanager:GetSecretValue", secrets)]
        case "glue":
            return [allow([f"glue:{name}" for name in names], NAMES.lake_arns)]
        case "queue":
            return [allow(["sqs:SendMessage", "sqs:GetQueueAttributes"], NAMES.events_queue_arn)]
    allowed = allow(_ACTIONS[what], [f"{arn}/{name}/*" for name in names])
    outcomes = {"runs"} if what == "write" else set()
    others = [f"{arn}/{name}/*" for name in sorted(RESERVED - outcomes - set(names))]
    denied = {"Effect": "Deny", "Action": _ACTIONS[what], "Resource": others}
    return [allowed, denied] if "*" in names else [allowed]


def allow(action: str | list[str], resource: str | list[str], **more: Any) -> Policy:
    """Return a statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}
