"""The alarms of a deployment; the dashboard shows the metrics that they watch.

The functions count in their own namespace, under the dimension `service`. A description is the
text of the e-mail: what happened, where the reason is, and what to do.
"""

from collections.abc import Mapping

from deployer.resources import specs
from deployer.resources.alarms import (
    DAY_SECONDS,
    LONG_PERIOD_SECONDS,
    PERIOD_SECONDS,
    WEEK_SECONDS,
    Alarm,
    Metric,
)
from deployer.resources.cadence import longest_pause
from deployer.resources.log_alarm import log_alarm
from deployer.resources.names import FunctionUse, Names

# The promise of the pipeline: from the source to the warehouse within 30 minutes.
FRESH_SECONDS = 1800
# A run ends this much after it was due, or never.
LONGEST_RUN = max(spec.timeout for spec in specs.FUNCTIONS)
# Collect receives what is in the queue within seconds.
WAITING_SECONDS = 900.0
# A cold start is faster, and providers wait for at least 5 seconds.
SLOW_EVENT_MILLISECONDS = 2_000.0
# A wrong secret refuses every event; an occasional forgery is no problem.
REFUSED_PERCENT = 50.0
# The server cancels a statement after 8 seconds.
SLOW_REPORT_MILLISECONDS = 5_000.0
# A request or two that fail because the warehouse is paused succeed the next time.
FAILED_REPORTS = 5.0
# The metric that each function emits on every run, even if it is 0.
SIGNS_OF_LIFE: dict[FunctionUse, str] = {
    "extract": "RowsExtracted",
    "transform": "BatchesTransformed",
    "load": "BatchesLoaded",
}
STATUS = "`python deploy.py status`"

Schedules = Mapping[FunctionUse, str]


def alarms(
    names: Names,
    schedules: Schedules | None = None,
    *,
    of_files: bool = False,
    of_logs: bool = False,
) -> tuple[Alarm, ...]:
    """Return the alarms of every deployment, and those of files and of logs of sources if wanted.

    Those of silence and of freshness depend on the schedules, None for the default ones; the names
    of all do not, but for a function that may pause for a week, whose silence no alarm can watch.
    """
    schedules = schedules or specs.schedules()
    return (
        *(_errors(names, spec.use) for spec in specs.FUNCTIONS),
        *silence_alarms(names, schedules),
        _failed_events(names),
        *_of_rows(names),
        *([_refused_files(names)] if of_files else []),
        *([log_alarm(names)] if of_logs else []),
        *_of_tables(names),
        _freshness(names, schedules),
    )


def silence_alarms(names: Names, schedules: Schedules) -> tuple[Alarm, ...]:
    """Return the alarms that ring when a function no longer finishes its runs."""
    allowed = {use: allowed_seconds(schedules[use]) for use in SIGNS_OF_LIFE}
    return tuple(
        _silence(names, use, seconds) for use, seconds in allowed.items() if seconds <= WEEK_SECONDS
    )


def allowed_seconds(schedule: str) -> int:
    """Return how long what runs on a schedule may take to happen again: FRESH_SECONDS or more."""
    return max(FRESH_SECONDS, longest_pause(schedule) + LONGEST_RUN)


