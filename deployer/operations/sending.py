"""An event of a file, posted to the deployed endpoint as its provider would."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from deployer.endpoint import urls
from deployer.errors import PipelineFailed, SettingsError
from deployer.operations.webhooks import post, signed_headers
from deployer.resources.names import Names
from deployer.terminal import printable
from etl import Events

# By it the local AWS knows its owner; AWS itself does not care.
TOKEN = "AWS_SDK_UA_APP_ID"  # noqa: S105  # nosec B105  the name of the variable


@dataclass(frozen=True)
class Sent:
    """The outcome of a posted event: its URL, and the status and text of the answer."""

    source: str
    url: str
    status: int
    answer: str

    def text(self) -> str:
        """Return it for a person."""
        return f"{self.url} answered {self.status}: {printable(self.answer)}"


def send(
    account: Account,
    names: Names,
    settings: Settings,
    file: Path,
    now: float,
    *,
    to: str | None = None,
    more: Sequence[str] = (),
) -> Sent:
    """Post the bytes of a file to the endpoint of a source, signed with its first secret.

    The source is the one that `to` names, or the only one. `more` are headers as NAME:VALUE; `now`
    in seconds of the epoch.

    Raises:
        SettingsError: there is no such source, the file cannot be read, or a header is malformed.
        PipelineFailed: there is no endpoint.
    """
    source = _source(settings, to)
    headers = _headers(more)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise SettingsError([f"{file} cannot be read: {error.strerror}"]) from error
    url = urls(account, names, [source]).get(source.name)
    if url is None:
        raise PipelineFailed(
            f"API {names.api} is not there: deploy it first, with `python deploy.py`."
        )
    secret = settings.webhooks[source.name][0]
    signed = signed_headers(source, secret, body, now, headers)
    answer = post(url, signed, body, agent(account))
    return Sent(source.name, url, answer.status, answer.body)


def _source(settings: Settings, name: str | None) -> Events:
    sources = {source.name: source for source in settings.posted}
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name in sources:
        return sources[name]
    if not sources:
        raise SettingsError([f"pipelines/{settings.pipeline} has no events that are posted"])
    raise SettingsError([f"--source must name one of {', '.join(sources)}"])


def agent(account: Account) -> str:
    """Return the `User-Agent` that an endpoint is asked with."""
    token = os.environ.get(TOKEN)
    return f"deploy.py app/{token}" if account.is_local and token else "deploy.py"


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for each in given:
        name, colon, value = each.partition(":")
        if not (name.strip() and colon) or not each.isprintable() or not each.isascii():
            raise SettingsError(["--header is like X-GitHub-Event:push"])
        headers[name.strip().lower()] = value.strip()
    return headers
