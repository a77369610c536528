"""The settings of the HTTP API of reports: who may ask, how often, and as whom it reads."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.configuration.databases import (
    KINDS,
    AddressError,
    DatabaseAddress,
    parse_database_url,
)
from etl.pipeline import Pipeline

TOKEN, IAM = "token", "iam"  # nosec B105
MOST_TOKENS = 2  # an old one and a new one
TOKENS_SECRET = "reports-token"  # noqa: S105  # nosec B105
# As a header may have it, and too long to be guessed: https://www.rfc-editor.org/rfc/rfc6750
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
_RATE = re.compile(r"[1-9][0-9]{0,3}")
TOKEN_EXAMPLE = "$(python -c 'import secrets; print(secrets.token_urlsafe(32))')"  # noqa: S105  # nosec B105

Complain = Callable[[str, str, str], None]


@dataclass(frozen=True)
class ReportSettings:
    """How the reports of a pipeline are served; they are not, unless somebody is known.

    `tokens` let their holders in, or callers sign as AWS wants it where `auth` is `iam`. `rate` is
    how many requests a second are answered. `reader` is the account by which the target is read,
    None for that of load. `why_off` says why a pipeline with reports serves none.
    """

    target: str = ""
    auth: str = TOKEN
    tokens: tuple[str, ...] = field(default=(), repr=False)
    rate: str = "300"
    reader: DatabaseAddress | None = None
    why_off: str | None = None
    is_on: bool = False

    @property
    def secrets(self) -> dict[str, dict[str, Any]]:
        """What is kept as secrets, by their names."""
        if not self.is_on:
            return {}
        return {
            **({TOKENS_SECRET: {"secrets": list(self.tokens)}} if self.auth == TOKEN else {}),
            **({self.reader_secret: self.reader.secret()} if self.reader else {}),
        }

    @property
    def reader_secret(self) -> str:
        """The name of the secret with the account that reads: its own, or that of load."""
        return f"{self.target}-reader" if self.reader else self.target

    @property
    def read_secrets(self) -> tuple[str, ...]:
        """The names of the secrets that the function reads."""
        return (self.reader_secret, *([TOKENS_SECRET] if self.auth == TOKEN else []))


def read_reports(
    declared: Pipeline, environment: Mapping[str, str], complain: Complain
) -> ReportSettings:
    """Read the settings of a pipeline's reports; one that has none needs no settings."""
    if not declared.reports:
        return ReportSettings()
    [target] = declared.targets
    auth = environment.get("REPORTS_AUTH") or TOKEN
    tokens = tuple(environment.get("REPORTS_TOKEN", "").split())
    rate = environment.get("REPORTS_RATE") or ReportSettings.rate
    if auth not in (TOKEN, IAM):
        complain("REPORTS_AUTH", f"must be one of {TOKEN}, {IAM}", TOKEN)
    if len(tokens) > MOST_TOKENS or not all(map(_TOKEN.fullmatch, tokens)):
        what = f"is not one or {MOST_TOKENS} tokens of 32 letters and digits or more"
        complain("REPORTS_TOKEN", what, TOKEN_EXAMPLE)
    if not _RATE.fullmatch(rate):
        complain("REPORTS_RATE", "is no number of requests a second", ReportSettings.rate)
    setting = f"{target.name.upper()}_READER_URL"
    reader = None
    if url := environment.get(setting):
        try:
            reader = parse_database_url(url, target.kind)
        except AddressError as error:
            complain(setting, str(error), KINDS[target.kind].example)
    why_off = _why_off(target.kind, auth, tokens)
    return ReportSettings(target.name, auth, tokens, rate, reader, why_off, why_off is None)


def _why_off(kind: str, auth: str, tokens: tuple[str, ...]) -> str | None:
    if kind != "postgres":
        return f"reports of a {KINDS[kind].product} target cannot be served yet"
    if auth == TOKEN and not tokens:
        return "REPORTS_TOKEN is not set, and REPORTS_AUTH is not iam"
    return None
