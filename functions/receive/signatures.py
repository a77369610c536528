"""Verify that a body was signed with a provider's secret, by the schemes of `etl.events`.

Over the raw bytes, in constant time, with any of several secrets while one is rotated. The schemes
are those of

* https://docs.stripe.com/webhooks#verify-manually
* https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
* https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from etl import BodySignature, StampedSignature, StandardWebhooks
from etl.events import Signature
from functions.common.errors import SettingsError
from functions.receive.requests import BAD_SIGNATURE, RequestError

Headers = Mapping[str, str]

_STAMP = re.compile("[0-9]{1,12}")  # ASCII digits only
_PREFIX = "whsec_"


@dataclass(frozen=True)
class _Claim:
    """The claim of a request: the text that is signed before the body, and the signatures.

    One of these has to match. `key` returns the HMAC key of a secret, `written` the text of a
    digest.
    """

    before: str
    signatures: Sequence[str]
    key: Callable[[str], bytes] = str.encode
    written: Callable[[bytes], str] = bytes.hex


def verify(
    scheme: Signature, secrets: Sequence[str], headers: Headers, body: bytes, now: float
) -> None:
    """Raise RequestError unless a body was signed with one of the secrets, at about this time.

    `headers` have names in lower case; `now` is in Unix seconds. Raises SettingsError for a secret
    that the scheme cannot use.
    """
    match scheme:
        case StampedSignature():
            claim = _stamped(scheme, headers, now)
        case BodySignature():
            claim = _of_body(scheme, headers)
        case StandardWebhooks():
            claim = _standard(scheme, headers, now)
    before = claim.before.encode()
    given = [signature.encode("utf-8", "surrogatepass") for signature in claim.signatures]
    for secret in secrets:
        digest = hmac.digest(claim.key(secret), before + body, "sha256")
        right = claim.written(digest).encode()
        if any(hmac.compare_digest(right, each) for each in given):
            return
    raise RequestError(BAD_SIGNATURE, "signature_wrong")


def _stamped(scheme: StampedSignature, headers: Headers, now: float) -> _Claim:
    parts = [part.strip().partition("=") for part in _header(headers, scheme.header).split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not signatures:
        raise RequestError(BAD_SIGNATURE, "signature_malformed")
    _require_recent(stamps[0], scheme.tolerance, now)
    return _Claim(f"{stamps[0]}.", signatures)


def _of_body(scheme: BodySignature, headers: Headers) -> _Claim:
    signature = _header(headers, scheme.header)
    if not signature.startswith(scheme.prefix):
        raise RequestError(BAD_SIGNATURE, "signature_malformed")
    return _Claim("", [signature.removeprefix(scheme.prefix)])


def _standard(scheme: StandardWebhooks, headers: Headers, now: float) -> _Claim:
    named = _header(headers, "webhook-id")
    stamp = _header(headers, "webhook-timestamp")
    parts = [part.partition(",") for part in _header(headers, "webhook-signature").split(" ")]
    signatures = [value for version, _, value in parts if version == "v1"]
    if not signatures or not named.isascii():
        raise RequestError(BAD_SIGNATURE, "signature_malformed")
    _require_recent(stamp, scheme.tolerance, now)
    return _Claim(
        f"{named}.{stamp}.", signatures, _decoded, lambda digest: b64encode(digest).decode()
    )


def _header(headers: Headers, name: str) -> str:
    if not (value := headers.get(name.lower())):
        raise RequestError(BAD_SIGNATURE, "signature_missing")
    return value


def _require_recent(stamp: str, tolerance: timedelta, now: float) -> None:
    if not _STAMP.fullmatch(stamp):
        raise RequestError(BAD_SIGNATURE, "signature_malformed")
    if abs(int(now) - int(stamp)) > tolerance.total_seconds():  # stamps are whole seconds
        raise RequestError(BAD_SIGNATURE, "signature_stale")


def _decoded(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise SettingsError(
            "a secret of Standard Webhooks is base64 after whsec_, and this one is not: correct "
            "the setting <NAME>_WEBHOOK_SECRET, and run deploy.py again"
        )
    return key
