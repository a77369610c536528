"""A pipeline is deployed and removed with the actions that `deploy.py policy` prints."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.errors import AwsError
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, policy_of
from local.emulator import Emulator
from tests.aws.removing import teardown
from tests.aws.sandbox import Sandbox, TinyPackages, pending
from tests.aws.test_deployer_policy import without

# The local AWS asks for this in the place of lambda:ListLayerVersions.
ITS_OWN = "lambda:ListLayers"


def of_actions(policy: Policy) -> Policy:
    """Return the actions of a policy, on everything: the local AWS does not know all resources."""
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    return policy_of(
        {"Effect": "Allow", "Action": sorted({*actions, ITS_OWN}), "Resource": "*"},
    )


@pytest.fixture
def as_deployer(local_aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Account]:
    """Return a function that connects as who may deploy, without one action, to a new account."""
    account = f"{uuid4().int % 10**12:012}"  # the local AWS has one for each such key
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": account}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    owner = connect(environment)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{owner.id}:root"},
        "Action": "sts:AssumeRole",
    }
    role = f"deployer-{uuid4()}"
    owner.clients.iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=json.dumps(policy_of(trust))
    )

    def connected(lacking: str) -> Account:
        names = Names("totesys-etl", "dev", owner.id, owner.region)
        policy = of_actions(without(deployer_policy(names), lacking))
        owner.clients.iam.put_role_policy(
            RoleName=role, PolicyName="rights", PolicyDocument=json.dumps(policy)
        )
        lent = boto3.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{owner.id}:role/{role}", RoleSessionName="deployer"
        )["Credentials"]
        keys = {
            "AWS_ACCESS_KEY_ID": lent["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": lent["SecretAccessKey"],
            "AWS_SESSION_TOKEN": lent["SessionToken"],
        }
        return connect({**environment, **keys})

    return connected


@pytest.fixture
def settings() -> Settings:
    return Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
            "REPORTS_TOKEN": "x" * 32,
        }
    )


def test_a_pipeline_is_deployed_and_removed_with_these_rights(
    as_deployer: Callable[[str], Account], settings: Settings, tmp_path: Path
) -> None:
    """Nothing is pending after it, and nothing is left after the removal."""
    sandbox = Sandbox(as_deployer(""), settings, TinyPackages(tmp_path))

    assert pending(sandbox.deploy())
    assert pending(sandbox.plan()) == []
    assert teardown(sandbox).remove().is_complete


@pytest.mark.parametrize(
    "action", ["iam:PutRolePolicy", "lambda:CreateFunction", "sqs:CreateQueue"]
)
def test_without_one_of_them_the_deployment_fails_and_names_it(
    as_deployer: Callable[[str], Account], settings: Settings, tmp_path: Path, action: str
) -> None:
    """In the words of AWS, with what prints all of them."""
    sandbox = Sandbox(as_deployer(action), settings, TinyPackages(tmp_path))

    with pytest.raises(AwsError, match=action) as refused:
        sandbox.deploy()

    assert "`deploy.py policy`" in str(refused.value)
