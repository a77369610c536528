"""Roles of the user's that functions run as: neither created nor changed nor removed here."""

import re

from deployer.aws import iam
from deployer.aws.account import Account
from deployer.errors import SettingsError, explaining
from deployer.resources.names import Names

TRUST = re.compile(r"lambda\.amazonaws\.com")
PRINTED = "`deploy.py roles` prints what it should be"


def check_roles(account: Account, names: Names) -> dict[str, str]:
    """Return the ids of the roles of the user's, by name.

    Raises:
        SettingsError: Lambda could not run a function as one of them; a line for each.
    """
    problems, ids = [], {}
    for use, arn in names.existing_roles.items():
        name, setting = names.role(use), f"{use.upper()}_ROLE_ARN"
        with explaining(f"role {name}"):
            role = iam.find_role(account, name)
        if f":{account.id}:" not in arn:
            problems.append(f"{setting}: {arn} is in another account than the functions")
        elif role is None or role["Arn"] != arn:
            problems.append(f"{setting}: there is no role {arn}: {PRINTED}")
        elif not TRUST.search(str(role["AssumeRolePolicyDocument"])):
            problems.append(f"{setting}: {arn} does not trust lambda.amazonaws.com: {PRINTED}")
        else:
            ids[name] = role["RoleId"]
    if problems:
        raise SettingsError(problems)
    return ids
