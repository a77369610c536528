"""The roles that functions run as: what each must be allowed, for whoever creates some."""

from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code
from deployer.aws.simulation import denied_actions
from deployer.configuration.settings import Settings
from deployer.errors import REFUSED, explaining
from deployer.resources import specs
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, trust_policy
from deployer.resources.roles import whole_rights_of


@dataclass(frozen=True)
class FunctionRole:
    """The role of a function: its ARN, whether the user provides it, and what it has to be.

    `lacks` are the actions that it is denied; None where that is not known, as of a role that the
    deployment creates.
    """

    function: str
    role_arn: str
    is_yours: bool
    trust_policy: Policy
    policy: Policy
    lacks: list[str] | None


def roles_of(account: Account, names: Names, settings: Settings) -> Iterator[FunctionRole]:
    """Yield the role of each function."""
    for spec in specs.functions(settings):
        use, arn = spec.use, names.role_arn(spec.use)
        policy = whole_rights_of(use, names, settings)
        is_yours = use in names.existing_roles
        lacks = _lacking(account, arn, policy) if is_yours else None
        trust = trust_policy(names)
        yield FunctionRole(names.function(use), arn, is_yours, trust, policy, lacks)


def _lacking(account: Account, arn: str, policy: Policy) -> list[str] | None:
    """Return the actions that a role is denied; None if that may not be asked."""
    if account.is_local:
        return None  # the local AWS simulates no conditions
    with explaining(f"role {arn}"):
        try:
            denied = denied_actions(account, [arn], policy["Statement"])
        except ClientError as error:
            if error_code(error) in REFUSED:
                return None
            raise
    return None if denied is None else sorted({each.action for each in denied})
