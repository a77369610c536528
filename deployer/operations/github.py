"""The role by which GitHub Actions deploys: for one repository and one of its environments.

GitHub issues a signed token to a job, and AWS exchanges it for credentials that last an hour: there
are no access keys.
https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
"""

import re
from dataclasses import dataclass

from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.iam import ensure_role, remove_role
from deployer.aws.identity_providers import ensure_provider, provider_arn
from deployer.configuration.organisation import NO_RULES, Organisation
from deployer.errors import SettingsError
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, policy_of

HOST = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# As GitHub allows them, so without wildcards.
OWNER, REPOSITORY = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})", r"[A-Za-z0-9._-]{1,100}"
ENVIRONMENT = r"[A-Za-z0-9 ._-]{1,255}"


@dataclass(frozen=True)
class Jobs:
    """The jobs that may deploy: those of a repository (`owner/name`) in one of its environments."""

    repository: str
    environment: str

    def __post_init__(self) -> None:
        if not re.fullmatch(f"{OWNER}/{REPOSITORY}", self.repository):
            raise SettingsError(["the repository must be OWNER/NAME, as on GitHub"])
        if not re.fullmatch(ENVIRONMENT, self.environment):
            raise SettingsError(["--environment must be the name of an environment on GitHub"])

    def trust_policy(self, account: Account) -> Policy:
        """Return the trust policy of the role; it compares the subject without wildcards."""
        subject = f"repo:{self.repository}:environment:{self.environment}"
        return policy_of(
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn(account, HOST)},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{HOST}:aud": AUDIENCE, f"{HOST}:sub": subject}},
            }
        )


@dataclass(frozen=True)
class Access:
    """The role of the jobs, and the changes that were made for it."""

    role_arn: str
    changes: list[Change]


def grant_access(
    account: Account, names: Names, jobs: Jobs, rules: Organisation = NO_RULES
) -> Access:
    """Create the role by which these jobs deploy; its rights are those of `deploy.py policy`.

    It does not have the tags of the deployment: a teardown under it would remove it.
    """
    role = names.github_role
    return Access(
        names.arn_of_role(role),
        [
            ensure_provider(account, HOST, AUDIENCE),
            ensure_role(
                account,
                role,
                jobs.trust_policy(account),
                deployer_policy(names, rules),
                rules.tags,
                path=rules.role_path,
                boundary=rules.boundary,
            ),
        ],
    )


def revoke_access(account: Account, names: Names) -> bool:
    """Remove the role; return whether it existed. The provider is kept: others may use it."""
    return remove_role(account, names.github_role)
