"""The alarms of a pipeline that serves reports: of its API and of its function."""

from deployer.aws.alarms import Alarm
from deployer.resources import specs
from deployer.resources.alarm_specs import STATUS, errors
from deployer.resources.names import Names

SLOW_MILLISECONDS = 5_000.0  # the server cancels a statement after 8 seconds
FAILURES = 5.0  # a request or two of a paused warehouse are answered the next time


def function_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return the alarms of the function."""
    return tuple(errors(spec.use, names) for spec in specs.OF_REPORTS)


def api_alarms(names: Names, api_id: str) -> tuple[Alarm, ...]:
    """Return the alarms of the API with an id."""
    return (
        Alarm(
            names,
            "reports-failed",
            description="More than 5 requests for reports failed within 5 minutes. The log group "
            f"{names.log_group('serve')} says why; {STATUS} says what is deployed.",
            namespace="AWS/ApiGateway",
            metric="5xx",
            dimension=("ApiId", api_id),
            statistic="Sum",
            threshold=FAILURES,
        ),
        Alarm(
            names,
            "reports-slow",
            description="For 15 minutes, reports have taken more than 5 seconds at times. The "
            f"log group {names.log_group('serve')} names the paths: make their SELECTs read less, "
            "or the warehouse larger.",
            namespace="AWS/ApiGateway",
            metric="Latency",
            dimension=("ApiId", api_id),
            statistic="Maximum",
            threshold=SLOW_MILLISECONDS,
            periods=3,
        ),
    )


def all_alarms(names: Names) -> tuple[Alarm, ...]:
    """Return all of them, whatever the id of the API: they are known by their names."""
    return (*function_alarms(names), *api_alarms(names, ""))
