"""An HTTP API before a function, as steps: its log group, itself, its permission, its alarms."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from deployer.aws import apigateway, lambda_permissions, logs
from deployer.aws.account import Account
from deployer.aws.alarms import Alarm, ensure_alarm
from deployer.aws.changes import Change
from deployer.resources import specs
from deployer.resources.names import FunctionUse, Names
from deployer.steps import Step, Steps

UNKNOWN = "(new)"  # the id of an API that a plan would make


@dataclass(frozen=True)
class HttpApi:
    """The steps of one API, whose requests the function `use` answers.

    `statement_id` is that of the permission to invoke it; `alarms` are those of an API's id.
    """

    account: Account
    names: Names
    tags: Mapping[str, str]
    steps: Steps
    api: apigateway.Api
    use: FunctionUse
    log_group: str
    statement_id: str
    alarms: Callable[[Names, str], Iterable[Alarm]]

    def after_functions(self) -> list[Step]:
        """Return the chain of steps that need the function, and the log group."""
        alarms = self.alarms(self.names, UNKNOWN)
        return [
            self.create,
            self.create_permission,
            *(partial(self.create_own_alarm, alarm.name) for alarm in alarms),
        ]

    def create_log_group(self) -> Change:
        """Create the log group of its requests."""
        name, days = self.log_group, specs.LOG_RETENTION_DAYS
        return self.steps.take("log group", name, logs.ensure_log_group, name, days, self.tags)

    def create(self) -> Change:
        """Create the API."""
        return self.steps.take("api", self.api.name, apigateway.ensure_api, self.api)

    def create_permission(self) -> Change:
        """Let it invoke its function, and no other API."""
        permission = lambda_permissions.Permission(
            self.names.function(self.use),
            self.statement_id,
            "apigateway.amazonaws.com",
            self.names.api_arn(self.id()),
            # Its ARN says whose it is.
            names_account=False,
        )
        return self.steps.take(
            "permission",
            f"{permission.function}/{permission.statement_id}",
            lambda_permissions.ensure_permission,
            permission,
        )

    def create_own_alarm(self, name: str) -> Change:
        """Create one of its alarms: it has an id by now."""
        [alarm] = [each for each in self.alarms(self.names, self.id()) if each.name == name]
        return self.create_alarm(alarm)

    def create_alarm(self, alarm: Alarm) -> Change:
        """Create an alarm that publishes to the topic."""
        return self.steps.take(
            "alarm", alarm.name, ensure_alarm, alarm, self.names.topic_arn, self.tags
        )

    def id(self) -> str:
        """Return its id; one that is only planned has none."""
        return apigateway.id_of(self.account, self.api.name) or UNKNOWN
