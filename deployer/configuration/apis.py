"""The settings of what speaks HTTP: APIs that are read, events that are posted, reports.

No message contains a key, a token or a secret.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployer.configuration.databases import (
    KINDS,
    DatabaseAddress,
    parse_database_url,
)
from deployer.configuration.existing_secrets import is_arn, reader_setting
from deployer.errors import AddressError
from etl import Events, Rest, StandardWebhooks
from etl.events import Signature
from etl.pipeline import Pipeline
from etl.providers import fault_of_url
from etl.sources import Source

URL_EXAMPLE = "https://api.example.com/v1/rates"
KEY_EXAMPLE = "rk_live_..."
WEBHOOK_EXAMPLE = "whsec_..."
TOKEN_EXAMPLE = "$(python -c 'import secrets; print(secrets.token_urlsafe(32))')"  # noqa: S105  # nosec B105
# During a rotation there is an old one and a new one.
MAX_SECRETS = 2
STANDARD_PREFIX = "whsec_"
TOKEN, IAM = "token", "iam"  # nosec B105
TOKENS_SECRET = "reports-token"  # noqa: S105  # nosec B105
# As a header may hold it, and too long to be guessed: https://www.rfc-editor.org/rfc/rfc6750
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
_RATE = re.compile(r"[1-9][0-9]{0,3}")

Environment = Mapping[str, str]
Complain = Callable[[str, str, str], None]
"""Takes the name of a setting, what is wrong with it, and an example."""


@dataclass(frozen=True)
class ReportSettings:
    """How the reports of a pipeline are served; they are not until callers can be authenticated.

    `auth` is `token`, where `tokens` authenticate callers, or `iam`, where AWS does. `rate` is the
    limit of requests a second. `reader` is the account by which the target is read; it `has_reader`
    too where a secret of others has that account, and otherwise reads as load. `why_off` is why a
    pipeline with reports serves none.
    """

    target: str = ""
    auth: str = TOKEN
    tokens: tuple[str, ...] = field(default=(), repr=False)
    rate: str = "300"
    reader: DatabaseAddress | None = None
    has_reader: bool = False
    why_off: str | None = None
    is_on: bool = False

    @property
    def secrets(self) -> dict[str, dict[str, Any]]:
        """The values of the secrets, by name."""
        if not self.is_on:
            return {}
        return {
            **({TOKENS_SECRET: {"secrets": list(self.tokens)}} if self.auth == TOKEN else {}),
            **({self.reader_secret: self.reader.secret()} if self.reader else {}),
        }

    @property
    def reader_secret(self) -> str:
        """The name of the secret with the account that reads the target."""
        return f"{self.target}-reader" if self.has_reader else self.target

    @property
    def read_secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the function reads."""
        return (self.reader_secret, *([TOKENS_SECRET] if self.auth == TOKEN else []))


def signing_key(scheme: Signature, secret: str) -> bytes:
    """Return the HMAC key that a secret stands for; raise ValueError if it is none."""
    if not isinstance(scheme, StandardWebhooks):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not key:
        raise ValueError("empty")
    return key


def read_urls(
    present: Sequence[Source], environment: Environment, complain: Complain
) -> dict[str, str]:
    """Return the URLs of APIs, by source."""
    apis = [source for source in present if isinstance(source, Rest)]
    urls = {source.name: environment.get(source.setting, "") for source in apis}
    for source in apis:
        url = urls[source.name]
        if fault := fault_of_url(url) if url else "is not set":
            complain(source.setting, fault, URL_EXAMPLE)
    return urls


def read_keys(
    sources: Sequence[Source],
    present: Sequence[Source],
    environment: Environment,
    complain: Complain,
) -> dict[str, str]:
    """Return the keys of APIs, by source; those for a provider's list of events are optional."""
    keyed: list[Rest | Events] = [
        *(each for each in present if isinstance(each, Rest) and each.key),
        *(each for each in sources if isinstance(each, Events) and each.missed),
    ]
    keys = {each.name: environment.get(each.key_setting, "") for each in keyed}
    for source in keyed:
        key = keys[source.name]
        if not key and isinstance(source, Rest):
            complain(source.key_setting, "is not set", KEY_EXAMPLE)
        elif not (key.isascii() and key.isprintable() and " " not in key):
            what = "is not a key: only printable ASCII without blanks"
            complain(source.key_setting, what, KEY_EXAMPLE)
    return {name: key for name, key in keys.items() if key}


def read_webhooks(
    present: Sequence[Source], environment: Environment, complain: Complain
) -> dict[str, tuple[str, ...]]:
    """Return the secrets that events are signed with, by source."""
    events = [source for source in present if isinstance(source, Events)]
    secrets = {each.name: tuple(environment.get(each.setting, "").split()) for each in events}
    for source in events:
        given = secrets[source.name]
        if not given:
            complain(source.setting, "is not set", WEBHOOK_EXAMPLE)
        elif len(given) > MAX_SECRETS or not all(_is_secret(source, each) for each in given):
            # Its form depends on the provider, whose page in docs/ shows it.
            what = "is not a signing secret of the provider, or two separated by a blank"
            complain(source.setting, what, WEBHOOK_EXAMPLE)
    return secrets


def read_reports(
    declared: Pipeline, environment: Environment, complain: Complain
) -> ReportSettings:
    """Return the settings of a pipeline's reports; a pipeline without reports needs none."""
    if not declared.reports:
        return ReportSettings()
    [target] = declared.targets
    auth = environment.get("REPORTS_AUTH") or TOKEN
    tokens = tuple(environment.get("REPORTS_TOKEN", "").split())
    rate = environment.get("REPORTS_RATE") or ReportSettings.rate
    if auth not in (TOKEN, IAM):
        complain("REPORTS_AUTH", f"must be one of {TOKEN}, {IAM}", TOKEN)
    if len(tokens) > MAX_SECRETS or not all(map(_TOKEN.fullmatch, tokens)):
        what = f"is not one or {MAX_SECRETS} tokens of 32 letters and digits or more"
        complain("REPORTS_TOKEN", what, TOKEN_EXAMPLE)
    if not _RATE.fullmatch(rate):
        complain("REPORTS_RATE", "is not a number of requests a second", ReportSettings.rate)
    setting = reader_setting(target)
    reader, url = None, environment.get(setting)
    if url and not is_arn(url):
        try:
            reader = parse_database_url(url, target.kind)
        except AddressError as error:
            complain(setting, str(error), KINDS[target.kind].example)
    why_off = _why_off(target.kind, auth, tokens)
    is_on = why_off is None
    return ReportSettings(
        target.name, auth, tokens, rate, reader, bool(url), why_off=why_off, is_on=is_on
    )


def _is_secret(source: Events, secret: str) -> bool:
    try:
        return bool(signing_key(source.signature, secret))
    except ValueError:
        return False


def _why_off(kind: str, auth: str, tokens: tuple[str, ...]) -> str | None:
    if kind != "postgres":
        return f"reports of a {KINDS[kind].product} target are not supported yet"
    if auth == TOKEN and not tokens:
        return "REPORTS_TOKEN is not set, and REPORTS_AUTH is not iam"
    return None
