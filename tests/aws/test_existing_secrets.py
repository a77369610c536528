"""Secrets of others, and ours that are rotated, over the life of a deployment."""

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.model import OperationModel

from deployer.aws.account import Account
from deployer.configuration.existing_secrets import ExistingSecret
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.rollback import Rollback
from tests.aws.removing import NAMES, teardown
from tests.aws.sandbox import Sandbox, pending

SOURCE = "totesys-etl/dev/source"
LOGIN = {"username": "rds", "password": "theirs"}


@pytest.fixture
def theirs(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ExistingSecret:
    """A secret that RDS manages, which the settings name."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    secrets = sandbox.account.clients.secrets
    made = secrets.create_secret(Name="rds!db-1a2b", SecretString=json.dumps(LOGIN))
    theirs = ExistingSecret(made["ARN"], {"host": "db.example.com"})
    others = {"warehouse": sandbox.settings.databases["warehouse"]}
    sandbox.settings = replace(sandbox.settings, databases=others, existing={"source": theirs})
    return theirs


def names_in(account: Account) -> list[str]:
    return sorted(each["Name"] for each in account.clients.secrets.list_secrets()["SecretList"])


def value_of(account: Account, name: str) -> Any:
    return json.loads(account.clients.secrets.get_secret_value(SecretId=name)["SecretString"])


def test_a_secret_of_others_is_neither_made_nor_changed_nor_removed(
    sandbox: Sandbox, theirs: ExistingSecret
) -> None:
    """No call names it, from the first deployment to the teardown."""
    named: list[object] = []

    def note(params: dict[str, Any], model: OperationModel, **_: object) -> None:
        named.append(params.get("SecretId") or params.get("Name"))

    client: Any = sandbox.account.clients.secrets
    client.meta.events.register("provide-client-params.secrets-manager.*", note)
    sandbox.deploy()
    assert names_in(sandbox.account) == ["rds!db-1a2b", "totesys-etl/dev/warehouse"]
    assert pending(sandbox.plan()) == []

    assert teardown(sandbox).remove().is_complete

    assert named
    assert theirs.arn not in named
    assert "rds!db-1a2b" not in named
    assert names_in(sandbox.account) == ["rds!db-1a2b"]
    assert value_of(sandbox.account, "rds!db-1a2b") == LOGIN


def test_the_functions_are_given_its_arn_and_the_rest_of_the_address(
    sandbox: Sandbox, theirs: ExistingSecret
) -> None:
    """And their roles may read it."""
    sandbox.deploy()
    client: Any = sandbox.account.clients.lambda_

    found = client.get_function(FunctionName="totesys-etl-dev-extract")["Configuration"]
    given = found["Environment"]["Variables"]
    policy = sandbox.account.clients.iam.get_role_policy(
        RoleName="totesys-etl-dev-eu-west-2-extract", PolicyName="least-privilege"
    )["PolicyDocument"]

    assert given["SOURCE_SECRET_ID"] == theirs.arn
    assert json.loads(given["SOURCE_DATABASE_ADDRESS"]) == {"host": "db.example.com"}
    assert theirs.arn in json.dumps(policy)


def name_theirs(sandbox: Sandbox) -> None:
    """Have the settings name a secret of others for the source."""
    made = sandbox.account.clients.secrets.create_secret(Name="theirs", SecretString="{}")
    sandbox.settings = replace(
        sandbox.settings,
        databases={"warehouse": sandbox.settings.databases["warehouse"]},
        existing={"source": ExistingSecret(made["ARN"])},
    )


def test_our_secret_goes_when_one_of_others_replaces_it(sandbox: Sandbox) -> None:
    """With the last deployment that a rollback leads to: the password is used by nothing then."""
    sandbox.start_deployed()
    name_theirs(sandbox)
    sandbox.deploy()
    assert SOURCE in names_in(sandbox.account)
    assert pending(sandbox.plan()) == []
    sandbox.packages.code["load"] = "THIRD = True\n"

    assert ("secret", "removed", []) in pending(sandbox.deploy())
    assert names_in(sandbox.account) == ["theirs", "totesys-etl/dev/warehouse"]


@pytest.mark.parametrize("works", [True, False])
def test_a_rollback_finds_the_secret_that_one_of_others_replaced(
    sandbox: Sandbox, works: bool
) -> None:
    """However the deployment ended that no longer needed it."""
    sandbox.start_deployed()
    before = value_of(sandbox.account, SOURCE)
    name_theirs(sandbox)
    deployer = sandbox.deployer()
    deployer.deploy()
    if works:
        deployer.record()

    Rollback(sandbox.account, NAMES, sandbox.events.append).roll_back()

    client: Any = sandbox.account.clients.lambda_
    found = client.get_function(FunctionName=NAMES.function("extract"))["Configuration"]
    assert found["Environment"]["Variables"]["SOURCE_SECRET_ID"] == SOURCE
    assert value_of(sandbox.account, SOURCE) == before


def test_a_secret_of_another_region_is_refused_before_anything(
    sandbox: Sandbox, theirs: ExistingSecret
) -> None:
    """A function asks Secrets Manager in its region alone."""
    arn = theirs.arn.replace("eu-west-2", "us-east-1")
    sandbox.settings = replace(sandbox.settings, existing={"source": ExistingSecret(arn)})
    sandbox.writes.clear()

    with pytest.raises(SettingsError, match="replicate it to eu-west-2"):
        sandbox.deploy()
    assert sandbox.writes == []


def rotate(account: Account, **marks: Any) -> None:
    """Have Secrets Manager describe the source's secret as rotated, with another password."""
    secrets: Any = account.clients.secrets
    value = {**value_of(account, SOURCE), "password": "rotated"}
    secrets.put_secret_value(SecretId=SOURCE, SecretString=json.dumps(value))

    def describe(parsed: dict[str, Any], **_: object) -> None:
        if parsed.get("Name") == SOURCE:
            parsed.update(marks)

    secrets.meta.events.register("after-call.secrets-manager.DescribeSecret", describe)


@pytest.mark.parametrize("marks", [{"RotationEnabled": True}, {"LastRotatedDate": "2026-11-22"}])
def test_a_rotated_password_is_kept(sandbox: Sandbox, marks: dict[str, Any]) -> None:
    """The settings have the one from before; the plan says that nothing is to be changed."""
    sandbox.start_deployed()
    rotate(sandbox.account, **marks)

    assert pending(sandbox.plan()) == []
    assert pending(sandbox.deploy()) == []
    assert value_of(sandbox.account, SOURCE)["password"] == "rotated"


def test_the_rest_of_a_rotated_secret_follows_the_settings(
    sandbox: Sandbox, changed_host: Settings
) -> None:
    """A database that moved is found, with the password that is valid there."""
    sandbox.start_deployed()
    rotate(sandbox.account, RotationEnabled=True)
    sandbox.settings = changed_host

    assert pending(sandbox.deploy()) == [("secret", "updated", ["value"])]
    found = value_of(sandbox.account, SOURCE)
    assert (found["host"], found["password"]) == ("moved.example.com", "rotated")


@pytest.fixture
def changed_host(settings: Settings) -> Settings:
    source = replace(settings.databases["source"], host="moved.example.com")
    return replace(settings, databases={**settings.databases, "source": source})


def test_a_password_that_nobody_rotated_is_that_of_the_settings(sandbox: Sandbox) -> None:
    """One that was changed by hand is put right, as everything else is."""
    sandbox.start_deployed()
    value = {**value_of(sandbox.account, SOURCE), "password": "by hand"}
    sandbox.account.clients.secrets.put_secret_value(
        SecretId=SOURCE, SecretString=json.dumps(value)
    )

    assert pending(sandbox.deploy()) == [("secret", "updated", ["value"])]
    assert value_of(sandbox.account, SOURCE)["password"] == "Tr0ub4dor&3"