def event_queue_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of a pipeline with events but those of its API."""
    return (
        *(_errors(names, spec.use) for spec in specs.OF_EVENTS),
        Alarm(
            names,
            "events-waiting",
            _queue(names.events_queue, "ApproximateAgeOfOldestMessage"),
            "Events have been in the queue for more than 15 minutes. The log group "
            f"{names.log_group('collect')} has the reason. None is lost: the queue keeps them for "
            "14 days.",
            statistic="Maximum",
            threshold=WAITING_SECONDS,
            missing="notBreaching",
        ),
        _happening(
            names,
            "events-unusable",
            _counted(names, "transform", "EventsRefused"),
            "A stored event cannot become a row of its table; the others were processed. "
            f"{STATUS} shows table and reason, and the objects under errors/ in the bucket "
            f"{names.bucket('processed')} hold the events as they were received. Adapt the "
            "declaration; `python deploy.py replay N` then processes the batch again.",
        ),
        Alarm(
            names,
            "dead-events",
            _queue(names.dead_queue),
            "Collect failed five times to process stored events; the queue "
            f"{names.dead_queue} keeps them for 14 days. The log group "
            f"{names.log_group('collect')} has the reason. When the cause is fixed, start a "
            "redrive of that queue.",
            statistic="Maximum",
            missing="notBreaching",
        ),
    )


def event_api_alarms(names: Names, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of the API of events, which has this id."""
    log_group = names.log_group("receive")
    return (
        Alarm(
            names,
            "events-refused",
            _api(api_id, "4xx"),
            f"More than half of the posted events were refused. The log group {log_group} has the "
            "reasons. Compare the secret in the settings with the provider's, and the URL at the "
            "provider with that of `python deploy.py status`.",
            share_of="Count",
            threshold=REFUSED_PERCENT,
        ),
        Alarm(
            names,
            "events-failed",
            _api(api_id, "5xx"),
            "An event could not be stored. Its provider received an error and retries for a "
            f"while. The log group {log_group} has the reason; {STATUS} shows what is deployed.",
        ),
        Alarm(
            names,
            "events-slow",
            _api(api_id, "Latency"),
            "For 15 minutes, one response in a hundred took more than 2 seconds; providers give "
            f"up after 5 to 20. Look at the log group {log_group}, and at throttles of "
            f"{names.function('receive')}: the account may allow few concurrent runs.",
            statistic="p99",
            threshold=SLOW_EVENT_MILLISECONDS,
            periods=3,
        ),
    )


def report_function_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of the function that serves reports."""
    return tuple(_errors(names, spec.use) for spec in specs.OF_REPORTS)


def report_api_alarms(names: Names, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of the API of reports, which has this id."""
    log_group = names.log_group("serve")
    return (
        Alarm(
            names,
            "reports-failed",
            _api(api_id, "5xx"),
            "More than 5 requests for reports failed within 5 minutes. The log group "
            f"{log_group} has the reasons; {STATUS} shows what is deployed.",
            threshold=FAILED_REPORTS,
        ),
        Alarm(
            names,
            "reports-slow",
            _api(api_id, "Latency"),
            "For 15 minutes, some reports took more than 5 seconds. The log group "
            f"{log_group} names their paths: make their SELECTs read less, or the warehouse "
            "larger.",
            statistic="Maximum",
            threshold=SLOW_REPORT_MILLISECONDS,
            periods=3,
        ),
    )


def event_alarms(names: Names, api_id: str = "") -> tuple[Alarm, ...]:
    """Return all alarms of a pipeline with events; their names do not depend on the API's id."""
    return (*event_queue_alarms(names), *event_api_alarms(names, api_id))


def report_alarms(names: Names, api_id: str = "") -> tuple[Alarm, ...]:
    """Return all alarms of a pipeline with reports; their names do not depend on the API's id."""
    return (*report_function_alarms(names), *report_api_alarms(names, api_id))


