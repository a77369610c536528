"""Secrets of others: their ARNs, in the settings that otherwise hold the URLs of databases.

They are neither created nor changed nor removed; the functions may read exactly these.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.configuration.databases import KINDS, parse_database_address
from deployer.errors import AddressError, SettingsError
from etl import Postgres
from etl.targets import Target

Environment = Mapping[str, str]
Complain = Callable[[str, str, str], None]

BEGINNING = "arn:"
# With the six characters that AWS adds to a name: without them a policy would need a pattern.
ARN = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):secret:"
    r"(?P<name>[\w/+=.@!-]+)-[A-Za-z0-9]{6}",
    re.ASCII,
)
EXAMPLE = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:shop-AbCdEf"


@dataclass(frozen=True)
class ExistingSecret:
    """A secret with the login of a database, by its ARN; `address` is what it does not say."""

    arn: str
    address: Mapping[str, Any] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The region that it is in."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account that it is in."""
        return self.arn.split(":")[4]


def is_arn(value: str | None) -> bool:
    """Return whether a setting holds an ARN instead of a URL."""
    return bool(value and value.startswith(BEGINNING))


def read_existing_secrets(
    parts: Sequence[Postgres | Target],
    readers: Sequence[Target],
    environment: Environment,
    complain: Complain,
) -> dict[str, ExistingSecret]:
    """Return the secrets of others by the name that ours would have.

    `parts` are the sources and targets that are databases, `readers` the targets that reports are
    read from, which may have an account for that.
    """
    found = {part.name: (part.setting, part) for part in parts}
    found |= {f"{target.name}-reader": (reader_setting(target), target) for target in readers}
    return {
        name: ExistingSecret(
            _arn(setting, environment, complain), _address(part, environment, complain)
        )
        for name, (setting, part) in found.items()
        if is_arn(environment.get(setting))
    }


def require_region(existing: Mapping[str, ExistingSecret], region: str) -> None:
    """Raise SettingsError for secrets of another region: the functions ask in theirs."""
    problems = [
        f"{each.arn} is in another region than the functions: replicate it to {region}"
        for each in existing.values()
        if each.region != region
    ]
    if problems:
        raise SettingsError(problems)


def reader_setting(target: Target) -> str:
    """Return the name of the setting with the account that reads a target for reports."""
    return f"{target.name.upper()}_READER_URL"


def _arn(setting: str, environment: Environment, complain: Complain) -> str:
    value = environment[setting]
    if not ARN.fullmatch(value):
        complain(setting, "is not the whole ARN of a secret, with its last six characters", EXAMPLE)
    return value


def _address(
    part: Postgres | Target, environment: Environment, complain: Complain
) -> dict[str, Any]:
    value = environment.get(part.address_setting)
    if not value:
        return {}
    try:
        return parse_database_address(value, part.kind)
    except AddressError as error:
        example = f"{KINDS[part.kind].schemes[0]}://host:{KINDS[part.kind].port}/database"
        complain(part.address_setting, str(error), example)
        return {}
