"""An event, signed and posted as its provider does it: for `deploy.py send`, and for samples.

The schemes are those of `etl.events`. What the endpoint verifies is written independently of this
module, so that each tests the other.
"""

import base64
import hmac
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from deployer.aws.account import Account
from deployer.configuration.apis import signing_key
from deployer.configuration.settings import Settings
from deployer.endpoints import event_urls
from deployer.errors import AwsError, OperationError, SettingsError
from deployer.resources.names import Names
from deployer.terminal import printable
from etl import BodySignature, Events, StampedSignature, StandardWebhooks

# The endpoint answers within 30 seconds, or API Gateway does.
TIMEOUT_SECONDS = 35.0
MAX_ANSWER = 10_000
HEADER = "header:"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# By it the local AWS recognises its owner; AWS itself ignores it.
APP_ID = "AWS_SDK_UA_APP_ID"


@dataclass(frozen=True)
class Answer:
    """An endpoint's answer: its status, and the beginning of its text."""

    status: int
    body: str


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

    The source is the one named `to`, or the only one. `more` are headers as NAME:VALUE; `now` in
    seconds of the epoch.

    Raises:
        SettingsError: there is no such source, the file cannot be read, or a header is malformed.
        OperationError: there is no endpoint.
    """
    source = _source(settings, to)
    headers = _headers(more)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise SettingsError([f"{file} cannot be read: {error.strerror}"]) from error
    url = event_urls(account, names, [source]).get(source.name)
    if url is None:
        raise OperationError(
            f"API {names.api} does not exist: deploy it first, with `python deploy.py`."
        )
    secret = settings.webhooks[source.name][0]
    signed = signed_headers(source, secret, body, now, headers)
    answer = post(url, signed, body, agent(account))
    return Sent(source.name, url, answer.status, answer.body)


def signed_headers(
    source: Events, secret: str, body: bytes, now: float, given: Mapping[str, str] = NO_HEADERS
) -> dict[str, str]:
    """Return the headers with which a provider posts a body; `now` in seconds of the epoch.

    `given` are further headers, by lower-case name. Where the source has ids in a header, there is
    always one.
    """
    scheme, key, stamp = source.signature, signing_key(source.signature, secret), str(int(now))
    made = {"content-type": "application/json", **given}
    if source.id.startswith(HEADER):
        made.setdefault(source.id.removeprefix(HEADER).lower(), str(uuid4()))
    match scheme:
        case StampedSignature():
            digest = _digest(key, f"{stamp}.".encode() + body)
            made[scheme.header.lower()] = f"t={stamp},v1={digest.hex()}"
        case BodySignature():
            made[scheme.header.lower()] = f"{scheme.prefix}{_digest(key, body).hex()}"
        case StandardWebhooks():
            name = made.setdefault("webhook-id", str(uuid4()))
            digest = _digest(key, f"{name}.{stamp}.".encode() + body)
            made["webhook-timestamp"] = stamp
            made["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return made


def post(url: str, headers: Mapping[str, str], body: bytes, agent: str = "") -> Answer:
    """Post a body and return the answer, whatever its status; `agent` is the `User-Agent`.

    Raises:
        AwsError: there is no answer.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310
    request.add_header("User-Agent", agent or "deploy.py")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return Answer(answer.status, _text(answer.read(MAX_ANSWER)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _text(error.read(MAX_ANSWER)))
    except (OSError, HTTPException) as error:
        raise AwsError(
            f"{url}: no answer ({error}). Check the network; `python deploy.py status` shows what "
            "is deployed."
        ) from error


def agent(account: Account) -> str:
    """Return the `User-Agent` of requests to an endpoint."""
    token = os.environ.get(APP_ID)
    return f"deploy.py app/{token}" if account.is_local and token else "deploy.py"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the body is for nobody else."""

    def redirect_request(self, *_: object) -> None:
        return None


def _source(settings: Settings, name: str | None) -> Events:
    sources = {source.name: source for source in settings.posted}
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name in sources:
        return sources[name]
    if not sources:
        raise SettingsError([f"pipelines/{settings.pipeline} has no source of events"])
    raise SettingsError([f"--source must be one of {', '.join(sources)}"])


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for each in given:
        name, colon, value = each.partition(":")
        if not (name.strip() and colon) or not each.isprintable() or not each.isascii():
            raise SettingsError(["--header must be NAME:VALUE, such as X-GitHub-Event:push"])
        headers[name.strip().lower()] = value.strip()
    return headers


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")
