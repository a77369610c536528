"""The HTTP APIs of a deployment, as steps: that of events with its queue, and that of reports.

    API -> receive -> queue -> collect
    API -> serve

The functions and their policies are created with the other functions. The two APIs are separate
because their callers, their limits and their authorization differ.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from deployer.aws import apigateway, event_sources, sqs
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.lambda_permissions import Permission
from deployer.configuration.apis import IAM, ReportSettings
from deployer.configuration.settings import Settings
from deployer.resources import resource_policies, specs
from deployer.resources.alarms import Alarm
from deployer.resources.endpoint_alarms import (
    event_api_alarms,
    event_queue_alarms,
    report_api_alarms,
    report_function_alarms,
)
from deployer.resources.names import FunctionUse, Names
from deployer.steps import Step, Steps
from etl import Events, Report
from etl.reports import OWN_PATHS

# A message of SQS has at most a MiB, and Lambda asks for a visibility timeout of six times the
# function's: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MAX_MESSAGE = 1024 * 1024
TIMEOUTS = 6
RECEIVES = 5  # before a message becomes a dead letter
UNKNOWN = "(new)"  # the id of an API that is only planned


def event_urls(account: Account, names: Names, sources: Iterable[Events]) -> dict[str, str]:
    """Return the URLs that events are posted to, by source; none where there is no API."""
    if not (listed := list(sources)) or (root := apigateway.url_of(account, names.api)) is None:
        return {}
    return {source.name: root + source.url_path for source in listed}


def report_urls(account: Account, names: Names, reports: Iterable[Report]) -> dict[str, str]:
    """Return the URLs of reports, by path; none where there is no API."""
    paths = [report.path for report in reports]
    if not paths or (root := apigateway.url_of(account, names.reports_api)) is None:
        return {}
    return {path.removeprefix("/"): root + path for path in (*paths, *OWN_PATHS)}


@dataclass(frozen=True)
class HttpApi:
    """The steps of one API, whose requests the function `use` answers.

    `statement_id` is that of the permission to invoke the function; `alarms` returns the alarms of
    the API with an id.
    """

    steps: Steps
    api: apigateway.Api
    use: FunctionUse
    log_group: str
    statement_id: str
    alarms: Callable[[Names, str], Iterable[Alarm]]

    def after_functions(self) -> list[Step]:
        """Return the chain of steps that need the function and the log group."""
        alarms = self.alarms(self.steps.names, UNKNOWN)
        return [
            self.create,
            self.create_permission,
            *(partial(self.create_alarm, alarm.name) for alarm in alarms),
        ]

    def create_log_group(self) -> Change:
        """Create the log group of its requests."""
        return self.steps.create_log_group(self.log_group)

    def create(self) -> Change:
        """Create the API."""
        return self.steps.take("api", self.api.name, apigateway.ensure_api, self.api)

    def create_permission(self) -> Change:
        """Let this API, and no other, invoke the function."""
        names = self.steps.names
        return self.steps.create_permission(
            Permission(
                names.function(self.use),
                self.statement_id,
                "apigateway.amazonaws.com",
                names.api_arn(self.id()),
                # The ARN of an API names its account.
                names_account=False,
            )
        )

    def create_alarm(self, name: str) -> Change:
        """Create one of its alarms; the API has an id by now."""
        alarms = self.alarms(self.steps.names, self.id())
        return self.steps.create_alarm(next(each for each in alarms if each.name == name))

    def id(self) -> str:
        """Return the API's id, UNKNOWN while it is only planned."""
        return apigateway.id_of(self.steps.account, self.api.name) or UNKNOWN


class EventEndpoint:
    """The steps of the path of events; none for a pipeline without events."""

    def __init__(self, steps: Steps, settings: Settings) -> None:
        names = steps.names
        self._steps = steps
        self._names = names
        self._settings = settings
        self._is_wanted = settings.takes_events
        self.http = HttpApi(
            steps,
            apigateway.Api(
                name=names.api,
                description=f"Receives events for {names.prefix}",
                function_arn=names.function_arn("receive"),
                log_group_arn=names.access_log_group_arn,
                tags=steps.tags,
                rate=specs.EVENTS_A_SECOND,
                burst=2 * specs.EVENTS_A_SECOND,
            ),
            use="receive",
            log_group=names.access_log_group,
            statement_id="api-events",
            alarms=event_api_alarms,
        )

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._is_wanted:
            return []
        alarms = event_queue_alarms(self._names)
        return [
            [
                self.create_dead_queue,
                self.create_queue,
                *(partial(self._steps.create_alarm, alarm) for alarm in alarms),
            ],
            [self.http.create_log_group],
        ]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        if not self._is_wanted:
            return []
        return [[self.create_event_source], self.http.after_functions()]

    def create_dead_queue(self) -> Change:
        """Create the queue of messages that collect failed to process five times."""
        return self._queue(self._names.dead_queue, {"MaximumMessageSize": MAX_MESSAGE})

    def create_queue(self) -> Change:
        """Create the queue of events; its dead-letter queue must exist."""
        [collect] = [spec for spec in specs.OF_EVENTS if spec.use == "collect"]
        dead = {"deadLetterTargetArn": self._names.dead_queue_arn, "maxReceiveCount": RECEIVES}
        more = {
            "VisibilityTimeout": TIMEOUTS * collect.timeout,
            "MaximumMessageSize": MAX_MESSAGE,
            "RedrivePolicy": dead,
            "Policy": resource_policies.senders_only(self._names, self._settings.declared),
        }
        return self._queue(self._names.events_queue, more)

    def create_event_source(self) -> Change:
        """Let Lambda pass the messages of the queue to collect."""
        names = self._names
        source = event_sources.EventSource(names.events_queue, names.function("collect"))
        ensure = event_sources.ensure_event_source
        return self._steps.take("event source", source.name, ensure, source, self._steps.tags)

    def _queue(self, name: str, more: sqs.Attributes) -> Change:
        ensure = partial(sqs.ensure_queue, key=self._steps.organisation.kms_key)
        return self._steps.take("queue", name, ensure, name, self._steps.tags, more)


class ReportApi:
    """The steps of the API of reports; none for a pipeline that serves none."""

    def __init__(self, steps: Steps, settings: ReportSettings) -> None:
        names, rate = steps.names, int(settings.rate)
        self._steps = steps
        self._is_wanted = settings.is_on
        self._http = HttpApi(
            steps,
            apigateway.Api(
                name=names.reports_api,
                description=f"Serves reports of {names.prefix}",
                function_arn=names.function_arn("serve"),
                log_group_arn=names.reports_log_group_arn,
                tags=steps.tags,
                rate=rate,
                burst=2 * rate,
                authorization="AWS_IAM" if settings.auth == IAM else "NONE",
            ),
            use="serve",
            log_group=names.reports_log_group,
            statement_id="api-reports",
            alarms=report_api_alarms,
        )

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._is_wanted:
            return []
        alarms = report_function_alarms(self._steps.names)
        created = (partial(self._steps.create_alarm, alarm) for alarm in alarms)
        return [[self._http.create_log_group, *created]]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        return [self._http.after_functions()] if self._is_wanted else []
