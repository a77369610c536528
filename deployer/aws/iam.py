"""Roles: a trust policy, and one inline policy with the rights.

A role has exactly these: managed policies and further inline policies are removed.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, found, one_each, remove
from deployer.resources.resource_policies import Policy

POLICY_NAME = "least-privilege"
ABSENT = "NoSuchEntity"


def ensure_role(
    account: Account,
    name: str,
    trust: Policy,
    policy: Policy,
    tags: Mapping[str, str],
    *,
    path: str = "/",
    boundary: str | None = None,
    ids: dict[str, str] | None = None,
) -> Change:
    """Create or update a role; tags of others are kept.

    Its id, which another role of the same name does not have, is added to `ids` by its name.

    AWS does not change the path of a role: one under another path is created again. The permissions
    boundary is the policy with the ARN `boundary`; None keeps that of others.
    """
    iam = account.clients.iam
    actual = _read(account, name)
    known = {} if ids is None else ids
    if actual:
        known[name] = actual["id"]
    limit: Any = {"PermissionsBoundary": boundary} if boundary else {}
    wanted: dict[str, Any] = {
        "path": path,
        "boundary": boundary or (actual or {}).get("boundary"),
        "trust policy": trust,
        "policy": policy,
        "other inline policies": [],
        "managed policies": [],
        "tags": {**(actual or {}).get("tags", {}), **tags},
    }
    tag_list: Any = [{"Key": key, "Value": value} for key, value in wanted["tags"].items()]

    def create() -> None:
        created = iam.create_role(
            RoleName=name,
            Path=path,
            AssumeRolePolicyDocument=json.dumps(trust),
            Tags=tag_list,
            **limit,
        )
        known[name] = created["Role"]["RoleId"]

    def move() -> None:
        found(lambda: _strip_and_delete(account, name), ABSENT)
        create()
        calls["policy"]()

    calls: dict[str, Callable[[], object]] = {
        # First: the right to change a policy may depend on the boundary.
        "path": move,
        "boundary": lambda: iam.put_role_permissions_boundary(RoleName=name, **limit),
        "trust policy": lambda: iam.update_assume_role_policy(
            RoleName=name, PolicyDocument=json.dumps(trust)
        ),
        "policy": lambda: iam.put_role_policy(
            RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy)
        ),
        "other inline policies": lambda: _delete_inline(account, name, actual),
        "managed policies": lambda: _detach(account, name, actual),
        "tags": lambda: iam.tag_role(RoleName=name, Tags=tag_list),
    }
    return converge(
        account,
        Resource(
            kind="role",
            name=name,
            wanted=wanted,
            actual=actual,
            create=create,
            created_with=frozenset(wanted) - {"policy"},
            updates=one_each(calls),
        ),
    )


def allows(account: Account, name: str, action: str) -> bool:
    """Return whether the policy of a role allows an action; False if there is no such role."""
    policy: Any = found(lambda: own_policy(account, name), ABSENT)
    statements = policy["Statement"] if policy else []
    return any(each["Effect"] == "Allow" and action in each["Action"] for each in statements)


def find_role(account: Account, name: str) -> dict[str, Any] | None:
    """Return what AWS says about a role, None if there is none of that name."""
    answer = found(lambda: account.clients.iam.get_role(RoleName=name), ABSENT)
    return answer and dict(answer["Role"])


def role_id(account: Account, name: str) -> str | None:
    """Return the id of a role, which another one of the same name does not have; None if absent."""
    answer = found(lambda: account.clients.iam.get_role(RoleName=name), ABSENT)
    return answer["Role"]["RoleId"] if answer else None


def ensure_policy(account: Account, name: str, policy: Policy) -> Change:
    """Update the policy of a role, and nothing else of it."""
    actual = _read(account, name)
    put = partial(account.clients.iam.put_role_policy, RoleName=name, PolicyName=POLICY_NAME)
    return converge(
        account,
        Resource(
            kind="role",
            name=name,
            wanted={"policy": policy},
            actual=actual or {},
            create=lambda: None,
            updates=[Update(frozenset({"policy"}), lambda: put(PolicyDocument=json.dumps(policy)))],
        ),
    )


def remove_role(account: Account, name: str) -> bool:
    """Remove a role with its policies; return whether it existed."""
    return remove(
        account,
        lambda: account.clients.iam.get_role(RoleName=name),
        lambda: _strip_and_delete(account, name),
        ABSENT,
    )


def _strip_and_delete(account: Account, name: str) -> None:
    iam = account.clients.iam
    for policy in _managed_policies(account, name):
        iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    for policy in _inline_policies(account, name):
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _read(account: Account, name: str) -> dict[str, Any] | None:
    iam = account.clients.iam
    answer = found(lambda: iam.get_role(RoleName=name), ABSENT)
    if answer is None:
        return None
    inline = _inline_policies(account, name)
    return {
        "id": answer["Role"]["RoleId"],
        "path": answer["Role"]["Path"],
        "boundary": answer["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "trust policy": answer["Role"]["AssumeRolePolicyDocument"],
        "policy": own_policy(account, name) if POLICY_NAME in inline else None,
        "other inline policies": [policy for policy in inline if policy != POLICY_NAME],
        "managed policies": _managed_policies(account, name),
        "tags": {tag["Key"]: tag["Value"] for tag in answer["Role"].get("Tags", [])},
    }


def _inline_policies(account: Account, name: str) -> list[str]:
    pages = account.clients.iam.get_paginator("list_role_policies").paginate(RoleName=name)
    return [policy for page in pages for policy in page["PolicyNames"]]


def _managed_policies(account: Account, name: str) -> list[str]:
    pages = account.clients.iam.get_paginator("list_attached_role_policies")
    return [
        policy["PolicyArn"]
        for page in pages.paginate(RoleName=name)
        for policy in page["AttachedPolicies"]
    ]


def own_policy(account: Account, name: str) -> Any:
    """Return the document of our policy of a role."""
    answer = account.clients.iam.get_role_policy(RoleName=name, PolicyName=POLICY_NAME)
    return answer["PolicyDocument"]


def _delete_inline(account: Account, name: str, actual: Mapping[str, Any] | None) -> None:
    for policy in (actual or {})["other inline policies"]:
        account.clients.iam.delete_role_policy(RoleName=name, PolicyName=policy)


def _detach(account: Account, name: str, actual: Mapping[str, Any] | None) -> None:
    for policy in (actual or {})["managed policies"]:
        account.clients.iam.detach_role_policy(RoleName=name, PolicyArn=policy)
