"""The settings of a deployment, read and checked once, before anything is changed.

Nothing here connects to AWS or to a database, and no message or repr holds a password.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deployer.configuration import runtimes
from deployer.configuration.apis import (
    ReportSettings,
    read_keys,
    read_reports,
    read_urls,
    read_webhooks,
)
from deployer.configuration.databases import (
    KINDS,
    DatabaseAddress,
    parse_database_url,
)
from deployer.configuration.declaration import (
    create_statements,
    default_project,
    notices_of,
    pipeline_name,
    present_sources,
    read_pipeline,
)
from deployer.configuration.network import Network, read_network
from deployer.configuration.organisation import Organisation, problem, read_organisation
from deployer.errors import AddressError, SettingsError
from etl import Events, Files, Setting
from etl.loading import load
from etl.pipeline import Pipeline
from etl.settings import share
from etl.sources import Source

ARCHITECTURES = ("arm64", "x86_64")
SWITCH = ("false", "true")

# Replaces an address with a problem, so that the settings after it are checked too.
UNREADABLE = DatabaseAddress("", "", "", "")

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Of a schema, or of what MySQL calls a database, by the kind of target.
IDENTIFIER = {
    "postgres": re.compile(r"[^\x00]{1,63}"),
    "mysql": re.compile(r"[^\x00]{1,64}"),
}
# Not a database URL, which would be sent to a stranger and shown by `status`.
EMAIL = re.compile(r"[^@\s:/\x00-\x1f\x7f]+@[^@\s:/]+\.[^@\s:/]+")
RATE = re.compile(r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)")
CRON = re.compile(r"cron\(\S+( \S+){5}\)")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(
    r"[^/*?$\x00-\x1f\x7f][^*?$\x00-\x1f\x7f]{0,500}"
)  # no characters that a policy takes for a pattern
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


@dataclass(frozen=True)
class RemoteBucket:
    """Somebody else's bucket: its name, and optionally the prefix to read and its region."""

    name: str
    prefix: str = ""
    region: str = ""


@dataclass(frozen=True)
class Settings:
    """What the user decides about one deployment.

    `pipeline` is the folder of its declaration. By the name of a source or target: `databases` are
    addresses, `buckets` those of files in somebody else's bucket, `webhooks` the signing secrets of
    events, `urls` those of APIs, `keys` those of APIs and of providers' lists of events. `own` are
    the values of the settings that the pipeline declares, `reports` how its reports are served.
    """

    pipeline: str
    project: str
    databases: Mapping[str, DatabaseAddress]
    buckets: Mapping[str, RemoteBucket] = field(default_factory=dict)
    webhooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: Mapping[str, str] = field(default_factory=dict)
    reports: ReportSettings = field(default_factory=ReportSettings)
    organisation: Organisation = field(default_factory=Organisation)
    max_rejects: str = "5%"
    warehouse_schema: str = "public"
    warehouse_managed: bool = False
    alert_email: str | None = None
    notify: str = "failures"
    stage: str = "dev"
    extract_schedule: str = "rate(1 minute)"
    load_schedule: str = "rate(2 minutes)"
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
        reader = _Reader(environment)
        pipeline, declared = read_pipeline(environment)
        present = present_sources(declared, environment)
        settings = cls(
            pipeline=pipeline,
            project=reader.matching("PROJECT", NAME, default_project(pipeline)),
            databases=reader.databases(declared),
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
            expires_at=reader.moment("SANDBOX_EXPIRES_AT"),
            runtime=runtimes.read_runtime(environment, reader.complain),
            architecture=reader.choice("LAMBDA_ARCHITECTURE", ARCHITECTURES, cls.architecture),
            network=read_network(environment, reader.complain),
        )
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
            if each.name not in {**self.databases, **self.buckets, **self.webhooks, **self.urls}
            and not (isinstance(each, Files) and not each.remote)
        ]

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
    def _key_secrets(self) -> dict[str, str]:
        """The names of the secrets that hold keys, by source."""
        declared = self.declared
        found = {each.name: each.key_secret for each in declared.events}
        found |= {each.name: each.key_secret for each in declared.apis}
        return {name: secret for name, secret in found.items() if name in self.keys}

    @property
    def takes_files(self) -> bool:
        """Whether files are dropped into a bucket of the deployment."""
        return any(not each.remote for each in self.declared.files)

    @property
    def takes_events(self) -> bool:
        """Whether events are posted to an endpoint of the deployment."""
        return bool(self.declared.events)

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
    reader = _Reader(environment)
    project = reader.matching("PROJECT", NAME, default_project(pipeline_name(environment)))
    stage = reader.matching("STAGE", NAME, Settings.stage)
    if reader.problems:
        raise SettingsError(reader.problems)
    return project, stage


