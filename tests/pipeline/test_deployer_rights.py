"""A pipeline is deployed and removed with the actions that `deploy.py policy` prints."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import uuid4

import boto3
import pytest

from deployer.aws.account import Account, connect
from deployer.aws.networks import interfaces
from deployer.configuration.organisation import NO_RULES, Organisation
from deployer.configuration.settings import Settings
from deployer.errors import AwsError
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import FunctionUse, Names
from deployer.resources.resource_policies import Policy, policy_of, trust_policy
from deployer.steps import Waiting
from deployer.teardown import Teardown
from local.emulator import Emulator
from tests.aws.private_network import private_network
from tests.aws.removing import outcomes, teardown
from tests.aws.sandbox import Sandbox, TinyPackages, pending
from tests.aws.test_deployer_policy import without
from tests.aws.test_encryption import a_key
from tests.unit.test_key_policies import CLOUDWATCH, LOGS, allowing

# The local AWS asks for this in the place of lambda:ListLayerVersions.
ITS_OWN = "lambda:ListLayers"


def of_actions(policy: Policy) -> Policy:
    """Return the actions of a policy, on everything: the local AWS does not know all resources."""
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    return policy_of(
        {"Effect": "Allow", "Action": sorted({*actions, ITS_OWN}), "Resource": "*"},
    )


@pytest.fixture
def owner(local_aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The owner of a new account."""
    account = f"{uuid4().int % 10**12:012}"  # the local AWS has one for each such key
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": account}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    return connect(environment)


@pytest.fixture
def as_deployer(owner: Account, local_aws: Emulator) -> Callable[..., Account]:
    """Return a function that connects as who may deploy, without one action, to the account."""
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": owner.id}
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{owner.id}:root"},
        "Action": "sts:AssumeRole",
    }
    role = f"deployer-{uuid4()}"
    owner.clients.iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=json.dumps(policy_of(trust))
    )

    def connected(lacking: str, rules: Organisation = NO_RULES) -> Account:
        roles = tuple(rules.roles.items())
        names = Names("totesys-etl", "dev", owner.id, owner.region, rules.role_path, roles)  # type: ignore[arg-type]
        policy = of_actions(without(deployer_policy(names, rules), lacking))
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
    as_deployer: Callable[..., Account], settings: Settings, tmp_path: Path
) -> None:
    """Nothing is pending after it, and nothing is left after the removal."""
    sandbox = Sandbox(as_deployer(""), settings, TinyPackages(tmp_path))

    assert pending(sandbox.deploy())
    assert pending(sandbox.plan()) == []
    assert teardown(sandbox).remove().is_complete


def test_so_is_one_that_follows_the_rules_of_an_organisation(
    owner: Account, as_deployer: Callable[..., Account], settings: Settings, tmp_path: Path
) -> None:
    """With a boundary, a path, tags and a key, and the rights that these need."""
    anything = policy_of({"Effect": "Allow", "Action": "*", "Resource": "*"})
    boundary = owner.clients.iam.create_policy(
        PolicyName="boundary", PolicyDocument=json.dumps(anything)
    )
    rules = Organisation(
        tags={"cost-center": "42"},
        boundary=boundary["Policy"]["Arn"],
        role_path="/teams/data/",
        kms_key=a_key(
            owner, allowing({"AWS": f"arn:aws:iam::{owner.id}:root"}, "kms:*"), CLOUDWATCH, LOGS
        ),
    )
    sandbox = Sandbox(
        as_deployer("", rules), replace(settings, organisation=rules), TinyPackages(tmp_path)
    )

    assert pending(sandbox.deploy())
    assert pending(sandbox.plan()) == []
    assert teardown(sandbox).remove().is_complete


def test_so_is_one_in_a_private_network(
    owner: Account, as_deployer: Callable[..., Account], settings: Settings, tmp_path: Path
) -> None:
    """With looks at the network alone; its interfaces are waited for, and then nothing is left."""
    private = private_network(owner)
    private.add_nat()
    deployer = as_deployer("")
    settings = replace(settings, network=private.network)
    sandbox = Sandbox(deployer, settings, TinyPackages(tmp_path))
    assert pending(sandbox.deploy())
    assert pending(sandbox.plan()) == []
    interface = private.add_interface("totesys-etl-dev-load")

    def sleep(seconds: float) -> None:
        waits = [event for event in sandbox.events if isinstance(event, Waiting)]
        if waits and interface in interfaces(owner, ["totesys-etl-dev-load"]):
            private.remove_interface(interface)

    sandbox.account = replace(deployer, patience=replace(deployer.patience, sleep=sleep))
    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert "network interface" in outcomes(receipt)["removed"]
    found = owner.clients.ec2.describe_subnets(
        Filters=[{"Name": "subnet-id", "Values": list(private.subnets)}]
    )
    assert len(found["Subnets"]) == 2


def test_so_is_one_whose_roles_exist_already(
    owner: Account, as_deployer: Callable[..., Account], settings: Settings, tmp_path: Path
) -> None:
    """Without any right to create or change a role; they are there afterwards."""
    names = Names("totesys-etl", "dev", owner.id, owner.region)
    roles = {
        use: owner.clients.iam.create_role(
            RoleName=f"team-{use}", AssumeRolePolicyDocument=json.dumps(trust_policy(names))
        )["Role"]["Arn"]
        for use in get_args(FunctionUse)
    }
    rules = Organisation(roles=roles)
    account = as_deployer("", rules)
    sandbox = Sandbox(account, replace(settings, organisation=rules), TinyPackages(tmp_path))

    assert pending(sandbox.deploy())
    assert pending(sandbox.plan()) == []
    named = Names.of(sandbox.settings, account.id, account.region)
    gone = Teardown(account, named, sandbox.events.append, ("source", "warehouse"))
    assert gone.remove().is_complete
    left = [each["RoleName"] for each in owner.clients.iam.list_roles()["Roles"]]
    assert {f"team-{use}" for use in roles} <= set(left)


@pytest.mark.parametrize(
    "action", ["iam:PutRolePolicy", "lambda:CreateFunction", "sqs:CreateQueue"]
)
def test_without_one_of_them_the_deployment_fails_and_names_it(
    as_deployer: Callable[..., Account], settings: Settings, tmp_path: Path, action: str
) -> None:
    """In the words of AWS, with what prints all of them."""
    sandbox = Sandbox(as_deployer(action), settings, TinyPackages(tmp_path))

    with pytest.raises(AwsError, match=action) as refused:
        sandbox.deploy()

    assert "`deploy.py policy`" in str(refused.value)
