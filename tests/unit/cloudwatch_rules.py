"""CloudWatch's documented rules for alarms, on figures in memory and a clock that a test moves.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-warm-up.html
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86_400
EVALUATED_EVERY = 5 * MINUTE  # by AWS every minute, or every hour where the window exceeds a day
# CloudWatch looks at some more periods than an alarm asks for, and does not say at how many.
MORE_PERIODS = 3

COMBINED: dict[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "SampleCount": len,
}

Key = tuple[str, str, str]
Sample = tuple[int, float]


@dataclass
class Watched:
    """An alarm as CloudWatch keeps it; `mails` are the seconds and states of its actions."""

    parameters: dict[str, Any]
    created: int
    state: str = "INSUFFICIENT_DATA"
    mails: list[tuple[int, str]] = field(default_factory=list)
    states: set[str] = field(default_factory=set)

    def become(self, state: str, now: int) -> None:
        """Change the state, and run the actions of the new one."""
        if state == self.state:
            return
        self.state = state
        self.states.add(state)
        actions = self.parameters["AlarmActions" if state == "ALARM" else "OKActions"]
        if self.parameters["ActionsEnabled"] and actions:
            self.mails.append((now, state))


class CloudWatch:
    """A client, and the service behind it."""

    def __init__(self) -> None:
        self.now = 0
        self.alarms: dict[str, Watched] = {}
        self.figures: defaultdict[Key, list[Sample]] = defaultdict(list)

    def put_metric_alarm(self, **parameters: Any) -> None:
        name = parameters["AlarmName"]
        if name in self.alarms:
            self.alarms[name].parameters = parameters
        else:
            self.alarms[name] = Watched(parameters, self.now)

    def set_alarm_state(self, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        self.alarms[AlarmName].become(StateValue, self.now)

    def enable_alarm_actions(self, AlarmNames: list[str]) -> None:  # noqa: N803
        for name in AlarmNames:
            self.alarms[name].parameters["ActionsEnabled"] = True

    def delete_alarms(self, AlarmNames: list[str]) -> None:  # noqa: N803
        for name in AlarmNames:
            del self.alarms[name]

    def describe_alarms(self, AlarmNames: list[str], **_: Any) -> dict[str, Any]:  # noqa: N803
        found = [self.alarms[name].parameters for name in AlarmNames if name in self.alarms]
        return {"MetricAlarms": found}

    def list_tags_for_resource(self, **_: Any) -> dict[str, Any]:
        return {"Tags": []}

    def count(self, key: Key, at: int, value: float) -> None:
        """Take a figure of a metric: namespace, name, value of its dimension."""
        insort(self.figures[key], (at, value))

    def pass_time(self, seconds: int) -> None:
        """Evaluate all alarms until some seconds later."""
        for now in range(self.now, self.now + seconds, EVALUATED_EVERY):
            for alarm in self.alarms.values():
                self._evaluate(alarm, now)
        self.now += seconds

    def _evaluate(self, alarm: Watched, now: int) -> None:
        given = alarm.parameters
        wanted, period = given["EvaluationPeriods"], _period(given)
        warm_up = given.get("WarmUpConfiguration", {}).get("WarmUpPeriodDurationInMinutes", 0)
        points = list(self._points(given, now, (wanted + MORE_PERIODS) * period))
        is_warm = now - alarm.created >= warm_up * MINUTE or len(points) >= wanted
        if warm_up and not is_warm:
            return
        given.pop("WarmUpConfiguration", None)
        recent = [_is_breaching(given, value) for value in points[-wanted:]]
        if not all(recent):
            alarm.become("OK", now)
        elif len(recent) == wanted:
            alarm.become("ALARM", now)
        else:
            missing = {"breaching": "ALARM", "notBreaching": "OK", "ignore": alarm.state}
            alarm.become(missing[given["TreatMissingData"]], now)

    def _points(self, given: Mapping[str, Any], now: int, seconds: int) -> Iterator[float]:
        """Yield the data points that there are, the oldest first."""
        period = _period(given)
        if "Metrics" in given:
            part, whole, _ = given["Metrics"]
            sums = [self._by_period(each["MetricStat"]["Metric"], now, seconds, period)
                    for each in (part, whole)]  # fmt: skip
            for age in sorted(sums[1], reverse=True):
                yield 100 * sum(sums[0].get(age, [0])) / sum(sums[1][age])
            return
        statistic = given.get("Statistic", "Maximum")  # of few samples, p99 is the greatest
        combine = COMBINED[statistic]
        values = self._by_period(given, now, seconds, period)
        for age in sorted(values, reverse=True):
            yield float(combine(values[age]))

    def _by_period(
        self, metric: Mapping[str, Any], now: int, seconds: int, period: int
    ) -> dict[int, list[float]]:
        """Return the samples of the last seconds, by how many periods ago they were."""
        [dimension] = metric["Dimensions"]
        samples = self.figures[metric["Namespace"], metric["MetricName"], dimension["Value"]]
        begin, end = (bisect_right(samples, at, key=_at) for at in (now - seconds, now))
        found: defaultdict[int, list[float]] = defaultdict(list)
        for at, value in samples[begin:end]:
            found[(now - at) // period].append(value)
        return dict(found)


def _at(sample: Sample) -> int:
    return sample[0]


def _period(given: Mapping[str, Any]) -> int:
    metrics = given.get("Metrics")
    return int(metrics[0]["MetricStat"]["Period"] if metrics else given["Period"])


def _is_breaching(given: Mapping[str, Any], value: float) -> bool:
    if given["ComparisonOperator"] == "LessThanThreshold":
        return value < float(given["Threshold"])
    return value > float(given["Threshold"])
