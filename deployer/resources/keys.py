"""A key of the user's that encrypts everything: what its policy must allow, and what roles may.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-services.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, allow

SIGNING_SPEC = "ECC_NIST_P256"
USING = ("kms:Decrypt", "kms:GenerateDataKey")
# The services that encrypt by the key with the rights of a function's role.
SERVICES = ("s3", "secretsmanager", "sns", "sqs")
WRITING = ("s3:PutObject", "sns:Publish", "sqs:SendMessage")


@dataclass(frozen=True)
class User:
    """Who has to be able to use the key by its own policy, for what, and the actions."""

    principal: str
    purpose: str
    actions: Sequence[str]


def users(names: Names) -> tuple[User, ...]:
    """Return who has to be able to use the key of a deployment."""
    logs = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptTo", "kms:GenerateDataKey")
    return (
        User(f"arn:{names.partition}:iam::{names.account}:root", "IAM policies apply to it", USING),
        User("cloudwatch.amazonaws.com", "alarms can send e-mails", USING),
        User(f"logs.{names.region}.{names.domain}", "logs can be written", logs),
    )


def problems(key: str, about: Mapping[str, Any] | None, names: Names) -> Iterator[str]:
    """Yield why a key cannot be used, by what AWS says `about` it; None if there is none."""
    if f":kms:{names.region}:" not in key:
        yield f"KMS_KEY is in another region than the deployment: replicate it to {names.region}"
    elif about is None:
        yield f"KMS_KEY: there is no key {key}, or its policy does not let you describe it"
    elif about.get("KeyState") != "Enabled":
        yield f"KMS_KEY: the key is {about.get('KeyState')}, and has to be Enabled"
    elif about.get("KeySpec") != "SYMMETRIC_DEFAULT":
        yield "KMS_KEY: the key is not symmetric: AWS services use keys of SYMMETRIC_DEFAULT alone"


def problems_of_signing(key: str, about: Mapping[str, Any] | None, names: Names) -> Iterator[str]:
    """Yield why a key cannot sign proofs, by what AWS says `about` it; None if there is none."""
    if f":kms:{names.region}:" not in key:
        yield f"PROOF_KEY is in another region than the deployment: create one in {names.region}"
    elif about is None:
        yield f"PROOF_KEY: there is no key {key}, or its policy does not let you describe it"
    elif about.get("KeyState") != "Enabled":
        yield f"PROOF_KEY: the key is {about.get('KeyState')}, and has to be Enabled"
    elif about.get("KeySpec") != SIGNING_SPEC or about.get("KeyUsage") != "SIGN_VERIFY":
        yield f"PROOF_KEY: the key has to be one of {SIGNING_SPEC} to sign and verify"


def problems_of_policy(policy: Mapping[str, Any], key: str, names: Names) -> Iterator[str]:
    """Yield what the policy of a key lacks."""
    for user in users(names):
        lacking = [each for each in user.actions if not _allows(policy, user, each, key, names)]
        if lacking:
            yield (
                f"KMS_KEY: the key's policy does not allow {', '.join(lacking)} to "
                f"{user.principal}: add it, so that {user.purpose} (docs/accounts.md)"
            )


def rights(statements: Sequence[Policy], key: str, names: Names) -> list[Policy]:
    """Allow to use a key through the services that other statements allow to use."""
    actions = [
        action
        for each in statements
        if each["Effect"] == "Allow"
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    ]
    used = [name for name in SERVICES if any(each.startswith(f"{name}:") for each in actions)]
    if not used:
        return []
    writes = any(each in WRITING for each in actions)
    via = [f"{service}.{names.region}.{names.domain}" for service in used]
    using = allow(list(USING) if writes else ["kms:Decrypt"], key)
    return [{**using, "Condition": {"StringEquals": {"kms:ViaService": via}}}]


def _allows(policy: Mapping[str, Any], user: User, action: str, key: str, names: Names) -> bool:
    """Return whether a statement allows an action to a user; conditions are not evaluated."""
    is_account = user.principal.endswith(":root")
    wanted = {user.principal, names.account} if is_account else {user.principal}
    kind = "AWS" if is_account else "Service"
    return any(
        each.get("Effect") == "Allow"
        and (each.get("Principal") == "*" or wanted & _listed(each.get("Principal"), kind))
        and any(fnmatchcase(action.lower(), p.lower()) for p in _texts(each.get("Action")))
        and any(fnmatchcase(key, pattern) for pattern in _texts(each.get("Resource")))
        for each in policy.get("Statement", [])
    )


def _listed(principal: object, kind: str) -> set[str]:
    return set(_texts(principal.get(kind))) if isinstance(principal, dict) else set()


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value or ()]  # type: ignore[attr-defined]
