"""The path of events through an account, in steps: from the HTTP API by the queue to collect.

API -> receive -> queue -> collect. The functions and their policies are declared with
the other functions.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from deployer import (
    apigateway,
    event_sources,
    lambda_permissions,
    logs,
    resource_policies,
    specs,
    sqs,
)
from deployer.account import Account
from deployer.alarms import Alarm, ensure_alarm
from deployer.changes import Change
from deployer.event_alarms import api_alarms, queue_alarms
from deployer.names import Names
from deployer.settings import Settings
from deployer.steps import Step, Steps
from etl import Events

# SQS takes messages of a MiB, and Lambda wants six timeouts before one is handed out again:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MAX_MESSAGE = 1024 * 1024
TIMEOUTS = 6
RECEIVES = 5  # before a message is dead
UNKNOWN = "(new)"  # the id of an API that a plan would make


def urls(account: Account, names: Names, sources: Iterable[Events]) -> dict[str, str]:
    """Return where events are posted to, by source; nothing where there is no API."""
    if not (listed := list(sources)) or (root := apigateway.url_of(account, names.api)) is None:
        return {}
    return {source.name: root + source.url_path for source in listed}


class Endpoint:
    """The steps of a pipeline with events; a pipeline without any has none."""

    def __init__(
        self,
        account: Account,
        names: Names,
        tags: Mapping[str, str],
        steps: Steps,
        *,
        settings: Settings,
    ) -> None:
        self._account = account
        self._names = names
        self._tags = tags
        self._steps = steps
        self._settings = settings
        self._is_there = settings.takes_events

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._is_there:
            return []
        alarms = (partial(self.create_alarm, alarm) for alarm in queue_alarms(self._names))
        return [
            [self.create_dead_queue, self.create_queue, *alarms],
            [self.create_access_log_group],
        ]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        names = self._names
        if not self._is_there:
            return []
        return [
            [self.create_event_source],
            [
                self.create_api,
                self.create_api_permission,
                *(
                    partial(self.create_api_alarm, alarm.name)
                    for alarm in api_alarms(names, UNKNOWN)
                ),
            ],
        ]

    def create_dead_queue(self) -> Change:
        """Create the queue of messages that collect has failed at five times."""
        return self._queue(self._names.dead_queue, {"MaximumMessageSize": MAX_MESSAGE})

    def create_queue(self) -> Change:
        """Create the queue of events; the dead letters are to be there."""
        [collect] = [spec for spec in specs.OF_EVENTS if spec.use == "collect"]
        dead = {"deadLetterTargetArn": self._names.dead_queue_arn, "maxReceiveCount": RECEIVES}
        more = {
            "VisibilityTimeout": TIMEOUTS * collect.timeout,
            "MaximumMessageSize": MAX_MESSAGE,
            "RedrivePolicy": dead,
            "Policy": resource_policies.senders_only(self._names, self._settings.declared),
        }
        return self._queue(self._names.events_queue, more)

    def create_access_log_group(self) -> Change:
        """Create the log group of the API's requests."""
        name, days = self._names.access_log_group, specs.LOG_RETENTION_DAYS
        return self._steps.take("log group", name, logs.ensure_log_group, name, days, self._tags)

    def create_event_source(self) -> Change:
        """Have Lambda pass the messages of the queue to collect."""
        source = event_sources.EventSource(
            self._names.events_queue, self._names.function("collect")
        )
        return self._steps.take(
            "event source", source.name, event_sources.ensure_event_source, source, self._tags
        )

    def create_api(self) -> Change:
        """Create the HTTP API, whose requests receive answers."""
        names = self._names
        api = apigateway.Api(
            name=names.api,
            description=f"Takes events for {names.prefix}",
            function_arn=names.function_arn("receive"),
            log_group_arn=names.access_log_group_arn,
            tags=self._tags,
        )
        return self._steps.take("api", api.name, apigateway.ensure_api, api)

    def create_api_permission(self) -> Change:
        """Let that API invoke receive, and no other."""
        permission = lambda_permissions.Permission(
            self._names.function("receive"),
            "api-events",
            "apigateway.amazonaws.com",
            self._names.api_arn(self.api_id()),
            # Its ARN says whose it is.
            names_account=False,
        )
        return self._steps.take(
            "permission",
            f"{permission.function}/{permission.statement_id}",
            lambda_permissions.ensure_permission,
            permission,
        )

    def create_api_alarm(self, name: str) -> Change:
        """Create an alarm of the API, which has an id by now."""
        [alarm] = [each for each in api_alarms(self._names, self.api_id()) if each.name == name]
        return self.create_alarm(alarm)

    def create_alarm(self, alarm: Alarm) -> Change:
        """Create an alarm that notifies the topic."""
        return self._steps.take(
            "alarm", alarm.name, ensure_alarm, alarm, self._names.topic_arn, self._tags
        )

    def _queue(self, name: str, more: sqs.Attributes) -> Change:
        return self._steps.take("queue", name, sqs.ensure_queue, name, self._tags, more)

    def api_id(self) -> str:
        """Return the id of the API, UNKNOWN before it has one."""
        return apigateway.id_of(self._account, self._names.api) or UNKNOWN
