"""The settings of a deployment, read and checked once, before anything is changed.

Nothing here connects to AWS or to a database, and no message or repr holds a password.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deployer.configuration import runtimes
from deployer.configuration.apis import (
    ReportSettings,
    read_keys,
    read_reports,
    read_urls,
    read_webhooks,
)
from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.declaration import (
    create_statements,
    default_project,
    notices_of,
    pipeline_name,
    present_sources,
    read_pipeline,
)
from deployer.configuration.existing_secrets import ExistingSecret
from deployer.configuration.network import Network, read_network
from deployer.configuration.organisation import Organisation, read_organisation
from deployer.configuration.reader import (
    ARCHITECTURES,
    DEFAULT_SCHEMA,
    EMAIL,
    ICEBERG,
    LAKES,
    NAME,
    Reader,
    RemoteBucket,
)
from deployer.errors import SettingsError
from etl import Events, Files
from etl.loading import load
from etl.pipeline import Pipeline
from etl.sources import WAL, Postgres, Source


@dataclass(frozen=True)
class Settings:
    """What the user decides about one deployment.

    `pipeline` is the folder of its declaration. By the name of a source or target: `databases` are
    addresses, `existing` the secrets of others that have them instead, `captures` how changed rows
    are found if not by a scan, `buckets` those of files in somebody else's bucket, `webhooks` the
    signing secrets of events, `urls` those of APIs, `keys` those of APIs and of providers' lists of
    events. `own` are the values of the settings that the pipeline declares, `reports` how its
    reports are served.
    """

    pipeline: str
    project: str
    databases: Mapping[str, DatabaseAddress]
    existing: Mapping[str, ExistingSecret] = field(default_factory=dict)
    captures: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, RemoteBucket] = field(default_factory=dict)
    webhooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: Mapping[str, str] = field(default_factory=dict)
    reports: ReportSettings = field(default_factory=ReportSettings)
    organisation: Organisation = field(default_factory=Organisation)
    max_rejects: str = "5%"
    warehouse_schema: str = DEFAULT_SCHEMA
    warehouse_managed: bool = False
    alert_email: str | None = None
    notify: str = "failures"
    stage: str = "dev"
    extract_schedule: str = "rate(1 minute)"
    load_schedule: str = "rate(2 minutes)"
    lake: str = "off"
    lake_schedule: str = "rate(15 minutes)"
    expires_at: datetime | None = None
    runtime: str = runtimes.DEFAULT
    architecture: str = "arm64"
    network: Network | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings from environment variables.

        An empty variable counts as not set.

        Raises:
            SettingsError: with one line for every setting that is missing or malformed.
        """
        reader = Reader(environment)
        pipeline, declared = read_pipeline(environment)
        present = present_sources(declared, environment)
        settings = cls(
            pipeline=pipeline,
            project=reader.matching("PROJECT", NAME, default_project(pipeline)),
            databases=reader.databases(declared),
            existing=reader.existing(declared),
            captures=reader.captures(declared),
            buckets=reader.buckets(declared),
            webhooks=read_webhooks(present, environment, reader.complain),
            urls=read_urls(present, environment, reader.complain),
            keys=read_keys(declared.sources, present, environment, reader.complain),
            own={each.name: reader.own(each) for each in declared.settings},
            reports=read_reports(declared, environment, reader.complain),
            organisation=read_organisation(environment, reader.complain),
            max_rejects=reader.share("MAX_REJECTS", cls.max_rejects),
            warehouse_schema=reader.schema(declared),
            warehouse_managed=reader.switch("WAREHOUSE_MANAGED", cls.warehouse_managed),
            alert_email=reader.matching("ALERT_EMAIL", EMAIL, "", "team@example.com") or None,
            notify=reader.choice("NOTIFY", notices_of(declared), declared.notify),
            stage=reader.matching("STAGE", NAME, cls.stage),
            extract_schedule=reader.schedule("EXTRACT_SCHEDULE", cls.extract_schedule),
            load_schedule=reader.schedule("LOAD_SCHEDULE", cls.load_schedule),
            lake=reader.choice("LAKE", LAKES, cls.lake),
            lake_schedule=reader.schedule("LAKE_SCHEDULE", cls.lake_schedule),
            expires_at=reader.moment("SANDBOX_EXPIRES_AT"),
            runtime=runtimes.read_runtime(environment, reader.complain),
            architecture=reader.choice("LAMBDA_ARCHITECTURE", ARCHITECTURES, cls.architecture),
            network=read_network(environment, reader.complain),
        )
        own = f":secret:{settings.project}/{settings.stage}/"
        for secret in settings.existing.values():
            if own in secret.arn:
                reader.problems.append(f"{secret.arn} is of this deployment: set the URL instead")
        if reader.problems:
            raise SettingsError(reader.problems)
        if settings.warehouse_managed:
            create_statements(pipeline, settings.warehouse_schema)  # load will need them
        return settings

    @property
    def declared(self) -> Pipeline:
        """The pipeline."""
        return load(self.pipeline)

    @property
    def left_out(self) -> list[Source]:
        """The optional sources whose address is not set."""
        return [
            each
            for each in self.declared.sources
            if each.name not in self._addressed
            and not (isinstance(each, Files) and not each.remote)
        ]

    @property
    def _addressed(self) -> set[str]:
        """The sources and targets whose address is set."""
        return {*self.databases, *self.existing, *self.buckets, *self.webhooks, *self.urls}

    @property
    def secrets(self) -> dict[str, dict[str, Any]]:
        """The values of the secrets, by their part of the pipeline."""
        return {
            **{name: each.secret() for name, each in self.databases.items()},
            **{name: {"secrets": list(values)} for name, values in self.webhooks.items()},
            **{name: {"key": self.keys[source]} for source, name in self._key_secrets.items()},
            **self.reports.secrets,
        }

    @property
    def logins(self) -> dict[str, DatabaseAddress]:
        """The addresses in secrets of ours, by the name of the secret."""
        reader = self.reports.reader if self.reports.is_on else None
        return {**self.databases, **({self.reports.reader_secret: reader} if reader else {})}

    @property
    def _key_secrets(self) -> dict[str, str]:
        """The names of the secrets that hold keys, by source."""
        declared = self.declared
        found = {each.name: each.key_secret for each in declared.events}
        found |= {each.name: each.key_secret for each in declared.apis}
        return {name: secret for name, secret in found.items() if name in self.keys}

    @property
    def has_lake(self) -> bool:
        """Whether Iceberg tables are kept equal to the warehouse."""
        return self.lake == ICEBERG

    @property
    def takes_files(self) -> bool:
        """Whether files are dropped into a bucket of the deployment."""
        return any(not each.remote for each in self.declared.files)

    @property
    def takes_events(self) -> bool:
        """Whether events are posted to an endpoint of the deployment."""
        return bool(self.declared.events)

    @property
    def logged(self) -> list[Postgres]:
        """The sources whose changes are looked up in their write-ahead log, through a slot."""
        databases = (each for each in self.declared.sources if isinstance(each, Postgres))
        return [each for each in databases if self.captures.get(each.name) == WAL]

    @property
    def posted(self) -> list[Events]:
        """The sources of events that are not left out."""
        return [source for source in self.declared.events if source.name in self.webhooks]

    @property
    def reads_files(self) -> bool:
        """Whether files are read: dropped ones, somebody else's, or the answers of an API."""
        return self.takes_files or bool(self.buckets or self.urls)


def read_names(environment: Mapping[str, str]) -> tuple[str, str]:
    """Read only the project and the stage, which is all that is needed to find a deployment.

    Raises:
        SettingsError: one of them is malformed.
    """
    reader = Reader(environment)
    project = reader.matching("PROJECT", NAME, default_project(pipeline_name(environment)))
    stage = reader.matching("STAGE", NAME, Settings.stage)
    if reader.problems:
        raise SettingsError(reader.problems)
    return project, stage


def read_schema(environment: Mapping[str, str], declared: Pipeline) -> str:
    """Read the schema of the warehouse; raise SettingsError if it is malformed or not set."""
    reader = Reader(environment)
    schema = reader.schema(declared)
    if not schema:
        reader.problems.append(
            "WAREHOUSE_SCHEMA is not set, and the warehouse's URL names no database. Example: "
            "WAREHOUSE_SCHEMA=warehouse"
        )
    if reader.problems:
        raise SettingsError(reader.problems)
    return schema
