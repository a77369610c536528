"""Roles of the user's: functions run as them, and they stay as they are."""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.model import OperationModel

import deploy
from deployer.aws.account import Account
from deployer.configuration.organisation import Organisation
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.operations.roles import roles_of
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import FunctionUse, Names
from deployer.resources.resource_policies import Policy, policy_of, trust_policy
from deployer.teardown import Teardown
from tests.aws.conftest import HTTP_OK
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox, pending

ALL: tuple[FunctionUse, ...] = ("extract", "transform", "load", "reconcile", "page")
OURS = Names("totesys-etl", "dev", "123456789012", "eu-west-2")


def create(account: Account, name: str, trust: Policy | None = None, path: str = "/data/") -> str:
    document = json.dumps(trust or trust_policy(OURS))
    made = account.clients.iam.create_role(
        RoleName=name, Path=path, AssumeRolePolicyDocument=document
    )
    return made["Role"]["Arn"]


def use(sandbox: Sandbox, **roles: str) -> Names:
    """Have the settings name roles; return the names of the deployment."""
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(roles=roles))
    return Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)


@pytest.fixture
def names(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Names:
    """A deployment's names; its functions load and extract run as roles of the user's."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    loads, extracts = (create(sandbox.account, f"team-{each}") for each in ("loads", "extracts"))
    names = use(sandbox, load=loads, extract=extracts)
    sandbox.writes.clear()
    return names


def role_names(account: Account) -> list[str]:
    return sorted(each["RoleName"] for each in account.clients.iam.list_roles()["Roles"])


def test_a_role_of_the_users_is_neither_created_nor_changed_nor_removed(
    sandbox: Sandbox, names: Names
) -> None:
    """The other functions have roles of the deployment, which go with it."""
    before = sandbox.account.clients.iam.get_role(RoleName="team-loads")["Role"]

    sandbox.deploy()

    function = sandbox.account.clients.lambda_.get_function(FunctionName=names.function("load"))
    assert function["Configuration"]["Role"] == before["Arn"] == names.role_arn("load")
    assert role_names(sandbox.account) == [
        "team-extracts",
        "team-loads",
        *sorted(OURS.role(each) for each in ("page", "reconcile", "transform")),
    ]
    assert pending(sandbox.plan()) == []
    gone = Teardown(sandbox.account, names, sandbox.events.append, ("source", "warehouse"))
    assert gone.remove().is_complete
    assert role_names(sandbox.account) == ["team-extracts", "team-loads"]
    after = sandbox.account.clients.iam.get_role(RoleName="team-loads")["Role"]
    assert after["AssumeRolePolicyDocument"] == before["AssumeRolePolicyDocument"]
    assert not sandbox.account.clients.iam.list_role_policies(RoleName="team-loads")["PolicyNames"]


def test_who_may_not_create_roles_can_deploy(sandbox: Sandbox) -> None:
    """Where all functions have a role already, no right to change any is asked for or needed."""
    roles = {each: create(sandbox.account, f"team-{each}") for each in ALL}
    names = use(sandbox, **roles)
    forbidden = ("AccessDenied", "no role may be changed here")
    changing = ("CreateRole", "PutRolePolicy", "DeleteRole", "TagRole", "UpdateAssumeRolePolicy")
    Faults(dict.fromkeys(changing, forbidden), times=None).inject(sandbox, "before-call")

    sandbox.deploy()

    assert pending(sandbox.plan()) == []
    assert names.existing_roles == roles


def test_the_role_that_one_of_the_users_replaced_is_removed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teardown finds what an earlier deployment created, whatever the settings name by now."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    sandbox.start_deployed()
    names = use(sandbox, load=create(sandbox.account, "team-loads"))
    sandbox.deploy()
    assert OURS.role("load") in role_names(sandbox.account)

    gone = Teardown(sandbox.account, names, sandbox.events.append, ("source", "warehouse"))
    assert ("role", OURS.role("load")) in [(each.kind, each.name) for each in gone.look()]
    assert gone.remove().is_complete
    assert role_names(sandbox.account) == ["team-loads"]


def test_a_role_of_the_users_may_have_the_name_of_ours(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator may create roles by the names that a deployment gives: they stay."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    theirs = {each: create(sandbox.account, OURS.role(each)) for each in ("load", "page")}
    names = use(sandbox, load=theirs["page"], page=theirs["load"])
    sandbox.deploy()

    gone = Teardown(sandbox.account, names, sandbox.events.append, ("source", "warehouse"))
    assert gone.remove().is_complete
    assert role_names(sandbox.account) == sorted(OURS.role(each) for each in ("load", "page"))


@pytest.mark.parametrize("named", [ALL, ALL[1:]])
def test_who_may_look_at_no_role_of_ours_can_remove_a_deployment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, named: tuple[FunctionUse, ...]
) -> None:
    """Where all functions have a role of the user's; otherwise the receipt says what it hides."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    names = use(sandbox, **{each: create(sandbox.account, f"team-{each}") for each in named})
    sandbox.deploy()
    hidden = {OURS.role(each) for each in named}

    def refuse(params: dict[str, Any], model: OperationModel, **_: object) -> None:
        if params["RoleName"] in hidden:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, model.name)

    iam: Any = sandbox.account.clients.iam
    iam.meta.events.register("provide-client-params.iam.GetRole", refuse)
    gone = Teardown(sandbox.account, names, sandbox.events.append, ("source", "warehouse"))
    receipt = gone.remove()

    stays = {each.name for each in receipt.entries if each.outcome == "stays"}
    assert stays == (set() if named == ALL else hidden)


