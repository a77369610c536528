"""Keys for the APIs of providers, which are kept as secrets."""

import json
from typing import TYPE_CHECKING

from functions.common.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


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