def read_schema(environment: Mapping[str, str], declared: Pipeline) -> str:
    """Read the schema of the warehouse; raise SettingsError if it is malformed or not set."""
    reader = _Reader(environment)
    schema = reader.schema(declared)
    if not schema:
        reader.problems.append(
            "WAREHOUSE_SCHEMA is not set, and the warehouse's URL names no database. Example: "
            "WAREHOUSE_SCHEMA=warehouse"
        )
    if reader.problems:
        raise SettingsError(reader.problems)
    return schema


class _Reader:
    """Reads the settings one by one and collects their problems."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def matching(
        self, name: str, pattern: re.Pattern[str], default: str, example: str | None = None
    ) -> str:
        value = self._environment.get(name) or default
        if value and not pattern.fullmatch(value):
            self.complain(name, f"is malformed: {_quoted(value)}", example or default)
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self._environment.get(name) or default
        if value not in choices:
            self.complain(name, f"must be one of {', '.join(choices)}", default)
        return value

    def switch(self, name: str, default: bool) -> bool:
        return self.choice(name, SWITCH, SWITCH[default]) == "true"

    def schedule(self, name: str, default: str) -> str:
        value = self._environment.get(name) or default
        if not (RATE.fullmatch(value) or CRON.fullmatch(value)):
            self.complain(
                name, f"is not a schedule: {_quoted(value)}", "rate(1 minute) or rate(5 minutes)"
            )
        return value

    def moment(self, name: str) -> datetime | None:
        value = self._environment.get(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.complain(
                name, f"is not a date and time: {_quoted(value)}", "2025-01-31T18:00:00+00:00"
            )
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def databases(self, declared: Pipeline) -> dict[str, DatabaseAddress]:
        """Read the addresses of databases; an optional source may have none."""
        present = [*present_sources(declared, self._environment), *declared.targets]
        return {
            part.name: self.database(part.setting, part.kind)
            for part in declared.databases
            if part in present
        }

    def schema(self, declared: Pipeline) -> str:
        """Read the schema of the warehouse; the default is the declared one, or the URL's database.

        Empty where the URL has none, which is reported as a problem of the URL.
        """
        if not declared.targets:
            return Settings.warehouse_schema
        target = declared.targets[0]
        default = target.schema
        with suppress(AddressError):
            url = self._environment.get(target.setting, "")
            default = default or parse_database_url(url, target.kind).dbname
        return self.matching("WAREHOUSE_SCHEMA", IDENTIFIER[target.kind], default, "warehouse")

    def buckets(self, declared: Pipeline) -> dict[str, RemoteBucket]:
        """Read the buckets of others; an optional source may have none."""
        present = present_sources(declared, self._environment)
        return {
            source.name: self.bucket(source)
            for source in declared.files
            if source.remote and source in present
        }

    def bucket(self, source: Files) -> RemoteBucket:
        if not self._environment.get(source.bucket_setting):
            self.complain(source.bucket_setting, "is not set", "name-of-their-bucket")
        return RemoteBucket(
            self.matching(source.bucket_setting, BUCKET, "", "name-of-their-bucket"),
            self.matching(source.prefix_setting, PREFIX, "", "exports/"),
            self.matching(source.region_setting, REGION, "", "eu-west-1"),
        )

    def own(self, setting: Setting) -> str:
        value = setting.value(self._environment)
        if not setting.is_valid(value):
            self.complain(setting.name, f"{setting.reason}: {_quoted(value)}", setting.default)
        return value

    def share(self, name: str, default: str) -> str:
        value = self._environment.get(name) or default
        if share(value) is None:
            self.complain(name, f"is not a share: {_quoted(value)}", "5% or off")
        return value

    def database(self, name: str, kind: str) -> DatabaseAddress:
        try:
            return parse_database_url(self._environment.get(name, ""), kind)
        except AddressError as error:
            self.complain(name, str(error), KINDS[kind].example)
            return UNREADABLE

    def complain(self, name: str, what: str, example: str) -> None:
        self.problems.append(problem(name, what, example))


def _quoted(value: str) -> str:
    """Return a value for a message, without any URL: it may be a misplaced database URL."""
    return "(a URL)" if "://" in value else repr(value)