@pytest.mark.parametrize(
    ("arn", "said"),
    [
        ("arn:aws:iam::123456789012:role/data/none", "there is no role"),
        ("arn:aws:iam::123456789012:role/elsewhere/theirs", "there is no role"),
        ("arn:aws:iam::210987654321:role/data/theirs", "is in another account"),
        ("arn:aws:iam::123456789012:role/data/of-machines", "does not trust lambda.amazonaws.com"),
    ],
)
def test_a_role_that_lambda_cannot_use_is_refused_before_anything(
    sandbox: Sandbox, arn: str, said: str
) -> None:
    """With the setting that names it, and the command that prints what it should be."""
    machines = {"Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    create(sandbox.account, "of-machines", policy_of({"Effect": "Allow", **machines}))
    create(sandbox.account, "theirs")
    use(sandbox, page=arn)
    sandbox.writes.clear()

    with pytest.raises(SettingsError, match=f"PAGE_ROLE_ARN: .*{said}"):
        sandbox.deploy()
    assert sandbox.writes == []


def simulated(sandbox: Sandbox, *denied: str) -> list[str]:
    """Answer simulations as IAM does; return the roles that are asked about."""
    asked: list[str] = []

    def answer(params: Any, **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        body = params["body"]
        asked.append(body["PolicySourceArn"])
        actions = [value for key, value in body.items() if key.startswith("ActionNames")]
        results = [
            {
                "EvalActionName": each,
                "EvalDecision": "implicitDeny" if each in denied else "allowed",
                "EvalResourceName": "*",
            }
            for each in actions
        ]
        return HTTP_OK, {"EvaluationResults": results, "IsTruncated": False}

    iam: Any = sandbox.account.clients.iam
    iam.meta.events.register("before-call.iam.SimulatePrincipalPolicy", answer)
    return asked


def test_what_a_role_lacks_is_said_with_what_it_needs(sandbox: Sandbox, names: Names) -> None:
    """For each function: the ARN, whose it is, and the policies that it should have."""
    asked = simulated(sandbox, "logs:PutLogEvents")

    found = {each.function: each for each in roles_of(sandbox.account, names, sandbox.settings)}

    load, page = found[names.function("load")], found[names.function("page")]
    assert (load.role_arn, load.is_yours) == (names.role_arn("load"), True)
    assert load.lacks == ["logs:PutLogEvents"]
    assert load.trust_policy == trust_policy(names)
    assert {"load", "extract"} == {arn.rpartition("team-")[2].rstrip("s") for arn in asked}
    assert (page.role_arn, page.is_yours, page.lacks) == (OURS.role_arn("page"), False, None)
    sandbox.settings = replace(sandbox.settings, organisation=Organisation())
    sandbox.deploy()
    created = sandbox.account.clients.iam.get_role_policy(
        RoleName=OURS.role("load"), PolicyName="least-privilege"
    )
    assert load.policy == created["PolicyDocument"]


def test_a_role_that_has_all_lacks_nothing(sandbox: Sandbox, names: Names) -> None:
    """And where simulations are not allowed, nothing is known."""
    simulated(sandbox)
    assert {each.lacks == [] for each in _of_yours(sandbox, names)} == {True}

    denied = {"SimulatePrincipalPolicy": ("AccessDenied", "no")}
    Faults(denied, times=None).inject(sandbox, "provide-client-params")
    assert {each.lacks for each in _of_yours(sandbox, names)} == {None}


def _of_yours(sandbox: Sandbox, names: Names) -> list[Any]:
    found = roles_of(sandbox.account, names, sandbox.settings)
    return [each for each in found if each.is_yours]


def test_the_command_prints_a_document(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:
    """It is what an administrator creates the roles from."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-2",
        "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
        "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
    }.items():
        monkeypatch.setenv(name, value)

    assert deploy.main(["roles", "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert sorted(printed) == sorted(OURS.function(each) for each in ALL)
    assert printed["totesys-etl-dev-load"]["policy"]["Version"] == "2012-10-17"


def test_who_deploys_passes_the_roles_and_looks_at_them_alone() -> None:
    """Rights to create and change roles are needed for those of the deployment only."""
    theirs = "arn:aws:iam::123456789012:role/data/team"
    names = replace(OURS, roles=(("load", theirs),))
    every = replace(OURS, roles=tuple((each, theirs) for each in get_args(FunctionUse)))
    some, all_of_them = (
        {each["Sid"]: each for each in deployer_policy(each)["Statement"]}
        for each in (names, every)
    )

    assert some["Roles"]["Resource"] == [
        "arn:aws:iam::123456789012:role/totesys-etl-dev-eu-west-2-*"
    ]
    assert some["PassRoles"]["Resource"] == [*some["Roles"]["Resource"], theirs]
    assert some["YourRoles"]["Action"] == ["iam:GetRole", "iam:SimulatePrincipalPolicy"]
    assert some["YourRoles"]["Resource"] == all_of_them["PassRoles"]["Resource"] == [theirs]
    assert not {"Roles", "RightsOfRoles"} & all_of_them.keys()


def test_a_role_is_named_by_its_arn() -> None:
    """Of a role, whole, and per function."""
    required = {
        "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
        "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
    }
    arn = "arn:aws-us-gov:iam::123456789012:role/a/b/load"
    found = Settings.read({**required, "LOAD_ROLE_ARN": arn, "PAGE_ROLE_ARN": ""})
    assert found.organisation.roles == {"load": arn}
    for wrong in ("load", "arn:aws:iam::123456789012:user/load", f"{arn}*"):
        with pytest.raises(SettingsError, match="LOAD_ROLE_ARN is malformed"):
            Settings.read({**required, "LOAD_ROLE_ARN": wrong})
