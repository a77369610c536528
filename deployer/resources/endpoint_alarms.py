"""The alarms of a pipeline with events or reports: of its APIs, their functions and queues."""

from deployer.resources import specs
from deployer.resources.alarms import STATUS, Alarm, Metric, counted, errors, happening, queued
from deployer.resources.names import Names

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


def event_queue_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of a pipeline with events but those of its API."""
    return (
        *(errors(names, spec.use) for spec in specs.OF_EVENTS),
        Alarm(
            names,
            "events-waiting",
            queued(names.events_queue, "ApproximateAgeOfOldestMessage"),
            "Events have been in the queue for more than 15 minutes. The log group "
            f"{names.log_group('collect')} has the reason. None is lost: the queue keeps them for "
            "14 days.",
            statistic="Maximum",
            threshold=WAITING_SECONDS,
            missing="notBreaching",
        ),
        happening(
            names,
            "events-unusable",
            counted(names, "transform", "EventsRefused"),
            "A stored event cannot become a row of its table; the others were processed. "
            f"{STATUS} shows table and reason, and the objects under errors/ in the bucket "
            f"{names.bucket('processed')} hold the events as they were received. Adapt the "
            "declaration; `python deploy.py replay N` then processes the batch again.",
        ),
        Alarm(
            names,
            "dead-events",
            queued(names.dead_queue),
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
    return tuple(errors(names, spec.use) for spec in specs.OF_REPORTS)


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


def _api(api_id: str, name: str) -> Metric:
    return Metric("AWS/ApiGateway", name, ("ApiId", api_id))
