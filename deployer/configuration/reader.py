"""Reads the settings one by one, and collects what is wrong with them.

Nothing here connects to AWS or to a database, and no message holds a password.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.configuration.databases import (
    KINDS,
    DatabaseAddress,
    parse_database_address,
    parse_database_url,
)
from deployer.configuration.declaration import present_sources
from deployer.configuration.existing_secrets import (
    ExistingSecret,
    is_arn,
    read_existing_secrets,
)
from deployer.configuration.organisation import problem
from deployer.errors import AddressError
from etl import Files, Postgres, Setting
from etl.pipeline import Pipeline
from etl.settings import share
from etl.sources import CAPTURES, SCAN
from etl.targets import Target

ARCHITECTURES = ("arm64", "x86_64")
SWITCH = ("false", "true")
ICEBERG = "iceberg"
LAKES = ("off", ICEBERG)
DEFAULT_SCHEMA = "public"

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


class Reader:
    """Reads the settings one by one and collects their problems."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def matching(
        self, name: str, pattern: re.Pattern[str], default: str, example: str | None = None
    ) -> str:
        """Read a setting of a pattern; empty where it has no default."""
        value = self._environment.get(name) or default
        if value and not pattern.fullmatch(value):
            self.complain(name, f"is malformed: {_quoted(value)}", example or default)
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Read a setting that is one of some values."""
        value = self._environment.get(name) or default
        if value not in choices:
            self.complain(name, f"must be one of {', '.join(choices)}", default)
        return value

    def switch(self, name: str, default: bool) -> bool:
        """Read a setting that is true or false."""
        return self.choice(name, SWITCH, SWITCH[default]) == "true"

    def schedule(self, name: str, default: str) -> str:
        """Read a schedule of EventBridge."""
        value = self._environment.get(name) or default
        if not (RATE.fullmatch(value) or CRON.fullmatch(value)):
            self.complain(
                name, f"is not a schedule: {_quoted(value)}", "rate(1 minute) or rate(5 minutes)"
            )
        return value

    def moment(self, name: str) -> datetime | None:
        """Read a date and time, in UTC unless it says otherwise; None where it is not set."""
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
        return {
            part.name: self.database(part.setting, part.kind)
            for part in self.present(declared)
            if not is_arn(self._environment.get(part.setting))
        }

    def existing(self, declared: Pipeline) -> dict[str, ExistingSecret]:
        """Read the ARNs of secrets of others."""
        parts, readers = self.present(declared), declared.targets if declared.reports else ()
        return read_existing_secrets(parts, readers, self._environment, self.complain)

    def present(self, declared: Pipeline) -> list[Postgres | Target]:
        """Return the databases, without optional ones whose address is not set."""
        present = [*present_sources(declared, self._environment), *declared.targets]
        return [part for part in declared.databases if part in present]

    def captures(self, declared: Pipeline) -> dict[str, str]:
        """Read how changed rows are found, of the sources for which that is not by a scan."""
        found = {
            source.name: self.choice(source.capture_setting, CAPTURES, SCAN)
            for source in self.present(declared)
            if isinstance(source, Postgres)
        }
        return {name: capture for name, capture in found.items() if capture != SCAN}

    def schema(self, declared: Pipeline) -> str:
        """Read the schema of the warehouse; the default is the declared one, or the URL's database.

        Empty where the URL has none, which is reported as a problem of the URL.
        """
        if not declared.targets:
            return DEFAULT_SCHEMA
        target = declared.targets[0]
        default = target.schema
        with suppress(AddressError):
            default = default or self.dbname(target)
        schema = self.matching("WAREHOUSE_SCHEMA", IDENTIFIER[target.kind], default, "warehouse")
        if not schema and is_arn(self._environment.get(target.setting)):
            self.complain("WAREHOUSE_SCHEMA", "is not set", "warehouse")
        return schema

    def dbname(self, target: Target) -> str:
        """Return the name of a target's database, as far as the settings have it."""
        url = self._environment.get(target.setting, "")
        if not is_arn(url):
            return parse_database_url(url, target.kind).dbname
        address = self._environment.get(target.address_setting, "")
        return str(parse_database_address(address, target.kind).get("dbname", ""))

    def buckets(self, declared: Pipeline) -> dict[str, RemoteBucket]:
        """Read the buckets of others; an optional source may have none."""
        present = present_sources(declared, self._environment)
        return {
            source.name: self.bucket(source)
            for source in declared.files
            if source.remote and source in present
        }

    def bucket(self, source: Files) -> RemoteBucket:
        """Read the name, prefix and region of somebody else's bucket."""
        if not self._environment.get(source.bucket_setting):
            self.complain(source.bucket_setting, "is not set", "name-of-their-bucket")
        return RemoteBucket(
            self.matching(source.bucket_setting, BUCKET, "", "name-of-their-bucket"),
            self.matching(source.prefix_setting, PREFIX, "", "exports/"),
            self.matching(source.region_setting, REGION, "", "eu-west-1"),
        )

    def own(self, setting: Setting) -> str:
        """Read a setting that the pipeline declares."""
        value = setting.value(self._environment)
        if not setting.is_valid(value):
            self.complain(setting.name, f"{setting.reason}: {_quoted(value)}", setting.default)
        return value

    def share(self, name: str, default: str) -> str:
        """Read a share of rows, or off."""
        value = self._environment.get(name) or default
        if share(value) is None:
            self.complain(name, f"is not a share: {_quoted(value)}", "5% or off")
        return value

    def database(self, name: str, kind: str) -> DatabaseAddress:
        """Read the address of a database."""
        try:
            return parse_database_url(self._environment.get(name, ""), kind)
        except AddressError as error:
            self.complain(name, str(error), KINDS[kind].example)
            return UNREADABLE

    def complain(self, name: str, what: str, example: str) -> None:
        """Record what is wrong with a setting."""
        self.problems.append(problem(name, what, example))


def _quoted(value: str) -> str:
    """Return a value for a message, without any URL: it may be a misplaced database URL."""
    return "(a URL)" if "://" in value else repr(value)
