"""Dashboards of CloudWatch."""

import json
from collections.abc import Mapping
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge
from deployer.aws.reading import found
from deployer.aws.removal import remove

ABSENT = "ResourceNotFound"

Body = Mapping[str, Any]


def ensure_dashboard(account: Account, name: str, body: Body, tags: Mapping[str, str]) -> Change:
    """Make a dashboard; its tags are given to it at the start and not compared."""
    cloudwatch = account.clients.cloudwatch
    text = json.dumps(body)
    tag_list: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    return converge(
        account,
        Resource(
            kind="dashboard",
            name=name,
            wanted={"body": body},
            actual=_read(account, name),
            create=lambda: cloudwatch.put_dashboard(
                DashboardName=name, DashboardBody=text, Tags=tag_list
            ),
            created_with=frozenset({"body"}),
            updates=[
                Update(
                    frozenset({"body"}),
                    lambda: cloudwatch.put_dashboard(DashboardName=name, DashboardBody=text),
                )
            ],
        ),
    )


def remove_dashboard(account: Account, name: str) -> bool:
    """Remove a dashboard; return whether there was one."""
    cloudwatch = account.clients.cloudwatch
    return remove(
        account,
        lambda: cloudwatch.get_dashboard(DashboardName=name),
        lambda: cloudwatch.delete_dashboards(DashboardNames=[name]),
        ABSENT,
    )


def _read(account: Account, name: str) -> dict[str, Any] | None:
    cloudwatch = account.clients.cloudwatch
    answer = found(lambda: cloudwatch.get_dashboard(DashboardName=name), ABSENT)
    return answer and {"body": json.loads(answer["DashboardBody"])}
