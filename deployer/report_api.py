"""The HTTP API of reports, as steps: what each function is and may do is said elsewhere.

It is not the API of events: its callers are others, and so are its limits and who may use it.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from deployer.aws import apigateway
from deployer.aws.account import Account
from deployer.configuration.report_settings import IAM, ReportSettings
from deployer.http_api import HttpApi
from deployer.resources.names import Names
from deployer.resources.report_alarms import api_alarms, function_alarms
from deployer.steps import Step, Steps
from etl import Report
from etl.reports import OWN_PATHS


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
        self._names = names
        self._is_there = settings.is_on
        rate = int(settings.rate)
        self._http = HttpApi(
            account,
            names,
            tags,
            steps,
            apigateway.Api(
                name=names.reports_api,
                description=f"Serves reports of {names.prefix}",
                function_arn=names.function_arn("serve"),
                log_group_arn=names.reports_log_group_arn,
                tags=tags,
                rate=rate,
                burst=2 * rate,
                authorization="AWS_IAM" if settings.auth == IAM else "NONE",
            ),
            use="serve",
            log_group=names.reports_log_group,
            statement_id="api-reports",
            alarms=api_alarms,
        )

    def before_functions(self) -> list[list[Step]]:
        """Return the chains of steps that do not need the functions."""
        if not self._is_there:
            return []
        alarms = (partial(self._http.create_alarm, each) for each in function_alarms(self._names))
        return [[self._http.create_log_group, *alarms]]

    def after_functions(self) -> list[list[Step]]:
        """Return the chains of steps that need the functions."""
        return [self._http.after_functions()] if self._is_there else []
