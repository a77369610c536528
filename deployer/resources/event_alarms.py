"""The alarms of a pipeline with events: of its endpoint, its queues and its functions."""

from deployer.aws.alarms import Alarm
from deployer.resources import specs
from deployer.resources.alarm_specs import STATUS, errors
from deployer.resources.names import Names

WAITING_SECONDS = 900.0  # collect is given what is in the queue within seconds
SLOW_MILLISECONDS = 2_000.0  # a cold start is faster, and providers wait for 5 seconds at least
REFUSED_PERCENT = 50.0  # a wrong secret refuses all; a forgery now and then is no trouble


def queue_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of the functions, of the queues, and of events that are no rows."""
    return (
        *(errors(spec.use, names) for spec in specs.OF_EVENTS),
        Alarm(
            names,
            "events-waiting",
            description="Events have waited for more than 15 minutes to be collected. The log "
            f"group {names.log_group('collect')} says why. None is lost: the queue keeps them "
            "for 14 days.",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimension=("QueueName", names.events_queue),
            statistic="Maximum",
            threshold=WAITING_SECONDS,
        ),
        Alarm(
            names,
            "events-unusable",
            description="An event was stored that cannot be a row of its table; the others went "
            f"on. {STATUS} names table and reason, and the objects under errors/ in the bucket "
            f"{names.bucket('processed')} have the events as they came. Adapt the declaration, "
            "and `python deploy.py replay N` processes the batch again.",
            namespace=names.prefix,
            metric="EventsRefused",
            dimension=("service", "transform"),
            statistic="Sum",
        ),
        Alarm(
            names,
            "dead-events",
            description="Collect failed five times at events that were stored; they are in the "
            f"queue {names.dead_queue} for 14 days. The log group {names.log_group('collect')} "
            "says why. When the cause is fixed, start a redrive of that queue.",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimension=("QueueName", names.dead_queue),
            statistic="Maximum",
        ),
    )


def api_alarms(names: Names, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of the API of an id."""
    return (
        Alarm(
            names,
            "events-refused",
            description="More than half of what was posted was refused. The log group "
            f"{names.log_group('receive')} has the reasons. Compare the secret of the settings "
            "with the provider's, and the URL there with that of `python deploy.py status`.",
            namespace="AWS/ApiGateway",
            metric="4xx",
            share_of="Count",
            dimension=("ApiId", api_id),
            statistic="Sum",
            threshold=REFUSED_PERCENT,
        ),
        Alarm(
            names,
            "events-failed",
            description="An event could not be stored: its provider, which got an error, sends it "
            f"again for a while. The log group {names.log_group('receive')} says why; {STATUS} "
            "says what is deployed.",
            namespace="AWS/ApiGateway",
            metric="5xx",
            dimension=("ApiId", api_id),
            statistic="Sum",
        ),
        Alarm(
            names,
            "events-slow",
            description="For 15 minutes, one of a hundred answers took more than 2 seconds; a "
            f"provider gives up after 5 to 20. Look at the log group {names.log_group('receive')}, "
            f"and at throttles of {names.function('receive')}: the account may allow few runs at "
            "once.",
            namespace="AWS/ApiGateway",
            metric="Latency",
            dimension=("ApiId", api_id),
            statistic="p99",
            threshold=SLOW_MILLISECONDS,
            periods=3,
        ),
    )


def all_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return all of them, whatever the id of the API: they are identified by name."""
    return (*queue_alarms(names), *api_alarms(names, ""))
