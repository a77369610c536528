"""Authenticate callers: by a token that is in Secrets Manager, or by IAM.

A function whose settings name neither refuses every request.
"""

import hashlib
import hmac
from collections.abc import Mapping

from functions.common.errors import SettingsError
from functions.common.secrets import Secrets
from functions.serve.problems import unauthorized
from functions.serve.requests import Request

CHALLENGE = 'Bearer realm="reports"'


def require_known(request: Request, settings: Mapping[str, str], secrets: Secrets) -> None:
    """Raise Problem unless the caller is authorized; SettingsError if no method is configured."""
    if settings.get("REPORTS_AUTH") == "iam":
        # Set by API Gateway alone, once it has checked the signature and the caller's rights.
        if not request.caller:
            raise unauthorized("not_signed", "AWS4-HMAC-SHA256")
        return
    if not (secret_id := settings.get("REPORTS_SECRET_ID")):
        raise SettingsError("neither a token nor IAM is set for reports: run deploy.py again")
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("no_token", CHALLENGE)
    given = _digest(token.strip())
    # All tokens, by digests of equal length: the time taken reveals nothing about them.
    right = [hmac.compare_digest(given, _digest(each)) for each in secrets.of(secret_id)]
    if not any(right):
        raise unauthorized("wrong_token", f'{CHALLENGE}, error="invalid_token"')


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
