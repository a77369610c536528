"""CloudWatch: the alarms that notify the topic, and the dashboard."""

import json
from collections.abc import Mapping
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, remove
from deployer.resources.alarms import Alarm

ABSENT = "ResourceNotFound"
# Parameters that somebody may have set in the console; an update without them removes them.
UNSET: dict[str, Any] = {
    "DatapointsToAlarm": None,
    "ExtendedStatistic": None,
    "Statistic": None,
    "MetricName": None,
    "Metrics": None,
    "Unit": None,
    "InsufficientDataActions": [],
}


def ensure_alarm(account: Account, alarm: Alarm, topic_arn: str, tags: Mapping[str, str]) -> Change:
    """Create or update an alarm that notifies the topic; tags of others are kept."""
    cloudwatch = account.clients.cloudwatch
    actual = _read_alarm(account, alarm)
    parameters = alarm.parameters(topic_arn)
    all_tags = {**(actual or {}).get("tags", {}), **tags}
    attributes = frozenset({**parameters, **UNSET})

    def update() -> None:
        if alarm.warm_up() and _window(actual or {}) != _window(parameters):
            # It would be judged at once by the runs of another schedule: only a new alarm warms up.
            cloudwatch.delete_alarms(AlarmNames=[alarm.name])
            _create_alarm(account, alarm, parameters, all_tags)
        else:
            cloudwatch.put_metric_alarm(AlarmName=alarm.name, **parameters, **alarm.warm_up())

    return converge(
        account,
        Resource(
            kind="alarm",
            name=alarm.name,
            wanted={**UNSET, **parameters, "tags": all_tags},
            actual=actual,
            create=lambda: _create_alarm(account, alarm, parameters, tags),
            created_with=attributes | {"tags"},
            updates=[
                Update(attributes, update),
                Update(
                    frozenset({"tags"}),
                    lambda: cloudwatch.tag_resource(ResourceARN=alarm.arn, Tags=_tag_list(tags)),
                ),
            ],
        ),
    )


def _create_alarm(
    account: Account, alarm: Alarm, parameters: Mapping[str, Any], tags: Mapping[str, str]
) -> None:
    """Create an alarm that is OK, without a mail about that.

    CloudWatch would mail the way from INSUFFICIENT_DATA to OK like the end of a failure. If this is
    interrupted, the alarm is there with its actions disabled, and the next deployment enables them.
    """
    cloudwatch = account.clients.cloudwatch
    cloudwatch.put_metric_alarm(
        AlarmName=alarm.name,
        Tags=_tag_list(tags),
        **{**parameters, "ActionsEnabled": False},
        **alarm.warm_up(),
    )
    cloudwatch.set_alarm_state(AlarmName=alarm.name, StateValue="OK", StateReason="It is new.")
    cloudwatch.enable_alarm_actions(AlarmNames=[alarm.name])


def _window(parameters: Mapping[str, Any]) -> tuple[object, object]:
    return parameters.get("Period"), parameters.get("EvaluationPeriods")


def _tag_list(tags: Mapping[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def remove_alarm(account: Account, name: str) -> bool:
    """Remove an alarm; return whether it existed."""
    cloudwatch = account.clients.cloudwatch
    return remove(
        account,
        lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] or None,
        lambda: cloudwatch.delete_alarms(AlarmNames=[name]),
        ABSENT,
    )


def ensure_dashboard(
    account: Account, name: str, body: Mapping[str, Any], tags: Mapping[str, str]
) -> Change:
    """Create or update a dashboard; its tags are set when it is created, and not compared."""
    cloudwatch = account.clients.cloudwatch
    text = json.dumps(body)
    return converge(
        account,
        Resource(
            kind="dashboard",
            name=name,
            wanted={"body": body},
            actual=_read_dashboard(account, name),
            create=lambda: cloudwatch.put_dashboard(
                DashboardName=name, DashboardBody=text, Tags=_tag_list(tags)
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
    """Remove a dashboard; return whether it existed."""
    cloudwatch = account.clients.cloudwatch
    return remove(
        account,
        lambda: cloudwatch.get_dashboard(DashboardName=name),
        lambda: cloudwatch.delete_dashboards(DashboardNames=[name]),
        ABSENT,
    )


def _read_alarm(account: Account, alarm: Alarm) -> dict[str, Any] | None:
    cloudwatch = account.clients.cloudwatch
    answer = cloudwatch.describe_alarms(AlarmNames=[alarm.name], AlarmTypes=["MetricAlarm"])
    if not answer["MetricAlarms"]:
        return None
    present = cloudwatch.list_tags_for_resource(ResourceARN=alarm.arn).get("Tags", [])
    found: dict[str, Any] = {**answer["MetricAlarms"][0]}
    # AWS may return an empty list of expressions for the alarm of one metric, and an emulator a
    # default statistic for the alarm of a percentile, which cannot have both.
    metrics: dict[str, Any] = {"Metrics": found.get("Metrics") or None}
    if found.get("ExtendedStatistic"):
        metrics["Statistic"] = None
    return {**found, **metrics, "tags": {tag["Key"]: tag["Value"] for tag in present}}


def _read_dashboard(account: Account, name: str) -> dict[str, Any] | None:
    cloudwatch = account.clients.cloudwatch
    answer = found(lambda: cloudwatch.get_dashboard(DashboardName=name), ABSENT)
    return answer and {"body": json.loads(answer["DashboardBody"])}
