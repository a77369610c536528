"""What an alarm is: one metric, one threshold, and how it treats a period without data.

    what its metric is                  without data            its end is mailed
    a state that each run measures      it keeps its state      yes, measured by a later run
    events, counted when they happen    it ends silently        no: nothing measures an end
    a queue, measured every minute      the queue is empty      yes
    signs of life                       it rings                yes

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from deployer.resources.names import FunctionUse, Names

PERIOD_SECONDS = 300
# Alarms on more than a day, and at most a week, need periods of an hour:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
LONG_PERIOD_SECONDS = 3600
DAY_SECONDS, WEEK_SECONDS = 86_400, 7 * 86_400
WARM_UP_MINUTES = 2 * 24 * 60  # at most
STATUS = "`python deploy.py status`"


@dataclass(frozen=True)
class Metric:
    """A metric of CloudWatch, which has one dimension: its name and its value."""

    namespace: str
    name: str
    dimension: tuple[str, str]

    def document(self) -> dict[str, Any]:
        """Return it by AWS's names."""
        name, value = self.dimension
        return {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": value}],
        }


@dataclass(frozen=True)
class Alarm:
    """Notifies the topic when a metric is beyond a threshold for some periods in a row.

    `use` is its purpose, and part of its name; `description` is the text of its e-mail, with the
    next step. With `is_low` the metric must not fall below the threshold, otherwise not rise above
    it. With `share_of`, the value is the metric's sum as a percentage of that metric's sum.
    `missing` is how a period without data counts: by default the state stays. With `mails_end`
    the end of the trouble is mailed too.
    """

    names: Names
    use: str
    metric: Metric
    description: str
    statistic: Literal["Maximum", "SampleCount", "Sum", "p99"] = "Sum"
    threshold: float = 0.0
    share_of: str | None = None
    is_low: bool = False
    periods: int = 1
    period: int = PERIOD_SECONDS
    missing: Literal["breaching", "ignore", "notBreaching"] = "ignore"
    mails_end: bool = True

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
            "OKActions": [topic_arn] if self.mails_end else [],
        }

    def warm_up(self) -> dict[str, Any]:
        """Return the parameter by which a new alarm for silence waits for the first runs.

        It is not among `parameters`: it is about a new alarm alone, and emulators ignore it.
        """
        if self.missing != "breaching":
            return {}
        minutes = min(self.periods * self.period // 60, WARM_UP_MINUTES)
        return {"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": minutes}}

    def _measured(self) -> dict[str, Any]:
        is_percentile = self.statistic.startswith("p")
        return {
            **self.metric.document(),
            ("ExtendedStatistic" if is_percentile else "Statistic"): self.statistic,
            "Period": self.period,
        }

    def _share(self) -> list[dict[str, Any]]:
        parts = {"part": self.metric, "whole": replace(self.metric, name=self.share_of or "")}
        sums = [
            {
                "Id": ident,
                "MetricStat": {
                    "Metric": metric.document(),
                    "Period": self.period,
                    "Stat": self.statistic,
                },
                "ReturnData": False,
            }
            for ident, metric in parts.items()
        ]
        share = {"Id": "share", "Expression": "100 * part / whole", "Label": "percent"}
        return [*sums, {**share, "ReturnData": True}]


def errors(names: Names, use: FunctionUse) -> Alarm:
    """Return the alarm of a function that fails."""
    return Alarm(
        names,
        f"{use}-errors",
        Metric("AWS/Lambda", "Errors", ("FunctionName", names.function(use))),
        f"{use} failed. The log group {names.log_group(use)} has the reason and the next step. The "
        "next run retries by itself; this alarm ends when a run succeeds.",
    )


def happening(names: Names, use: str, metric: Metric, description: str) -> Alarm:
    """Return the alarm of something that is counted when it happens: nothing counts its end."""
    return Alarm(names, use, metric, description, missing="notBreaching", mails_end=False)


def counted(names: Names, use: FunctionUse, name: str) -> Metric:
    """Return a metric that a function counts."""
    return Metric(names.prefix, name, ("service", use))


def queued(queue: str, name: str = "ApproximateNumberOfMessagesVisible") -> Metric:
    """Return a metric of a queue: by default how many messages it has."""
    return Metric("AWS/SQS", name, ("QueueName", queue))
