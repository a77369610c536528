"""When each alarm rings, by what CloudWatch is sent: the promises of the page of the alarms."""

from typing import Any

import pytest

from deployer.resources import specs
from deployer.resources.alarm_specs import alarms
from deployer.resources.alarms import Alarm
from deployer.resources.endpoint_alarms import event_alarms, report_alarms
from deployer.resources.names import Names

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
SHARED = {
    "ActionsEnabled": True,
    "AlarmActions": ["topic"],
    "OKActions": ["topic"],
    "TreatMissingData": "ignore",
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "Period": 300,
}


def of_lambda(use: str) -> dict[str, Any]:
    return of("AWS/Lambda", "Errors", "Sum", "FunctionName", f"shop-dev-{use}")


def of_queue(metric: str, queue: str, **other: Any) -> dict[str, Any]:
    empty = {"TreatMissingData": "notBreaching"}
    return of("AWS/SQS", metric, "Maximum", "QueueName", f"shop-dev-{queue}", **empty, **other)


def of_api(metric: str, **other: Any) -> dict[str, Any]:
    return {**of("AWS/ApiGateway", metric, "Sum", "ApiId", "api"), **other}


def ours(metric: str, statistic: str, use: str, **other: Any) -> dict[str, Any]:
    return of("shop-dev", metric, statistic, "service", use, **other)


def of(
    namespace: str, metric: str, statistic: str, dimension: str, value: str, **other: Any
) -> dict[str, Any]:
    """Return the parameters of an alarm that rings above its threshold for five minutes."""
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Statistic": statistic,
        "Dimensions": [{"Name": dimension, "Value": value}],
        **SHARED,
        **other,
    }


def share(whole: str, part: str) -> dict[str, Any]:
    """Return the parameters of an alarm on how many percent a sum is of another."""
    sums = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/ApiGateway",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "ApiId", "Value": "api"}],
                },
                "Period": 300,
                "Stat": "Sum",
            },
            "ReturnData": False,
        }
        for name, metric in (("part", part), ("whole", whole))
    ]
    percent = {"Id": "share", "Expression": "100 * part / whole", "Label": "percent"}
    rest = {name: value for name, value in SHARED.items() if name != "Period"}
    return {**rest, "Metrics": [*sums, {**percent, "ReturnData": True}]}


SILENT = {
    "Threshold": 1.0,
    "ComparisonOperator": "LessThanThreshold",
    "EvaluationPeriods": 6,
    "TreatMissingData": "breaching",
}
HAPPENS: dict[str, Any] = {"TreatMissingData": "notBreaching", "OKActions": []}
CONDITIONS: dict[str, dict[str, Any]] = {
    **{
        f"{use}-errors": of_lambda(use)
        for use in ("extract", "transform", "load", "reconcile", "page")
    },
    "extract-silence": ours("RowsExtracted", "SampleCount", "extract", **SILENT),
    "transform-silence": ours("BatchesTransformed", "SampleCount", "transform", **SILENT),
    "load-silence": ours("BatchesLoaded", "SampleCount", "load", **SILENT),
    "failed-events": of_queue("ApproximateNumberOfMessagesVisible", "failed-events"),
    "rows-quarantined": ours("RowsQuarantined", "Sum", "transform", **HAPPENS),
    "rows-refused": ours("RowsRefused", "Sum", "load", **HAPPENS),
    "files-refused": ours("FilesRefused", "Sum", "transform", **HAPPENS),
    "schema-drift": ours("TablesStopped", "Maximum", "extract"),
    "schema-changes": ours("SchemaChanges", "Sum", "extract", **HAPPENS),
    "freshness": ours("SourceToWarehouse", "Maximum", "load", Threshold=1800.0),
    "disagreement": ours("TablesApart", "Maximum", "reconcile"),
}
OF_EVENTS: dict[str, dict[str, Any]] = {
    "receive-errors": of_lambda("receive"),
    "collect-errors": of_lambda("collect"),
    "events-waiting": of_queue("ApproximateAgeOfOldestMessage", "events", Threshold=900.0),
    "events-unusable": ours("EventsRefused", "Sum", "transform", **HAPPENS),
    "dead-events": of_queue("ApproximateNumberOfMessagesVisible", "dead-events"),
    "events-refused": {**share("Count", "4xx"), "Threshold": 50.0},
    "events-failed": of_api("5xx"),
    "events-slow": {
        **{name: value for name, value in of_api("Latency").items() if name != "Statistic"},
        "ExtendedStatistic": "p99",
        "Threshold": 2000.0,
        "EvaluationPeriods": 3,
    },
}
OF_REPORTS: dict[str, dict[str, Any]] = {
    "serve-errors": of_lambda("serve"),
    "reports-failed": of_api("5xx", Threshold=5.0),
    "reports-slow": of_api("Latency", Statistic="Maximum", Threshold=5000.0, EvaluationPeriods=3),
}