def possible_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return every alarm that a deployment may have."""
    return (
        *alarms(names, of_files=True, of_logs=True),
        *event_alarms(names),
        *report_alarms(names),
    )


def _errors(names: Names, use: FunctionUse) -> Alarm:
    return Alarm(
        names,
        f"{use}-errors",
        Metric("AWS/Lambda", "Errors", ("FunctionName", names.function(use))),
        f"{use} failed. The log group {names.log_group(use)} has the reason and the next step. The "
        "next run retries by itself; this alarm ends when a run succeeds.",
    )


def _silence(names: Names, use: FunctionUse, seconds: int) -> Alarm:
    period = PERIOD_SECONDS if seconds <= DAY_SECONDS else LONG_PERIOD_SECONDS
    periods = -(-seconds // period)
    return Alarm(
        names,
        f"{use}-silence",
        _counted(names, use, SIGNS_OF_LIFE[use]),
        f"{use} has not finished a run for {in_words(periods * period)}. `python deploy.py plan` "
        "shows whether its schedule was changed; the log group "
        f"{names.log_group(use)} shows how its last runs ended.",
        statistic="SampleCount",
        threshold=1.0,
        is_low=True,
        periods=periods,
        period=period,
        missing="breaching",
    )


def in_words(seconds: int) -> str:
    """Return a time in minutes, or in hours where it is two or more."""
    minutes = seconds // 60
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


def _failed_events(names: Names) -> Alarm:
    return Alarm(
        names,
        "failed-events",
        _queue(names.queue),
        f"A function failed to process an event; the queue {names.queue} keeps the "
        "event and the error. Nothing is lost: the scheduled runs catch up. When the cause is "
        "fixed, purge the queue.",
        statistic="Maximum",
        missing="notBreaching",
    )


def _of_rows(names: Names) -> tuple[Alarm, Alarm]:
    return (
        _happening(
            names,
            "rows-quarantined",
            _counted(names, "transform", "RowsQuarantined"),
            "A source row does not fit the warehouse and is in quarantine; the others were "
            f"processed. {STATUS} shows table and reason. Correct the row in the source: it is "
            "then loaded by itself.",
        ),
        _happening(
            names,
            "rows-refused",
            _counted(names, "load", "RowsRefused"),
            f"The warehouse refused a row; the others are loaded. {STATUS} shows table and reason. "
            "Correct the row in the source, or the definition of the warehouse's table: the row is "
            "then loaded by itself.",
        ),
    )


def _refused_files(names: Names) -> Alarm:
    return _happening(
        names,
        "files-refused",
        _counted(names, "transform", "FilesRefused"),
        "A file, or some of its rows, was refused; the rest was processed. "
        f"{STATUS} shows file and reason, and the objects under errors/ in the bucket "
        f"{names.bucket('processed')} hold the refused rows. Correct the file and drop it again.",
    )


def _of_tables(names: Names) -> tuple[Alarm, Alarm, Alarm]:
    return (
        Alarm(
            names,
            "schema-drift",
            _counted(names, "extract", "TablesStopped"),
            "A source table lacks a column that the warehouse needs, and is no longer read; the "
            f"others are. {STATUS} shows table and column. Restore it, or adapt the pipeline: the "
            "table then continues where it stopped.",
            statistic="Maximum",
        ),
        _happening(
            names,
            "schema-changes",
            _counted(names, "extract", "SchemaChanges"),
            "A source table is new, was recreated, or its columns have changed; columns that the "
            f"warehouse needs are still loaded. The log group {names.log_group('extract')} shows "
            f"what changed, {STATUS} the current state. It is reported once: adapt the pipeline "
            "if the warehouse should have it.",
        ),
        Alarm(
            names,
            "disagreement",
            _counted(names, "reconcile", "TablesApart"),
            "A target table differs from its source. `python deploy.py reconcile` shows tables and "
            "keys; `python deploy.py replay N` processes a batch again.",
            statistic="Maximum",
        ),
    )


def _freshness(names: Names, schedules: Schedules) -> Alarm:
    seconds = allowed_seconds(schedules["load"])
    return Alarm(
        names,
        "freshness",
        _counted(names, "load", "SourceToWarehouse"),
        f"A change took more than {in_words(seconds)} from the source to the warehouse. "
        f"{STATUS} shows where batches wait; the log groups of the functions have the reasons.",
        statistic="Maximum",
        threshold=float(seconds),
    )


def _happening(names: Names, use: str, metric: Metric, description: str) -> Alarm:
    """Return the alarm of something that is counted when it happens: nothing counts its end."""
    return Alarm(names, use, metric, description, missing="notBreaching", mails_end=False)


def _counted(names: Names, use: FunctionUse, name: str) -> Metric:
    """Return a metric that a function counts."""
    return Metric(names.prefix, name, ("service", use))


def _queue(queue: str, name: str = "ApproximateNumberOfMessagesVisible") -> Metric:
    return Metric("AWS/SQS", name, ("QueueName", queue))


def _api(api_id: str, name: str) -> Metric:
    return Metric("AWS/ApiGateway", name, ("ApiId", api_id))
