"""The deployment, step by step: which steps there are, what each needs, and their order.

How one resource is read, compared and written is up to the module of its service.
"""

from collections.abc import Iterator
from functools import partial

from deployer.aws import (
    glue,
    iam,
    lambda_functions,
    lambda_layers,
    s3,
    secrets,
    sqs,
)
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.existing_secrets import require_region
from deployer.configuration.settings import Settings
from deployer.encryption import check_key, check_proof_key
from deployer.endpoints import EventEndpoint, ReportApi
from deployer.errors import explaining
from deployer.existing_roles import check_roles
from deployer.leftovers import old_lake, old_layers, old_reports, old_secrets
from deployer.monitoring import Monitoring
from deployer.networking import FunctionNetwork
from deployer.operations import selfcheck
from deployer.packaging.packages import Package, Packages
from deployer.records import Recording, recording, write
from deployer.resources import environments, resource_policies, specs
from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.resource_policies import Policy
from deployer.resources.roles import rights_of
from deployer.steps import Report, Step, Steps, concurrently
from deployer.triggers import Triggers


class Deployer:
    """Deploys the pipeline into an account, or, when the account is `planning`, reports how.

    Every `create_*` step is idempotent: it leaves a resource that is as it should be, and creates
    or updates any other.
    """

    def __init__(
        self, account: Account, settings: Settings, packages: Packages, report: Report
    ) -> None:
        require_region(settings.existing, account.region)
        self.account = account
        self.settings = settings
        self.names = Names.of(settings, account.id, account.region)
        self.tags = specs.tags(settings)
        self._packages = packages
        self._report = report
        self._steps = Steps(account, self.names, self.tags, report, settings.organisation)
        chosen = settings.runtime, settings.architecture
        self._runtime, self._architecture = lambda_functions.runtime_of(account, *chosen)
        self._layer_arns: dict[str, str] = {}
        self._role_ids: dict[str, str] = {}
        self._policies: dict[str, Policy | None] = {}
        self._recording = Recording([])
        self._functions: dict[str, lambda_functions.Function] = {}
        self.one_run_at_a_time = False
        self.functions = specs.functions(settings)
        self.endpoint = EventEndpoint(self._steps, settings)
        self.report_api = ReportApi(self._steps, settings.reports)
        self.triggers = Triggers(self._steps)
        self.monitoring = Monitoring(self._steps, settings, self.endpoint.http.id)
        self.network = FunctionNetwork(account, settings, self.names)

    def deploy(self) -> list[Change]:
        """Create or update the whole pipeline; return all changes, in the order of the steps.

        Steps that do not need each other run concurrently. After an error, running it again
        continues from there; after a success, it writes nothing.

        Raises:
            DeployError: a step failed; those that ran at the same time are finished first.
        """
        self.network.check()
        check_key(self.account, self.settings.organisation.kms_key, self.names)
        check_proof_key(self.account, self.settings.organisation.proof_key, self.names)
        self._role_ids |= check_roles(self.account, self.names)
        changes = concurrently(*self._before_functions())
        self.one_run_at_a_time = self._can_reserve_runs()
        changes += concurrently(
            *([partial(self.create_lambda_function, spec)] for spec in self.functions)
        )
        changes += concurrently(*self._after_functions())
        changes += concurrently(self.monitoring.after_functions())
        return changes + self.remove_leftovers()

    def check_functions(self) -> None:
        """Ask each function whether it starts and reaches what it needs; if so, record that.

        Raises:
            OperationError: a line for each thing that a function cannot use, with what to do.
        """
        selfcheck.require_working(self.account, self.names, [each.use for each in self.functions])
        self.record()

    def _before_functions(self) -> Iterator[list[Step]]:
        """Yield the chains of steps that do not need the functions."""
        settings, uses = self.settings, [spec.use for spec in self.functions]
        layers = self._layers(*uses)
        yield [
            partial(self.create_bucket, "code"),
            *(partial(self.create_layer, layer) for layer in layers),
        ]
        yield [partial(self.create_bucket, "ingestion")]
        yield [partial(self.create_bucket, "processed")]
        if settings.takes_files:
            yield [partial(self.create_bucket, "drop")]
        for name in settings.secrets:
            yield [partial(self.create_secret, name)]
        yield [self.create_queue]
        if settings.has_lake:
            yield [self.create_database]
        yield self.monitoring.before_functions()
        yield from self.endpoint.before_functions()
        yield from self.report_api.before_functions()
        for use in uses:
            yield [partial(self.create_log_group, use)]
            if use not in self.names.existing_roles:
                yield [partial(self.create_iam_role, use)]

    def _after_functions(self) -> Iterator[list[Step]]:
        """Yield the chains of steps by which the functions are invoked."""
        settings, triggers = self.settings, self.triggers
        yield [
            *triggers.on_schedule("extract-schedule", "extract", settings.extract_schedule),
            *(triggers.on_new_objects("drop", "extract") if settings.takes_files else []),
        ]
        yield [
            *triggers.on_schedule("transform-sweep", "transform", specs.SWEEP_SCHEDULE),
            *triggers.on_new_objects("ingestion", "transform", specs.BATCH_LOG),
        ]
        yield triggers.on_schedule("load-schedule", "load", settings.load_schedule)
        yield triggers.on_schedule("reconcile-schedule", "reconcile", specs.RECONCILE_SCHEDULE)
        yield [
            *triggers.on_schedule("page-sweep", "page", specs.SWEEP_SCHEDULE),
            *triggers.on_new_objects("processed", "page", specs.MARKERS),
        ]
        if settings.has_lake:
            yield triggers.on_schedule("lake-schedule", "lake", settings.lake_schedule)
        yield from self.endpoint.after_functions()
        yield from self.report_api.after_functions()

    def create_bucket(self, use: BucketUse) -> Change:
        """Create a private, encrypted, versioned bucket."""
        name = self.names.bucket(use)
        # Under such a policy, an emulator that speaks plain HTTP would refuse every call.
        policy = (
            resource_policies.bucket_policy(use, self.names) if self.account.speaks_tls else None
        )
        # A dropped file is the only copy of what was delivered: its old versions are kept.
        ensure = partial(
            s3.ensure_bucket,
            keeps_versions=use == "drop",
            short_lived=specs.SHORT_LIVED.get(use),
            key=self.settings.organisation.kms_key,
        )
        return self._steps.take("bucket", name, ensure, name, policy, self.tags)

    def create_secret(self, part: str) -> Change:
        """Create the secret of a source or target: its address, key or signing secrets."""
        name, value = self.names.secret(part), self.settings.secrets[part]
        ensure = partial(secrets.ensure_secret, key=self.settings.organisation.kms_key)
        return self._steps.take("secret", name, ensure, name, value, self.tags)

    def create_queue(self) -> Change:
        """Create the queue of events that a function failed to process."""
        name = self.names.queue
        ensure = partial(sqs.ensure_queue, key=self.settings.organisation.kms_key)
        return self._steps.take("queue", name, ensure, name, self.tags)

    def create_database(self) -> Change:
        """Create the database of the Iceberg tables in the Glue catalogue."""
        name, arn = self.names.lake_database, self.names.lake_database_arn
        return self._steps.take("database", name, glue.ensure_database, name, arn, self.tags)

    def create_log_group(self, use: FunctionUse) -> Change:
        """Create the log group of a function."""
        return self._steps.create_log_group(self.names.log_group(use))

    def create_iam_role(self, use: FunctionUse) -> Change:
        """Create the role of a function, with the least rights that it needs."""
        name = self.names.role(use)
        policy = self._rights_of(use)
        trust = resource_policies.trust_policy(self.names)
        rules = self.settings.organisation
        path, boundary = rules.role_path, rules.boundary
        ensure = partial(iam.ensure_role, path=path, boundary=boundary, ids=self._role_ids)
        return self._steps.take("role", name, ensure, name, trust, policy, self.tags)

    def _rights_of(self, use: FunctionUse) -> Policy:
        in_network = self.network.needs_rights(use)
        return rights_of(use, self.names, self.settings, in_network=in_network)

    def build_zip(self, use: FunctionUse) -> Package:
        """Build the zip of a function's code."""
        return self._packages.build_function_zip(
            use, self.settings.pipeline, specs.parts(use, self.settings.declared)
        )

    def create_layer(self, layer: str) -> Change:
        """Build a layer and publish it through the code bucket."""
        return self._steps.take("layer", self.names.layer(layer), self._create_layer, layer)

    def create_lambda_function(self, spec: specs.FunctionSpec) -> Change:
        """Create a function; its role, log group, queue and layers must exist."""
        name = self.names.function(spec.use)
        arn = self.names.function_arn(spec.use)
        function = self._functions[name] = self._function(spec)
        is_ours = spec.use not in self.names.existing_roles
        self._policies[name] = self._rights_of(spec.use) if is_ours else None
        return self._steps.take("function", name, lambda_functions.ensure_function, arn, function)

    def remove_leftovers(self) -> list[Change]:
        """Remove what neither this deployment needs, nor a rollback; the first one is recorded."""
        functions, account, names = self._functions.values(), self.account, self.names
        is_served = self.settings.reports.is_on
        with explaining("record of the deployment"):
            self._recording = recording(account, names, functions, self._policies)
        if is_first := len(self._recording.kept) == 1:
            self.record()
        with explaining("leftovers of deployments"):
            changes = [
                *self._recording.changes,
                *self.monitoring.remove_old_alarms(is_first=is_first),
                *old_layers(account, names, self._layer_arns, self._recording.kept),
                *old_secrets(account, names, self.settings, self._recording.kept),
                *([] if is_first or self.settings.has_lake else old_lake(account, names)),
                *([] if is_served else old_reports(account, names, self._recording.kept)),
            ]
        for change in changes:
            self._report(change)
        return changes

    def record(self) -> None:
        """Record the deployment, so that a later one can be rolled back to it."""
        kept, code = self._recording.kept, self._recording.code
        if code is not None:
            with explaining("record of the deployment"):
                self.account.write(lambda: write(self.account, self.names, kept, code))
            self._recording = Recording(kept)

    def _can_reserve_runs(self) -> bool:
        if not self.settings.organisation.reserves_runs:
            return False
        with explaining("concurrency of the account"):
            runs = sum(spec.runs or 0 for spec in self.functions)
            return lambda_functions.can_reserve(self.account, runs)

    def _layers(self, *uses: FunctionUse) -> list[str]:
        """Return the layers of some functions."""
        pipeline, declared = self.settings.pipeline, self.settings.declared
        layers = (layer for use in uses for layer in specs.layers_of(use, pipeline, declared))
        return list(dict.fromkeys(layers))

    def _create_layer(self, account: Account, layer: str) -> Change:
        functions = [self.names.function(spec.use) for spec in self.functions]
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
            in_use=partial(lambda_functions.layers_of, account, functions),
        )
        self._layer_arns[layer] = arn
        return change

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
            role_id=self._role_ids.get(self.names.role(spec.use)),
            other_role_arn=self.names.role_arn(self.network.other_than(spec.use)),
            layers=tuple(self._layer_arns[layer] for layer in self._layers(spec.use)),
            network=self.network.of(spec.use),
            kms_key=self.settings.organisation.kms_key,
            environment=environments.function_environment(spec.use, self.names, self.settings),
            code=self.build_zip(spec.use),
            concurrency=spec.runs if self.one_run_at_a_time else None,
            retries=spec.events.retries,
            event_age=spec.events.age,
            failed_events_arn=self.names.queue_arn if spec.events.keeps_failed else None,
            tags=self.tags,
        )
