"""Alarms: one metric and one threshold each, told to the topic when it rings and when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deployer.account import Account
from deployer.changes import Change, Resource, Update, converge
from deployer.removal import remove

PERIOD_SECONDS = 300
# What a hand at the console might add; putting an alarm without them takes them away.
UNSET: dict[str, Any] = {
    "DatapointsToAlarm": None,
    "ExtendedStatistic": None,
    "Unit": None,
    "InsufficientDataActions": [],
}


@dataclass(frozen=True)
class Alarm:
    """Rings when a metric was above, or below, a threshold for a number of periods in a row.

    `dimension` is the one name and value that the metric has. `missing` says what a period without
    any data counts as.
    """

    name: str
    arn: str
    description: str
    namespace: str
    metric: str
    dimension: tuple[str, str]
    statistic: Literal["Maximum", "SampleCount", "Sum"]
    threshold: float = 0.0
    is_low: bool = False
    periods: int = 1
    missing: Literal["breaching", "notBreaching"] = "notBreaching"

    def parameters(self, topic_arn: str) -> dict[str, Any]:
        """Return what AWS is given, by the names that it has for it."""
        name, value = self.dimension
        return {
            "AlarmDescription": self.description,
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": [{"Name": name, "Value": value}],
            "Statistic": self.statistic,
            "Period": PERIOD_SECONDS,
            "EvaluationPeriods": self.periods,
            "Threshold": self.threshold,
            "ComparisonOperator": "LessThanThreshold" if self.is_low else "GreaterThanThreshold",
            "TreatMissingData": self.missing,
            "ActionsEnabled": True,
            "AlarmActions": [topic_arn],
            "OKActions": [topic_arn],
        }


def ensure_alarm(account: Account, alarm: Alarm, topic_arn: str, tags: Mapping[str, str]) -> Change:
    """Make an alarm that tells the topic; tags of others stay."""
    cloudwatch = account.clients.cloudwatch
    actual = _read(account, alarm)
    parameters = alarm.parameters(topic_arn)
    tag_list: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    attributes = frozenset({**parameters, **UNSET})
    return converge(
        account,
        Resource(
            kind="alarm",
            name=alarm.name,
            wanted={
                **parameters,
                **UNSET,
                "tags": {**(actual or {}).get("tags", {}), **tags},
            },
            actual=actual,
            create=lambda: cloudwatch.put_metric_alarm(
                AlarmName=alarm.name, Tags=tag_list, **parameters
            ),
            created_with=attributes | {"tags"},
            updates=[
                Update(
                    attributes,
                    lambda: cloudwatch.put_metric_alarm(AlarmName=alarm.name, **parameters),
                ),
                Update(
                    frozenset({"tags"}),
                    lambda: cloudwatch.tag_resource(ResourceARN=alarm.arn, Tags=tag_list),
                ),
            ],
        ),
    )


def remove_alarm(account: Account, name: str) -> bool:
    """Remove an alarm; return whether there was one."""
    cloudwatch = account.clients.cloudwatch
    return remove(
        account,
        lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] or None,
        lambda: cloudwatch.delete_alarms(AlarmNames=[name]),
        "ResourceNotFound",
    )


def _read(account: Account, alarm: Alarm) -> dict[str, Any] | None:
    cloudwatch = account.clients.cloudwatch
    answer = cloudwatch.describe_alarms(AlarmNames=[alarm.name], AlarmTypes=["MetricAlarm"])
    if not answer["MetricAlarms"]:
        return None
    present = cloudwatch.list_tags_for_resource(ResourceARN=alarm.arn).get("Tags", [])
    return {**answer["MetricAlarms"][0], "tags": {tag["Key"]: tag["Value"] for tag in present}}
