"""The HTTP API of reports, as steps: what each function is and may do is said elsewhere.

It is not the API of events: its callers are others, and so are its limits and who may use it.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from deployer import apigateway, lambda_permissions, logs, specs
from deployer.account import Account
from deployer.alarms import Alarm, ensure_alarm
from deployer.changes import Change
from deployer.names import Names
from deployer.report_alarms import api_alarms, function_alarms
from deployer.report_settings import IAM, ReportSettings
from deployer.steps import Step, Steps
from etl import Report
from etl.reports import OWN_PATHS

UNKNOWN = "(new)"  # the id of an API that a plan would make


def report_urls(account: Account, names: Names, reports: Iterable[Report]) -> dict[str, str]:
    """Return where reports are, by their paths; nothing where there is no API."""
    paths = [report.path for report in reports]
    if not paths or (root := apigateway.url_of(account, names.reports_api)) is None:
        return {}
    return {path.removeprefix("/"): root + path for path in (*paths, *OWN_PATHS)}


class ReportApi:
    """The steps of a pipeline that serves reports; any other has none."""

    def __init__(
        self,
        account: Account,
        names: Names,
        tags: Mapping[str, str],
        steps: Steps,
        *,
        settings: ReportSettings,
    ) -> None:
        self._account = account
        self._names = names
        self._tags = tags
        self._steps = steps
        self._settings = settings

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._settings.is_on:
            return []
        alarms = (partial(self.create_alarm, alarm) for alarm in function_alarms(self._names))
        return [[self.create_log_group, *alarms]]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        if not self._settings.is_on:
            return []
        alarms = (
            partial(self.create_api_alarm, alarm.name) for alarm in api_alarms(self._names, UNKNOWN)
        )
        return [[self.create_api, self.create_permission, *alarms]]

    def create_log_group(self) -> Change:
        """Create the log group of the API's requests."""
        name, days = self._names.reports_log_group, specs.LOG_RETENTION_DAYS
        return self._steps.take("log group", name, logs.ensure_log_group, name, days, self._tags)

    def create_api(self) -> Change:
        """Create the HTTP API, whose requests serve answers."""
        names, rate = self._names, int(self._settings.rate)
        api = apigateway.Api(
            name=names.reports_api,
            description=f"Serves reports of {names.prefix}",
            function_arn=names.function_arn("serve"),
            log_group_arn=names.reports_log_group_arn,
            tags=self._tags,
            rate=rate,
            burst=2 * rate,
            authorization="AWS_IAM" if self._settings.auth == IAM else "NONE",
        )
        return self._steps.take("api", api.name, apigateway.ensure_api, api)

    def create_permission(self) -> Change:
        """Let that API invoke serve, and no other."""
        permission = lambda_permissions.Permission(
            self._names.function("serve"),
            "api-reports",
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
        """Create an alarm that publishes to the topic."""
        return self._steps.take(
            "alarm", alarm.name, ensure_alarm, alarm, self._names.topic_arn, self._tags
        )

    def api_id(self) -> str:
        """Return the id of the API; one that is only planned has none."""
        return apigateway.id_of(self._account, self._names.reports_api) or UNKNOWN
