"""The dashboard: the alarms, and their metrics over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.resources import specs
from deployer.resources.alarm_specs import BEHIND_SECONDS, Schedules, alarms, allowed_seconds
from deployer.resources.alarms import PERIOD_SECONDS
from deployer.resources.endpoint_alarms import WAITING_SECONDS, event_alarms, report_alarms
from deployer.resources.log_alarm import RETAINED_BYTES
from deployer.resources.names import FunctionUse, Names

# The grid of a dashboard is 24 wide.
WIDTH, HEIGHT, COLUMNS = 12, 6, 2

Body = Mapping[str, Any]
Metric = list[object]


def dashboard_body(
    names: Names,
    schedules: Schedules,
    *,
    of_files: bool = False,
    of_logs: bool = False,
    api_id: str | None = None,
    serves: bool = False,
) -> Body:
    """Return the body of the dashboard; with files, logs, the events of an API, and reports.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    freshness = _graph(
        "Source to warehouse (s)",
        names,
        [_count("SourceToWarehouse", "load", names, "Maximum")],
        limit=allowed_seconds(schedules["load"]),
    )
    rows = [_count("RowsExtracted", "extract", names), _count("RowsLoaded", "load", names)]
    problems = [
        _count("RowsQuarantined", "transform", names),
        _count("RowsRefused", "load", names),
        *([_count("FilesRefused", "transform", names)] if of_files else []),
        *([_count("EventsRefused", "transform", names)] if api_id else []),
        _count("TablesStopped", "extract", names, "Maximum"),
        _count("SchemaChanges", "extract", names),
        _count("TablesApart", "reconcile", names, "Maximum"),
    ]
    queue: Metric = ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", names.queue]
    events, reports = specs.OF_EVENTS if api_id else (), specs.OF_REPORTS if serves else ()
    lake = specs.OF_LAKE if "lake" in schedules else ()
    uses = [spec.use for spec in (*specs.FUNCTIONS, *events, *reports, *lake)]
    graphs = [
        freshness,
        _graph("Rows changed and loaded", names, rows),
        _graph("Problems: rows, files, tables", names, problems),
        _graph("Failed events", names, [[*queue, {"stat": "Maximum"}]]),
        _graph("Errors", names, _lambda("Errors", names, uses, "Sum")),
        _graph("Throttles", names, _lambda("Throttles", names, uses, "Sum")),
        _graph("Runs", names, _lambda("Invocations", names, uses, "Sum")),
        _graph("Duration of a run (ms)", names, _lambda("Duration", names, uses, "Maximum")),
        *([_of_logs(names)] if of_logs else []),
        *(_of_events(names, api_id) if api_id else []),
        *([_of_lake(names)] if lake else []),
    ]
    ringing = (
        *alarms(names, schedules, of_files=of_files, of_logs=of_logs),
        *(event_alarms(names) if api_id else ()),
        *(report_alarms(names) if serves else ()),
    )
    arns = [alarm.arn for alarm in ringing]
    overview = {"type": "alarm", "properties": {"title": "Alarms", "alarms": arns}}
    return {"widgets": [{**overview, **_place(0, wide=True)}, *_arranged(graphs)]}


def _count(metric: str, service: str, names: Names, statistic: str = "Sum") -> Metric:
    """Return a metric that a function emits."""
    return [names.prefix, metric, "service", service, {"stat": statistic}]


def _of_logs(names: Names) -> dict[str, Any]:
    """Return the graph of the logs that sources keep."""
    metrics = [_count("LogRetained", "extract", names, "Maximum")]
    return _graph("Log that a source keeps (bytes)", names, metrics, limit=RETAINED_BYTES)


def _of_lake(names: Names) -> dict[str, Any]:
    """Return the graph of how long Iceberg tables have lacked what is loaded."""
    metrics = [_count("LakeBehind", "lake", names, "Maximum")]
    return _graph("Iceberg tables behind the warehouse (s)", names, metrics, limit=BEHIND_SECONDS)


def _of_events(names: Names, api_id: str) -> list[dict[str, Any]]:
    """Return the graphs of an API and of the queues behind it."""

    def api(metric: str, statistic: str) -> Metric:
        return ["AWS/ApiGateway", metric, "ApiId", api_id, {"stat": statistic}]

    def queue(metric: str, name: str) -> Metric:
        return ["AWS/SQS", metric, "QueueName", name, {"stat": "Maximum"}]

    waiting = "ApproximateNumberOfMessagesVisible"
    oldest = queue("ApproximateAgeOfOldestMessage", names.events_queue)
    queues = [queue(waiting, name) for name in (names.events_queue, names.dead_queue)]
    counts = [api(metric, "Sum") for metric in ("Count", "4xx", "5xx")]
    return [
        _graph("Events posted, refused, failed", names, counts),
        _graph(
            "Latency of the endpoint (ms)", names, [api("Latency", "p50"), api("Latency", "p99")]
        ),
        _graph("Events waiting and dead", names, queues),
        _graph("Age of the oldest event (s)", names, [oldest], limit=WAITING_SECONDS),
    ]


def _lambda(metric: str, names: Names, uses: Sequence[FunctionUse], statistic: str) -> list[Metric]:
    """Return one of Lambda's metrics for each function."""
    functions = [names.function(use) for use in uses]
    return [["AWS/Lambda", metric, "FunctionName", name, {"stat": statistic}] for name in functions]


def _graph(
    title: str, names: Names, metrics: Sequence[Metric], limit: float | None = None
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": title,
        "view": "timeSeries",
        "region": names.region,
        "period": PERIOD_SECONDS,
        "metrics": list(metrics),
    }
    if limit is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": limit}]}
    return {"type": "metric", "properties": properties}


def _arranged(graphs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**graph, **_place(COLUMNS + number)} for number, graph in enumerate(graphs)]


def _place(number: int, wide: bool = False) -> dict[str, int]:
    """Return the position of a widget, numbered in rows of two."""
    return {
        "x": number % COLUMNS * WIDTH,
        "y": number // COLUMNS * HEIGHT,
        "width": WIDTH * COLUMNS if wide else WIDTH,
        "height": HEIGHT,
    }
