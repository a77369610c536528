"""Alarms: one metric and one threshold each, published to the topic when it rings and ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge
from deployer.aws.removal import remove
from deployer.resources.names import Names

PERIOD_SECONDS = 300
# Parameters that somebody might add in the console; putting an alarm without them removes them.
UNSET: dict[str, Any] = {
    "DatapointsToAlarm": None,
    "ExtendedStatistic": None,
    "Statistic": None,
    "MetricName": None,
    "Metrics": None,
    "Unit": None,
    "InsufficientDataActions": [],
}


@dataclass(frozen=True)
class Alarm:
    """Rings when a metric was above, or below, a threshold for a number of periods in a row.

    `use` is its purpose, and part of its name; `description` is what its e-mail says, with the
    next step. `dimension` is the one name and value that the metric has. With `share_of`, what
    counts is how many percent its sum is of the sum of that metric. `missing` says what a period
    without any data counts as.
    """

    names: Names
    use: str
    description: str
    namespace: str
    metric: str
    dimension: tuple[str, str]
    statistic: Literal["Maximum", "SampleCount", "Sum", "p99"]
    threshold: float = 0.0
    share_of: str | None = None
    is_low: bool = False
    periods: int = 1
    missing: Literal["breaching", "notBreaching"] = "notBreaching"

    @property
    def name(self) -> str:
        """Its name in CloudWatch."""
        return self.names.alarm(self.use)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.names.alarm_arn(self.use)

    def parameters(self, topic_arn: str) -> dict[str, Any]:
        """Return the parameters of PutMetricAlarm."""
        return {
            "AlarmDescription": self.description,
            **(self._measured() if self.share_of is None else {"Metrics": self._share()}),
            "EvaluationPeriods": self.periods,
            "Threshold": self.threshold,
            "ComparisonOperator": "LessThanThreshold" if self.is_low else "GreaterThanThreshold",
            "TreatMissingData": self.missing,
            "ActionsEnabled": True,
            "AlarmActions": [topic_arn],
            "OKActions": [topic_arn],
        }

    def _measured(self) -> dict[str, Any]:
        is_percentile = self.statistic.startswith("p")
        return {
            **self._metric(self.metric),
            ("ExtendedStatistic" if is_percentile else "Statistic"): self.statistic,
            "Period": PERIOD_SECONDS,
        }

    def _share(self) -> list[dict[str, Any]]:
        parts = {"part": self.metric, "whole": self.share_of or ""}
        sums = [
            {
                "Id": ident,
                "MetricStat": {
                    "Metric": self._metric(metric),
                    "Period": PERIOD_SECONDS,
                    "Stat": self.statistic,
                },
                "ReturnData": False,
            }
            for ident, metric in parts.items()
        ]
        share = {"Id": "share", "Expression": "100 * part / whole", "Label": "percent"}
        return [*sums, {**share, "ReturnData": True}]

    def _metric(self, metric: str) -> dict[str, Any]:
        name, value = self.dimension
        return {
            "Namespace": self.namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value}],
        }


def ensure_alarm(account: Account, alarm: Alarm, topic_arn: str, tags: Mapping[str, str]) -> Change:
    """Make an alarm that notifies the topic; tags of others stay."""
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
                **UNSET,
                **parameters,
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
    found: dict[str, Any] = {**answer["MetricAlarms"][0]}
    # The alarm of a plain metric may come back with an empty list of expressions.
    metrics = {"Metrics": found.get("Metrics") or None}
    return {**found, **metrics, "tags": {tag["Key"]: tag["Value"] for tag in present}}
