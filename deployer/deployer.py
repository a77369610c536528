"""The deployment as a story: which steps there are, what each needs, and their order.

How a single resource is read, compared and written is up to its service's module.
"""

from functools import partial

from deployer.aws import (
    iam,
    lambda_functions,
    lambda_layers,
    lambda_permissions,
    logs,
    s3,
    s3_notifications,
    secrets,
    sns,
    sqs,
)
from deployer.aws import schedules as events
from deployer.aws.account import Account
from deployer.aws.alarms import Alarm, ensure_alarm
from deployer.aws.changes import Change
from deployer.aws.dashboards import ensure_dashboard
from deployer.configuration.settings import Settings
from deployer.endpoint import Endpoint
from deployer.errors import explaining
from deployer.packaging.packages import Package, Packages
from deployer.progress import Report
from deployer.report_api import ReportApi
from deployer.resources import policies, resource_policies, specs
from deployer.resources.alarm_specs import alarms
from deployer.resources.dashboard import dashboard_body
from deployer.resources.names import BucketUse, FunctionUse, Names, RuleUse
from deployer.steps import Step, Steps, side_by_side


class Deployer:
    """Deploys the pipeline into an account, or, when the account is `planning`, reports how.

    Every `create_*` step may be run again and again: it leaves what is as it should be, and
    otherwise creates or updates it.
    """

    def __init__(
        self, account: Account, settings: Settings, packages: Packages, report: Report
    ) -> None:
        self.account = account
        self.settings = settings
        self.names = Names(settings.project, settings.stage, account.id, account.region)
        self.tags = specs.tags(settings)
        self._packages = packages
        self._report = report
        self._steps = Steps(account, report)
        chosen = settings.runtime, settings.architecture
        self._runtime, self._architecture = lambda_functions.runtime_of(account, *chosen)
        self._layer_arns: dict[str, str] = {}
        self.one_run_at_a_time = False
        self.functions = specs.functions(settings)
        self.endpoint = Endpoint(account, self.names, self.tags, self._steps, settings=settings)
        self.report_api = ReportApi(
            account, self.names, self.tags, self._steps, settings=settings.reports
        )

    def deploy(self) -> list[Change]:
        """Create or update the whole pipeline; return what was done, in the order of the story.

        Steps that do not need each other run side by side. Running it again after an error goes
        on from there, and running it again after a success writes nothing.

        Raises:
            DeployError: a step cannot be done; those running beside it are finished first.
        """
        wanted_alarms = alarms(self.names, of_files=self.settings.reads_files)
        changes = side_by_side(
            [
                partial(self.create_bucket, "code"),
                *(
                    partial(self.create_layer, layer)
                    for layer in self._layers(*(spec.use for spec in self.functions))
                ),
            ],
            [partial(self.create_bucket, "ingestion")],
            [partial(self.create_bucket, "processed")],
            [partial(self.create_bucket, "drop")] if self.settings.takes_files else [],
            *([partial(self.create_secret, name)] for name in self.settings.secrets),
            [self.create_queue],
            [
                self.create_topic,
                self.create_subscription,
                # In turn: CloudWatch takes three alarms a second.
                *(partial(self.create_alarm, alarm) for alarm in wanted_alarms),
            ],
            [] if self.settings.takes_events else [self.create_dashboard],
            *self.endpoint.before_functions(),
            *self.report_api.before_functions(),
            *([partial(self.create_log_group, spec.use)] for spec in self.functions),
            *([partial(self.create_iam_role, spec.use)] for spec in self.functions),
        )
        self.one_run_at_a_time = self._can_reserve_runs()
        changes += side_by_side(
            *([partial(self.create_lambda_function, spec)] for spec in self.functions),
        )
        changes += side_by_side(
            [
                *self._scheduled("extract-schedule", "extract", self.settings.extract_schedule),
                *(self._woken_by("drop", "extract") if self.settings.takes_files else []),
            ],
            [
                *self._scheduled("transform-sweep", "transform", specs.SWEEP_SCHEDULE),
                *self._woken_by("ingestion", "transform", specs.BATCH_LOG),
            ],
            self._scheduled("load-schedule", "load", self.settings.load_schedule),
            self._scheduled("reconcile-schedule", "reconcile", specs.RECONCILE_SCHEDULE),
            [
                *self._scheduled("page-sweep", "page", specs.SWEEP_SCHEDULE),
                *self._woken_by("processed", "page", specs.MARKERS),
            ],
            *self.endpoint.after_functions(),
            *self.report_api.after_functions(),
        )
        if self.settings.takes_events:
            changes.append(self.create_dashboard())  # it names the API by its id
        return changes + self.remove_old_layers() + self.remove_old_secrets()

    def create_bucket(self, use: BucketUse) -> Change:
        """Create a private, encrypted, versioned bucket."""
        name = self.names.bucket(use)
        # An emulator that speaks plain http would refuse every call under such a policy.
        policy = (
            resource_policies.bucket_policy(use, self.names) if self.account.speaks_tls else None
        )
        # A dropped file is the only copy of what was delivered.
        ensure = partial(s3.ensure_bucket, keeps_versions=use == "drop")
        return self._steps.take("bucket", name, ensure, name, policy, self.tags)

    def create_secret(self, part: str) -> Change:
        """Store the address of a source or target, or the signing keys of events, as a secret."""
        name, value = self.names.secret(part), self.settings.secrets[part]
        return self._steps.take("secret", name, secrets.ensure_secret, name, value, self.tags)

    def create_queue(self) -> Change:
        """Create the queue of events that failed for good."""
        name = self.names.queue
        return self._steps.take("queue", name, sqs.ensure_queue, name, self.tags)

    def create_topic(self) -> Change:
        """Create the topic of alarms and notices."""
        name, arn = self.names.topic, self.names.topic_arn
        policy = resource_policies.alarms_only(self.names)
        return self._steps.take("topic", name, sns.ensure_topic, name, arn, policy, self.tags)

    def create_subscription(self) -> Change:
        """Subscribe the e-mail address of the settings; its owner is asked to confirm it."""
        name, arn = self.names.topic, self.names.topic_arn
        email = self.settings.alert_email
        return self._steps.take("subscription", name, sns.ensure_subscription, name, arn, email)

    def create_alarm(self, alarm: Alarm) -> Change:
        """Create an alarm that notifies the topic."""
        return self._steps.take(
            "alarm", alarm.name, ensure_alarm, alarm, self.names.topic_arn, self.tags
        )

    def create_dashboard(self) -> Change:
        """Create the dashboard of the alarms and the figures behind them."""
        name = self.names.dashboard
        api_id = self.endpoint.http.id() if self.settings.takes_events else None
        body = dashboard_body(
            self.names,
            of_files=self.settings.reads_files,
            api_id=api_id,
            serves=self.settings.reports.is_on,
        )
        return self._steps.take("dashboard", name, ensure_dashboard, name, body, self.tags)

    def create_log_group(self, use: FunctionUse) -> Change:
        """Create the log group of a function."""
        name = self.names.log_group(use)
        days = specs.LOG_RETENTION_DAYS
        return self._steps.take("log group", name, logs.ensure_log_group, name, days, self.tags)

    def create_iam_role(self, use: FunctionUse) -> Change:
        """Create the role of a function, with the least that it needs."""
        name = self.names.role(use)
        writes_notices = use in specs.NOTICE_WRITERS[self.settings.notify]
        policy = policies.function_policy(
            use,
            self.names,
            self.settings.declared,
            self.settings.buckets,
            apis=self.settings.urls,
            report_secrets=self.settings.reports.read_secrets,
            writes_notices=writes_notices,
        )
        trust = resource_policies.trust_policy(self.names)
        return self._steps.take("role", name, iam.ensure_role, name, trust, policy, self.tags)

    def build_zip(self, use: FunctionUse) -> Package:
        """Pack the code of a function."""
        return self._packages.build_function_zip(
            use, self.settings.pipeline, specs.parts(use, self.settings.declared)
        )

    def create_layer(self, layer: str) -> Change:
        """Build a layer and publish it through the code bucket."""
        return self._steps.take("layer", self.names.layer(layer), self._create_layer, layer)

    def create_lambda_function(self, spec: specs.FunctionSpec) -> Change:
        """Create a function; its role, log group, queue and layers come before it."""
        name = self.names.function(spec.use)
        arn = self.names.function_arn(spec.use)
        return self._steps.take(
            "function", name, lambda_functions.ensure_function, arn, self._function(spec)
        )

    def create_rule(self, use: RuleUse, schedule: str) -> Change:
        """Create a rule that fires by schedule."""
        name, arn = self.names.rule(use), self.names.rule_arn(use)
        return self._steps.take("rule", name, events.ensure_rule, name, arn, schedule, self.tags)

    def create_rule_permission(self, use: RuleUse, function: FunctionUse) -> Change:
        """Let a rule invoke a function."""
        return self._create_permission(
            function, f"rule-{use}", "events.amazonaws.com", self.names.rule_arn(use)
        )

    def create_target(self, use: RuleUse, function: FunctionUse) -> Change:
        """Make a rule invoke a function."""
        rule, arn = self.names.rule(use), self.names.function_arn(function)
        return self._steps.take("target", rule, events.ensure_target, rule, arn)

    def create_bucket_permission(self, bucket: BucketUse, function: FunctionUse) -> Change:
        """Let a bucket invoke a function."""
        return self._create_permission(
            function, f"bucket-{bucket}", "s3.amazonaws.com", self.names.bucket_arn(bucket)
        )

    def create_bucket_notification(
        self, bucket: BucketUse, function: FunctionUse, prefix: str
    ) -> Change:
        """Make each new object under a prefix of a bucket invoke a function."""
        notification = s3_notifications.Notification(
            id=self.names.function(function),
            bucket=self.names.bucket(bucket),
            prefix=prefix,
            function_arn=self.names.function_arn(function),
        )
        ensure = s3_notifications.ensure_notification
        return self._steps.take("notification", notification.bucket, ensure, notification)

    def remove_old_layers(self) -> list[Change]:
        """Remove the layer versions that the functions do not use any more."""
        changes = []
        for name, arn in ((self.names.layer(each), arn) for each, arn in self._layer_arns.items()):
            with explaining(f"layer {name}"):
                changes += lambda_layers.remove_old_versions(self.account, name, arn)
        return self._reported(changes)

    def remove_old_secrets(self) -> list[Change]:
        """Remove the secrets of sources and targets that are not declared or set any more."""
        wanted = [self.names.secret(name) for name in self.settings.secrets]
        marks = specs.own_tags(self.settings.project, self.settings.stage)
        with explaining("old secrets"):
            changes = secrets.remove_other_secrets(
                self.account, self.names.secret(""), wanted, marks
            )
        return self._reported(changes)

    def _reported(self, changes: list[Change]) -> list[Change]:
        for change in changes:
            self._report(change)
        return changes

    def _can_reserve_runs(self) -> bool:
        with explaining("concurrency of the account"):
            runs = sum(spec.runs or 0 for spec in self.functions)
            return lambda_functions.can_reserve(self.account, runs)

    def _scheduled(self, use: RuleUse, function: FunctionUse, schedule: str) -> list[Step]:
        """Return the steps by which a function is invoked by schedule."""
        return [
            partial(self.create_rule, use, schedule),
            partial(self.create_rule_permission, use, function),
            partial(self.create_target, use, function),
        ]

    def _woken_by(self, bucket: BucketUse, function: FunctionUse, prefix: str = "") -> list[Step]:
        """Return the steps by which a function is invoked for new objects of a bucket."""
        return [
            partial(self.create_bucket_permission, bucket, function),
            partial(self.create_bucket_notification, bucket, function, prefix),
        ]

    def _layers(self, *uses: FunctionUse) -> list[str]:
        """Return the layers of some functions."""
        pipeline, declared = self.settings.pipeline, self.settings.declared
        layers = (layer for use in uses for layer in specs.layers_of(use, pipeline, declared))
        return list(dict.fromkeys(layers))

    def _create_layer(self, account: Account, layer: str) -> Change:
        python = self._runtime.removeprefix("python")
        own = specs.requirements(self.settings.pipeline) if layer == specs.OWN_LAYER else None
        built = self._packages.build_layer(
            layer, python, self._architecture, account.is_local, requirements=own
        )
        change, arn = lambda_layers.ensure_layer(
            account,
            self.names.layer(layer),
            built,
            f"{self._runtime} {self._architecture}",
            self.names.bucket("code"),
        )
        self._layer_arns[layer] = arn
        return change

    def _create_permission(
        self, use: FunctionUse, statement: str, service: str, source: str
    ) -> Change:
        permission = lambda_permissions.Permission(
            self.names.function(use), statement, service, source
        )
        return self._steps.take(
            "permission",
            f"{permission.function}/{statement}",
            lambda_permissions.ensure_permission,
            permission,
        )

    def _function(self, spec: specs.FunctionSpec) -> lambda_functions.Function:
        return lambda_functions.Function(
            name=self.names.function(spec.use),
            description=spec.description,
            handler=spec.handler,
            runtime=self._runtime,
            architecture=self._architecture,
            memory=spec.memory,
            timeout=spec.timeout,
            role_arn=self.names.role_arn(spec.use),
            layers=tuple(self._layer_arns[layer] for layer in self._layers(spec.use)),
            environment=specs.function_environment(spec.use, self.names, self.settings),
            code=self.build_zip(spec.use),
            concurrency=spec.runs if self.one_run_at_a_time else None,
            retries=spec.events.retries,
            event_age=spec.events.age,
            failed_events_arn=self.names.queue_arn if spec.events.keeps_failed else None,
            tags=self.tags,
        )
