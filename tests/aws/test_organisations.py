"""A deployment that follows the rules of an organisation, and keeps following them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import deploy
import teardown as teardown_command
from deployer.aws.account import Account
from deployer.aws.s3 import BLOCK_PUBLIC_ACCESS
from deployer.configuration.organisation import Organisation
from deployer.inventory import parse_arn
from deployer.operations.github import Jobs, grant_access
from deployer.resources.names import Names
from deployer.teardown import Teardown
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox, everything_in, pending

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
RULES = Organisation(
    tags={"cost-center": "42"}, boundary=BOUNDARY, role_path="/teams/data/", log_days=30
)


@pytest.fixture
def governed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A deployment under the rules."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    sandbox.settings = replace(sandbox.settings, organisation=RULES)
    sandbox.start_deployed()
    return sandbox


def names_of(sandbox: Sandbox) -> Names:
    return Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)


def role_of(sandbox: Sandbox, use: Any = "load") -> Any:
    name = names_of(sandbox).role(use)
    return sandbox.account.clients.iam.get_role(RoleName=name)["Role"]


def test_everything_that_can_have_tags_has_those_of_the_organisation(governed: Sandbox) -> None:
    """So that a cost report, or a policy that demands them, finds no exception."""
    found = governed.account.clients.tagging.get_resources()["ResourceTagMappingList"]
    kinds = {parse_arn(each["ResourceARN"]).kind for each in found}
    lacking = [
        each["ResourceARN"]
        for each in found
        if {"Key": "cost-center", "Value": "42"} not in each["Tags"]
    ]

    function = names_of(governed).function_arn("load")
    tags = governed.account.clients.lambda_.list_tags(Resource=function)["Tags"]

    assert kinds >= {"alarm", "bucket", "log group", "queue", "secret", "topic"}
    assert lacking == []
    assert tags["cost-center"] == "42"
    assert {"Key": "cost-center", "Value": "42"} in role_of(governed)["Tags"]
    assert pending(governed.plan()) == []


def test_roles_have_the_path_and_the_boundary(governed: Sandbox) -> None:
    """And the functions use them under their whole ARN."""
    role, names = role_of(governed), names_of(governed)
    function = governed.account.clients.lambda_.get_function(FunctionName=names.function("load"))

    assert role["Path"] == "/teams/data/"
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert function["Configuration"]["Role"] == role["Arn"] == names.role_arn("load")


def test_what_others_changed_is_put_right(governed: Sandbox) -> None:
    """A tag with another value, a boundary that was removed, and logs that are kept for ever."""
    clients, names = governed.account.clients, names_of(governed)
    role, group = names.role("load"), names.log_group("load")
    clients.iam.tag_role(RoleName=role, Tags=[{"Key": "cost-center", "Value": "7"}])
    clients.iam.delete_role_permissions_boundary(RoleName=role)
    clients.logs.delete_retention_policy(logGroupName=group)
    arn = names.function_arn("load")
    clients.lambda_.untag_resource(Resource=arn, TagKeys=["cost-center"])

    assert pending(governed.plan()) == pending(governed.deploy())
    assert pending(governed.plan()) == []
    assert role_of(governed)["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert clients.lambda_.list_tags(Resource=arn)["Tags"]["cost-center"] == "42"
    [found] = clients.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 30


def test_another_value_of_a_tag_is_set(governed: Sandbox) -> None:
    """Everywhere, by the next deployment."""
    governed.settings = replace(
        governed.settings, organisation=replace(RULES, tags={"cost-center": "43"})
    )
    governed.deploy()

    found = governed.account.clients.tagging.get_resources()["ResourceTagMappingList"]
    assert found
    for each in found:
        assert {"Key": "cost-center", "Value": "43"} in each["Tags"]


def test_a_boundary_that_was_there_is_kept(sandbox: Sandbox) -> None:
    """Who set it on our roles had a reason; removing one is nothing that a deployment does."""
    sandbox.start_deployed()
    role = names_of(sandbox).role("load")
    iam = sandbox.account.clients.iam
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=BOUNDARY)

    assert pending(sandbox.deploy()) == []
    assert role_of(sandbox)["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY


def test_another_path_moves_the_roles(governed: Sandbox) -> None:
    """AWS cannot: they are created again, with all their rights, and set on their functions."""
    governed.settings = replace(
        governed.settings, organisation=replace(RULES, role_path="/elsewhere/")
    )
    planned = pending(governed.plan())

    assert ("role", "updated", ["path"]) in planned
    governed.deploy()
    assert pending(governed.plan()) == []
    role, names = role_of(governed), names_of(governed)
    function = governed.account.clients.lambda_.get_function(FunctionName=names.function("load"))
    assert role["Arn"] == names.role_arn("load") == function["Configuration"]["Role"]
    assert governed.account.clients.iam.list_role_policies(RoleName=names.role("load"))[
        "PolicyNames"
    ] == ["least-privilege"]


def test_nothing_is_left_after_a_teardown(governed: Sandbox) -> None:
    """Roles under a path, too."""
    account = governed.account
    gone = Teardown(account, names_of(governed), governed.events.append, ("source", "warehouse"))

    assert gone.remove().is_complete
    assert everything_in(account) == []


def test_the_role_of_github_follows_the_rules(account: Account) -> None:
    """It is a role like others: without a boundary, an organisation may refuse it."""
    names = Names("shop", "dev", account.id, account.region, RULES.role_path)

    access = grant_access(account, names, Jobs("team/shop", "sandbox"), RULES)

    role = account.clients.iam.get_role(RoleName=names.github_role)["Role"]
    assert role["Arn"] == access.role_arn
    assert role["Path"] == "/teams/data/"
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY


def test_public_access_that_is_blocked_already_is_left_alone(
    sandbox: Sandbox, new_account: Callable[[str], Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS blocks it in new buckets, and a service control policy may deny the call to everybody."""
    ours: Any = sandbox.account.clients.s3
    aws: Any = new_account("eu-west-2").clients.s3
    create = ours.create_bucket

    def create_as_aws_does(**given: Any) -> None:
        create(**given)
        aws.put_public_access_block(
            Bucket=given["Bucket"], PublicAccessBlockConfiguration=BLOCK_PUBLIC_ACCESS
        )

    monkeypatch.setattr(ours, "create_bucket", create_as_aws_does)
    denied = ("AccessDenied", "with an explicit deny in a service control policy")
    Faults({"PutPublicAccessBlock": denied}, times=None).inject(sandbox, "before-call")

    sandbox.deploy()

    assert pending(sandbox.plan()) == []


