"""Log groups, created before the functions, which would create them without retention and tags."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, converge, found, one_each, remove

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import LogGroupTypeDef

ABSENT = "ResourceNotFoundException"


def ensure_log_group(
    account: Account,
    name: str,
    retention_days: int,
    tags: Mapping[str, str],
    *,
    key: str | None = None,
) -> Change:
    """Create or update a log group with its retention; tags of others are kept.

    It is encrypted by the `key` with an ARN, or as CloudWatch does by itself.
    """
    logs = account.clients.logs
    arn = f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{name}"
    group = _find(account, name)
    by_key: Any = {"kmsKeyId": key} if key else {}
    present = logs.list_tags_for_resource(resourceArn=arn)["tags"] if group else {}
    return converge(
        account,
        Resource(
            kind="log group",
            name=name,
            wanted={
                "retention": retention_days,
                **({"key": key} if key else {}),
                "tags": {**present, **tags},
            },
            actual=group
            and {
                "retention": group.get("retentionInDays"),
                "key": group.get("kmsKeyId"),
                "tags": present,
            },
            create=lambda: logs.create_log_group(logGroupName=name, tags=tags, **by_key),
            created_with=frozenset({"key", "tags"}),
            updates=one_each(
                {
                    "retention": lambda: logs.put_retention_policy(
                        logGroupName=name, retentionInDays=retention_days
                    ),
                    "key": lambda: logs.associate_kms_key(logGroupName=name, **by_key),
                    "tags": lambda: logs.tag_resource(resourceArn=arn, tags=tags),
                }
            ),
        ),
    )


def remove_log_group(account: Account, name: str) -> bool:
    """Remove a log group with its logs; return whether it existed."""
    return remove(
        account,
        lambda: _find(account, name),
        lambda: account.clients.logs.delete_log_group(logGroupName=name),
        ABSENT,
    )


def running_requests(account: Account, log_group: str, since: float) -> frozenset[str]:
    """Return the ids of requests that a function began after `since` and has not ended.

    `since` in seconds of the epoch. Lambda writes a START line when an invocation begins and a
    REPORT line when it has ended, both some seconds late: an empty answer is no proof.
    """
    pages = account.clients.logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group, startTime=int(since * 1000), filterPattern='"RequestId:"'
    )
    messages = found(
        lambda: [event.get("message", "") for page in pages for event in page["events"]], ABSENT
    )
    started, ended = _request_ids(messages or [], "START"), _request_ids(messages or [], "REPORT")
    return started - ended


def how_it_ended(account: Account, log_group: str, request: str, since: float) -> str | None:
    """Return what Lambda reports of a request after its end, None before, or as long as it is late.

    `since` in seconds of the epoch, such as when it began.
    """
    pages = account.clients.logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group, startTime=int(since * 1000), filterPattern=f'"{request}"'
    )
    messages = found(
        lambda: [event.get("message", "") for page in pages for event in page["events"]], ABSENT
    )
    reports = [each for each in messages or [] if each.startswith(f"REPORT RequestId: {request}")]
    return " ".join(reports[-1].split()) if reports else None


def _find(account: Account, name: str) -> "LogGroupTypeDef | None":
    """Return the log group of exactly this name: AWS lists by prefix."""
    pages = account.clients.logs.get_paginator("describe_log_groups")
    groups = (
        group
        for page in pages.paginate(logGroupNamePrefix=name)
        for group in page["logGroups"]
        if group.get("logGroupName") == name
    )
    return next(groups, None)


def _request_ids(messages: list[str], line: str) -> frozenset[str]:
    """Return the ids of lines such as `START RequestId: 8476... Version: $LATEST`."""
    words = (message.split() for message in messages)
    return frozenset(w[2] for w in words if w[:2] == [line, "RequestId:"] and len(w) > 2)
