"""The role that GitHub deploys as: for one repository and one environment, without keys."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from deployer.aws.account import Account
from deployer.errors import SettingsError
from deployer.operations.github import HOST, Jobs, grant_access, revoke_access
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from tests.aws.conftest import HTTP_OK

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
JOBS = Jobs("team/shop", "sandbox")


def role_of(account: Account) -> Any:
    return account.clients.iam.get_role(RoleName=NAMES.github_role)["Role"]


def test_jobs_of_one_environment_may_deploy(account: Account) -> None:
    """The subject is compared whole, and the rights are those that deploying needs."""
    access = grant_access(account, NAMES, JOBS)

    [statement] = role_of(account)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            f"{HOST}:aud": "sts.amazonaws.com",
            f"{HOST}:sub": "repo:team/shop:environment:sandbox",
        }
    }
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{HOST}")
    rights = account.clients.iam.get_role_policy(
        RoleName=NAMES.github_role, PolicyName="least-privilege"
    )
    assert rights["PolicyDocument"] == deployer_policy(NAMES)
    assert access.role_arn == role_of(account)["Arn"]


def test_those_who_deploy_may_not_change_their_own_rights() -> None:
    """The role is none of those that the policy allows to change."""
    [roles] = [
        statement["Resource"]
        for statement in deployer_policy(NAMES)["Statement"]
        if statement["Sid"] == "Roles"
    ]
    assert roles == ["arn:aws:iam::123456789012:role/totesys-etl-dev-eu-west-2-*"]
    assert not NAMES.github_role.startswith("totesys-etl-dev")


def test_a_second_time_changes_nothing(account: Account) -> None:
    """Neither the provider nor the role."""
    first = grant_access(account, NAMES, JOBS)
    again = grant_access(account, NAMES, JOBS)

    assert [change.action for change in first.changes] == ["created", "created"]
    assert [change.action for change in again.changes] == ["left", "left"]


def test_a_provider_that_others_made_serves_us_too(account: Account) -> None:
    """Our audience is added to theirs."""
    iam: Any = account.clients.iam
    added: list[str] = []
    iam.create_open_id_connect_provider(Url=f"https://{HOST}", ClientIDList=["another"])

    def add(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        added.append(params["body"]["ClientID"])  # moto does not know this call
        return HTTP_OK, {}

    iam.meta.events.register("before-call.iam.AddClientIDToOpenIDConnectProvider", add)
    [provider, _] = grant_access(account, NAMES, JOBS).changes

    assert provider.differences == {"audiences": (["another"], ["another", "sts.amazonaws.com"])}
    assert added == ["sts.amazonaws.com"]


def test_another_repository_takes_the_place_of_the_first(account: Account) -> None:
    """There is one role for a deployment."""
    grant_access(account, NAMES, JOBS)
    [_, changed] = grant_access(account, NAMES, Jobs("team/other", "sandbox")).changes

    assert (changed.action, list(changed.differences)) == ("updated", ["trust policy"])


def test_the_role_is_removed_alone(account: Account) -> None:
    """The provider may serve others."""
    grant_access(account, NAMES, JOBS)

    assert revoke_access(account, NAMES)
    assert not revoke_access(account, NAMES)
    assert account.clients.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]


@pytest.mark.parametrize(
    "repository", ["shop", "team/*", "team/shop:ref", "team/shop/x", "", "*/*"]
)
def test_a_repository_is_named_whole(repository: str) -> None:
    """A wildcard would let others deploy."""
    with pytest.raises(SettingsError, match="OWNER/NAME"):
        Jobs(repository, "sandbox")


@pytest.mark.parametrize("environment", ["*", "", "a:b", "a/*"])
def test_an_environment_is_named_whole(environment: str) -> None:
    """Likewise."""
    with pytest.raises(SettingsError, match="environment"):
        Jobs("team/shop", environment)
