"""Keys of the user: read, and never changed."""

import json
from typing import Any

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code, found

ABSENT = ("NotFoundException", "InvalidArnException")
DENIED = ("AccessDenied", "AccessDeniedException")


def describe_key(account: Account, arn: str) -> dict[str, Any] | None:
    """Return what AWS says about a key, None if there is no such key."""
    answer = found(lambda: account.clients.kms.describe_key(KeyId=arn), *ABSENT)
    return answer and dict(answer["KeyMetadata"])


def key_policy(account: Account, arn: str) -> dict[str, Any] | None:
    """Return the policy of a key, None if it may not be read, as that of another account's key."""
    try:
        answer = account.clients.kms.get_key_policy(KeyId=arn, PolicyName="default")
    except ClientError as error:
        if error_code(error) in DENIED and f":{account.id}:" not in arn:
            return None
        raise
    policy: dict[str, Any] = json.loads(answer["Policy"])
    return policy
