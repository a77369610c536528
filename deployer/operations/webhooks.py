"""An event signed and posted as a provider does it: for `deploy.py send`, and for samples.

The schemes are those of `etl.events`; what the endpoint checks is written apart from this, so that
the one proves the other.
"""

import base64
import binascii
import hmac
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from uuid import uuid4

from deployer.errors import AwsError
from etl import BodySignature, Events, StampedSignature, StandardWebhooks
from etl.events import Signature

# The endpoint answers within 30 seconds, or API Gateway does.
TIMEOUT_SECONDS = 35.0
LONGEST_ANSWER = 10_000
PREFIX = "whsec_"
HEADER = "header:"
NONE_GIVEN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """An endpoint's answer: its status, and the beginning of its text."""

    status: int
    body: str


def signing_key(scheme: Signature, secret: str) -> bytes:
    """Return the key of HMAC that a secret stands for; raise ValueError if it can be none."""
    if not isinstance(scheme, StandardWebhooks):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not key:
        raise ValueError("empty")
    return key


def signed_headers(
    source: Events, secret: str, body: bytes, now: float, given: Mapping[str, str] = NONE_GIVEN
) -> dict[str, str]:
    """Return the headers with which a provider posts a body; `now` in seconds of the epoch.

    `given` are further headers, by names in lower case. There is always one with an id where the
    source has ids in a header.
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
    """Post a body and return the answer, whatever its status.

    Raises AwsError if there is none. `agent` is the `User-Agent`.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310
    request.add_header("User-Agent", agent or "deploy.py")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return Answer(answer.status, _text(answer.read(LONGEST_ANSWER)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _text(error.read(LONGEST_ANSWER)))
    except (OSError, HTTPException) as error:
        raise AwsError(
            f"{url}: no answer ({error}). Check the network; `python deploy.py status` says what "
            "is deployed."
        ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Posts to nobody else."""

    def redirect_request(self, *_: object) -> None:
        return None


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")
