"""Secrets: addresses of databases, keys of APIs, and signing secrets of events.

Their values are compared, and never shown.
"""

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Hidden, Resource, converge, found, one_each, remove

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef


def ensure_secret(
    account: Account,
    name: str,
    value: Mapping[str, Any],
    tags: Mapping[str, str],
    *,
    key: str | None = None,
) -> Change:
    """Create or update a secret that holds `value` as JSON; tags of others are kept.

    It is encrypted by the `key` with an ARN, or by that of AWS.

    A secret that is scheduled for deletion is restored: its name is taken for up to 30 days. One
    that Secrets Manager rotates keeps user and password: they are newer than those of the settings.
    """
    secrets = account.clients.secrets
    actual = _read(account, name)
    value = {**value, **_rotated(actual)}
    text = json.dumps(value)
    present = (actual or {}).get("tags", {})
    tag_list: Any = [{"Key": name, "Value": tag} for name, tag in tags.items()]
    by_key: Any = {"KmsKeyId": key} if key else {}
    return converge(
        account,
        Resource(
            kind="secret",
            name=name,
            wanted={
                "scheduled for deletion": False,
                **({"key": key} if key else {}),
                "value": Hidden(value),
                "tags": {**present, **tags},
            },
            actual=actual,
            create=lambda: secrets.create_secret(
                Name=name, SecretString=text, Tags=tag_list, **by_key
            ),
            created_with=frozenset({"scheduled for deletion", "key", "value", "tags"}),
            updates=one_each(
                {
                    "scheduled for deletion": lambda: secrets.restore_secret(SecretId=name),
                    "key": lambda: secrets.update_secret(SecretId=name, **by_key),
                    "value": lambda: secrets.put_secret_value(SecretId=name, SecretString=text),
                    "tags": lambda: secrets.tag_resource(SecretId=name, Tags=tag_list),
                }
            ),
        ),
    )


def remove_other_secrets(
    account: Account, prefix: str, wanted: Collection[str], tags: Mapping[str, str]
) -> list[Change]:
    """Remove the secrets under a prefix that have these tags and are not wanted."""
    pages = account.clients.secrets.get_paginator("list_secrets").paginate(
        Filters=[{"Key": "name", "Values": [prefix]}]
    )
    names = [
        secret["Name"]
        for page in pages
        for secret in page["SecretList"]
        if secret["Name"].startswith(prefix) and secret["Name"] not in wanted
        if tags.items() <= {tag["Key"]: tag["Value"] for tag in secret.get("Tags", [])}.items()
    ]
    return [Change("secret", name, "removed") for name in names if remove_secret(account, name)]


def remove_secret(account: Account, name: str) -> bool:
    """Remove a secret without a recovery period; return whether it existed."""
    secrets = account.clients.secrets
    return remove(
        account,
        lambda: secrets.describe_secret(SecretId=name),
        lambda: secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True),
        "ResourceNotFoundException",
    )


def is_readable(account: Account, name: str) -> bool:
    """Return whether a secret exists and is not scheduled for deletion."""
    secrets = account.clients.secrets
    described = found(lambda: secrets.describe_secret(SecretId=name), "ResourceNotFoundException")
    return described is not None and described.get("DeletedDate") is None


def _read(account: Account, name: str) -> dict[str, Any] | None:
    secrets = account.clients.secrets
    described = found(lambda: secrets.describe_secret(SecretId=name), "ResourceNotFoundException")
    if described is None:
        return None
    deleted = described.get("DeletedDate") is not None
    return {
        "rotated": bool(described.get("RotationEnabled") or described.get("LastRotatedDate")),
        "scheduled for deletion": deleted,
        "key": described.get("KmsKeyId"),
        # AWS does not return the value of a secret that is scheduled for deletion.
        "value": Hidden(None if deleted else _value(account, name)),
        "tags": _tags(described),
    }


def _rotated(actual: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the login in a secret that Secrets Manager has rotated, or is going to."""
    value = actual["value"].value if actual and actual["rotated"] else None
    if not isinstance(value, dict):
        return {}
    return {part: value[part] for part in ("username", "password") if part in value}


def _tags(described: "DescribeSecretResponseTypeDef") -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}


def _value(account: Account, name: str) -> object:
    """Return the value of a secret, None when it has none or it is not JSON."""
    secrets = account.clients.secrets
    answer = found(lambda: secrets.get_secret_value(SecretId=name), "ResourceNotFoundException")
    try:
        return json.loads(answer["SecretString"]) if answer else None
    except (KeyError, ValueError):
        return None
