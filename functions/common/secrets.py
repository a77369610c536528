"""Secrets from Secrets Manager: keys for APIs, and sets of secrets of which one has to match.

A set has more than one while a secret is rolled over: keys that sign, or tokens of callers.
"""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.common.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECONDS = 300  # for which a warm function keeps a secret


def key_of(secrets: "SecretsManagerClient", secret_id: str) -> str:
    """Return the key for a provider's API; raise SettingsError if the secret has none."""
    text = secrets.get_secret_value(SecretId=secret_id).get("SecretString", "")
    try:
        key = json.loads(text)["key"]
    except (KeyError, TypeError, ValueError):
        key = None
    if not isinstance(key, str) or not key:
        raise SettingsError(
            f'secret {secret_id} is not {{"key": "…"}}: set <NAME>_API_KEY, and run deploy.py again'
        )
    return key


class Secrets:
    """Secrets by id, each read again after five minutes, so that a new secret takes effect."""

    def __init__(
        self, client: "SecretsManagerClient", clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._clock = clock
        self._read: dict[str, tuple[float, tuple[str, ...]]] = {}

    def of(self, secret_id: str) -> tuple[str, ...]:
        """Return the secrets, one of which has to match.

        Raises SettingsError if there are none, and what botocore raises.
        """
        now = self._clock()
        read_at, secrets = self._read.get(secret_id, (0.0, ()))
        if not secrets or not 0 <= now - read_at < SECONDS:
            answer = self._client.get_secret_value(SecretId=secret_id)
            secrets = _decoded(answer.get("SecretString", ""))
            if not secrets:
                raise SettingsError(
                    f'secret {secret_id} is not {{"secrets": ["…"]}}: set <NAME>_WEBHOOK_SECRET, '
                    "or REPORTS_TOKEN where it is that one, and run deploy.py again"
                )
            self._read[secret_id] = (now, secrets)
        return secrets


def _decoded(text: str) -> tuple[str, ...]:
    """Return the secrets of a text; none if any of them is malformed."""
    try:
        found = json.loads(text)["secrets"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return ()
    if not isinstance(found, list):
        return ()
    # Anybody can sign with an empty key.
    return tuple(found) if all(isinstance(each, str) and each.strip() for each in found) else ()
