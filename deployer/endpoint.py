"""The path of events through an account, in steps: from the HTTP API by the queue to collect.

API -> receive -> queue -> collect. The functions and their policies are declared with
the other functions.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from deployer.aws import apigateway, event_sources, sqs
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.http_api import HttpApi
from deployer.resources import resource_policies, specs
from deployer.resources.event_alarms import api_alarms, queue_alarms
from deployer.resources.names import Names
from deployer.steps import Step, Steps
from etl import Events

# SQS takes messages of a MiB, and Lambda wants six timeouts before one is handed out again:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MAX_MESSAGE = 1024 * 1024
TIMEOUTS = 6
RECEIVES = 5  # before a message is dead


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
        self._names = names
        self._tags = tags
        self._steps = steps
        self._settings = settings
        self._is_there = settings.takes_events
        self.http = HttpApi(
            account,
            names,
            tags,
            steps,
            apigateway.Api(
                name=names.api,
                description=f"Takes events for {names.prefix}",
                function_arn=names.function_arn("receive"),
                log_group_arn=names.access_log_group_arn,
                tags=tags,
            ),
            use="receive",
            log_group=names.access_log_group,
            statement_id="api-events",
            alarms=api_alarms,
        )

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._is_there:
            return []
        alarms = (partial(self.http.create_alarm, alarm) for alarm in queue_alarms(self._names))
        return [
            [self.create_dead_queue, self.create_queue, *alarms],
            [self.http.create_log_group],
        ]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        if not self._is_there:
            return []
        return [[self.create_event_source], self.http.after_functions()]

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

    def create_event_source(self) -> Change:
        """Have Lambda pass the messages of the queue to collect."""
        source = event_sources.EventSource(
            self._names.events_queue, self._names.function("collect")
        )
        return self._steps.take(
            "event source", source.name, event_sources.ensure_event_source, source, self._tags
        )

    def _queue(self, name: str, more: sqs.Attributes) -> Change:
        return self._steps.take("queue", name, sqs.ensure_queue, name, self._tags, more)
