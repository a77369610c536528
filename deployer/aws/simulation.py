"""Which actions a user or role may call, as IAM simulates it: no call is made.

Policies of the principal, its permissions boundary and those of its organisation count; policies of
resources do not. https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code

_ASSUMED = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/.*")
_SINGLE_SIGN_ON = "AWSReservedSSO_"
_ANY = "example"  # for the * of a pattern


@dataclass(frozen=True)
class Denial:
    """An action that is denied, and by what."""

    action: str
    why: str


def principals_of(account: Account) -> list[str]:
    """Return the ARNs that the caller may have in IAM, none of the account's root.

    The session of a role has the role's name without its path, and single sign-on puts its roles
    under one. https://docs.aws.amazon.com/singlesignon/latest/userguide/permissionsetsconcept.html
    """
    found = _ASSUMED.fullmatch(account.caller)
    if found is None:
        return [] if account.caller.endswith(":root") else [account.caller]
    partition, number, role = found.groups()
    paths = [""]
    if role.startswith(_SINGLE_SIGN_ON):
        under = "aws-reserved/sso.amazonaws.com/"
        paths = [under, f"{under}{account.region}/"]
    return [f"arn:{partition}:iam::{number}:role/{path}{role}" for path in paths]


def denied_actions(
    account: Account, principals: Iterable[str], statements: Iterable[Mapping[str, Any]]
) -> list[Denial] | None:
    """Return which actions of a policy's statements are denied to the first principal there is.

    None if there is none of them. Raises ClientError if simulations are not allowed.
    """
    wanted = [each for each in statements if each["Effect"] == "Allow"]
    for principal in principals:
        try:
            found = [each for one in wanted for each in _simulated(account, principal, one)]
        except ClientError as error:
            if error_code(error) != "NoSuchEntity":
                raise
        else:
            return list(dict.fromkeys(found))
    return None


def _simulated(account: Account, principal: str, statement: Mapping[str, Any]) -> Iterator[Denial]:
    pages = account.clients.iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal,
        ActionNames=_list(statement["Action"]),
        ResourceArns=[_one_of(pattern) for pattern in _list(statement["Resource"])],
        ContextEntries=list(_context(statement.get("Condition", {}))),
    )
    for page in pages:
        for result in page["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                yield Denial(result["EvalActionName"], _why(result))


def _context(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[Any]:
    for keys in condition.values():
        for key, values in keys.items():
            yield {
                "ContextKeyName": key,
                "ContextKeyValues": [_one_of(_list(values)[0])],
                "ContextKeyType": "string",
            }


def _one_of(pattern: str) -> str:
    """Return a text that a pattern matches."""
    return pattern if pattern == "*" else pattern.replace("*", _ANY).replace("?", "a")


def _why(result: Mapping[str, Any]) -> str:
    organisation = result.get("OrganizationsDecisionDetail", {})
    boundary = result.get("PermissionsBoundaryDecisionDetail", {})
    if not organisation.get("AllowedByOrganizations", True):
        return "a policy of the organisation"
    if not boundary.get("AllowedByPermissionsBoundary", True):
        return "the permissions boundary"
    return "an explicit deny" if result["EvalDecision"] == "explicitDeny" else "no policy allows it"


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
