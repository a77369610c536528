"""The topic, the alarms that notify it, and the dashboard of a deployment, as steps."""

from collections.abc import Callable
from functools import partial

from deployer.aws import cloudwatch, sns
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.resources import resource_policies, specs
from deployer.resources.alarm_specs import alarms, schedules_with_lake, silence_alarms
from deployer.resources.dashboard import dashboard_body
from deployer.resources.log_alarm import log_alarm
from deployer.steps import Step, Steps


class Monitoring:
    """The steps by which people learn how a pipeline is."""

    def __init__(self, steps: Steps, settings: Settings, events_api_id: Callable[[], str]) -> None:
        """`events_api_id` returns the id of the API of events, which exists by then."""
        self._steps = steps
        self._names = steps.names
        self._settings = settings
        self._events_api_id = events_api_id
        self._schedules = specs.schedules(settings)

    def before_functions(self) -> list[Step]:
        """Return the chain of steps that do not need the functions.

        One after the other: CloudWatch accepts three alarms a second.
        """
        settings = self._settings
        wanted = alarms(
            self._names,
            self._schedules,
            of_files=settings.reads_files,
            of_logs=bool(settings.logged),
        )
        silence = silence_alarms(self._names, self._schedules)
        return [
            self.create_topic,
            self.create_subscription,
            *(partial(self._steps.create_alarm, alarm) for alarm in wanted if alarm not in silence),
        ]

    def after_functions(self) -> list[Step]:
        """Return the chain of steps that need the functions, their schedules and the APIs."""
        silence = silence_alarms(self._names, self._schedules)
        return [
            *(partial(self._steps.create_alarm, alarm) for alarm in silence),
            self.create_dashboard,
        ]

    def create_topic(self) -> Change:
        """Create the topic of alarms and notices."""
        name, arn = self._names.topic, self._names.topic_arn
        policy = resource_policies.alarms_only(self._names)
        tags = self._steps.tags
        ensure = partial(sns.ensure_topic, key=self._steps.organisation.kms_key)
        return self._steps.take("topic", name, ensure, name, arn, policy, tags)

    def create_subscription(self) -> Change:
        """Subscribe the e-mail address of the settings; its owner is asked to confirm it."""
        name, arn = self._names.topic, self._names.topic_arn
        email = self._settings.alert_email
        return self._steps.take("subscription", name, sns.ensure_subscription, name, arn, email)

    def create_dashboard(self) -> Change:
        """Create the dashboard; it shows the API of events by its id, so that comes first."""
        body = dashboard_body(
            self._names,
            self._schedules,
            of_files=self._settings.reads_files,
            of_logs=bool(self._settings.logged),
            api_id=self._events_api_id() if self._settings.takes_events else None,
            serves=self._settings.reports.is_on,
        )
        name, ensure = self._names.dashboard, cloudwatch.ensure_dashboard
        return self._steps.take("dashboard", name, ensure, name, body, self._steps.tags)

    def remove_old_alarms(self, *, is_first: bool) -> list[Change]:
        """Remove the alarms of silence that a schedule which may pause for a week cannot have.

        And that of the log of sources, where no source keeps it any more: the first deployment has
        none.
        """
        wanted = silence_alarms(self._names, self._schedules)
        by_default = schedules_with_lake() if self._settings.has_lake else specs.schedules()
        old = {alarm.name for alarm in silence_alarms(self._names, by_default)}
        old -= {alarm.name for alarm in wanted}
        if not (self._settings.logged or is_first):
            old.add(log_alarm(self._names).name)
        return [
            Change("alarm", name, "removed")
            for name in sorted(old)
            if cloudwatch.remove_alarm(self._steps.account, name)
        ]