def test_without_reserved_concurrency_that_of_others_is_kept(sandbox: Sandbox) -> None:
    """An organisation that shares out the runs of its account does so alone."""
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(reserves_runs=False))
    sandbox.deploy()
    client, name = sandbox.account.clients.lambda_, names_of(sandbox).function("load")

    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    assert pending(sandbox.deploy()) == []


@pytest.mark.parametrize(
    "command", ["", "plan", "run", "replay 1", "reconcile --repair", "github team/shop", "status"]
)
def test_another_account_is_refused_before_anything(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    tmp_path: Path,
) -> None:
    """By every command that calls AWS, with the account that the credentials belong to."""
    monkeypatch.chdir(tmp_path)
    _set_environment(monkeypatch)

    assert deploy.main(command.split()) == 2
    assert "does not list account 123456789012" in capsys.readouterr().err
    assert everything_in(account) == []


def test_a_teardown_in_another_account_is_refused(
    governed: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Nothing is removed."""
    monkeypatch.chdir(tmp_path)
    _set_environment(monkeypatch)
    before = everything_in(governed.account)

    assert teardown_command.main(["--yes"]) == 2
    assert "does not list account 123456789012" in capsys.readouterr().err
    assert everything_in(governed.account) == before


def _set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-2",
        "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
        "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
        "ALLOWED_ACCOUNTS": "210987654321",
    }.items():
        monkeypatch.setenv(name, value)