@pytest.mark.parametrize(
    ("made", "conditions"),
    [
        (alarms(NAMES, of_files=True), CONDITIONS),
        (event_alarms(NAMES, "api"), OF_EVENTS),
        (report_alarms(NAMES, "api"), OF_REPORTS),
    ],
    ids=["every pipeline", "events", "reports"],
)
def test_each_alarm_rings_when_its_description_says(
    made: tuple[Alarm, ...], conditions: dict[str, dict[str, Any]]
) -> None:
    """Its metric, statistic, threshold and time are those, and so is what a lack of data means."""
    sent = {alarm.use: alarm.parameters("topic") for alarm in made}

    for parameters in sent.values():
        assert parameters.pop("AlarmDescription")
    assert sent == conditions


@pytest.mark.parametrize(
    ("schedule", "window", "fresh"),
    [
        ("rate(1 minute)", (6, 300), 1800),
        ("rate(15 minutes)", (6, 300), 1800),
        ("rate(1 hour)", (15, 300), 4500),
        ("rate(1425 minutes)", (288, 300), 86_400),
        ("cron(0 3 * * ? *)", (25, 3600), 87_300),
        ("cron(0/10 8-18 ? * MON-FRI *)", (62, 3600), 221_100),
        ("rate(6 days)", (145, 3600), 519_300),
    ],
)
def test_a_schedule_decides_what_is_late(
    schedule: str, window: tuple[int, int], fresh: int
) -> None:
    """A run may end 15 minutes after it was due; windows are those that CloudWatch accepts."""
    schedules = {**specs.schedules(), "extract": schedule, "load": schedule}
    sent = {alarm.use: alarm for alarm in alarms(NAMES, schedules)}

    for use in ("extract-silence", "load-silence"):
        assert (sent[use].periods, sent[use].period) == window
    assert sent["freshness"].threshold == fresh
    periods, period = window
    assert periods * period <= (86_400 if period < 3600 else 604_800)


def test_a_pause_of_a_week_has_no_alarm_of_silence() -> None:
    """No alarm of CloudWatch looks back for more than a week; failures still ring."""
    schedules = {**specs.schedules(), "extract": "cron(0 3 ? * MON *)"}
    made = {alarm.use for alarm in alarms(NAMES, schedules)}

    assert made == {alarm.use for alarm in alarms(NAMES)} - {"extract-silence"}


def test_a_new_alarm_of_silence_waits_for_the_first_runs() -> None:
    """It waits as long as it would until it rings, or for the two days that AWS allows."""
    slow = {**specs.schedules(), "extract": "rate(3 days)"}
    for schedules, minutes in ((specs.schedules(), 30), (slow, 2880)):
        waits = {alarm.use: alarm.warm_up() for alarm in alarms(NAMES, schedules)}

        expected = {"WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": minutes}}
        assert waits["extract-silence"] == expected
        assert waits["extract-errors"] == {}
