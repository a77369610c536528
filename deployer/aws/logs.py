"""Log groups, made before the functions so that their retention and tags are ours."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, converge, one_each
from deployer.aws.removal import remove

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import LogGroupTypeDef


def ensure_log_group(
    account: Account, name: str, retention_days: int, tags: Mapping[str, str]
) -> Change:
    """Make a log group with its retention; tags of others stay."""
    logs = account.clients.logs
    arn = f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{name}"
    group = _find(account, name)
    present = logs.list_tags_for_resource(resourceArn=arn)["tags"] if group else {}
    return converge(
        account,
        Resource(
            kind="log group",
            name=name,
            wanted={"retention": retention_days, "tags": {**present, **tags}},
            actual=group and {"retention": group.get("retentionInDays"), "tags": present},
            create=lambda: logs.create_log_group(logGroupName=name, tags=tags),
            created_with=frozenset({"tags"}),
            updates=one_each(
                {
                    "retention": lambda: logs.put_retention_policy(
                        logGroupName=name, retentionInDays=retention_days
                    ),
                    "tags": lambda: logs.tag_resource(resourceArn=arn, tags=tags),
                }
            ),
        ),
    )


def remove_log_group(account: Account, name: str) -> bool:
    """Remove a log group with its logs; return whether there was one."""
    return remove(
        account,
        lambda: _find(account, name),
        lambda: account.clients.logs.delete_log_group(logGroupName=name),
        "ResourceNotFoundException",
    )


def _find(account: Account, name: str) -> "LogGroupTypeDef | None":
    """Find a log group by its exact name: the listing goes by prefix."""
    pages = account.clients.logs.get_paginator("describe_log_groups")
    groups = (
        group
        for page in pages.paginate(logGroupNamePrefix=name)
        for group in page["logGroups"]
        if group.get("logGroupName") == name
    )
    return next(groups, None)
