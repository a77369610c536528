"""Functions in a network of the user's: checked before, connected, disconnected, removed."""

from dataclasses import replace
from typing import Any

import pytest

from deployer.aws.waiting import Waited
from deployer.errors import AwsError, SettingsError
from deployer.resources.policies import CHANGES_OF_NETWORKS, LOOKS_AT_NETWORKS
from deployer.rollback import Rollback
from tests.aws.faults import Faults
from tests.aws.private_network import PrivateNetwork, private_network
from tests.aws.removing import NAMES, teardown
from tests.aws.sandbox import Sandbox, everything_in, pending

FUNCTION = "totesys-etl-dev-{}"
ROLE = "totesys-etl-dev-eu-west-2-{}"
CONNECTED = ("extract", "load", "page", "reconcile")
OF_ROLES = (*CHANGES_OF_NETWORKS, *LOOKS_AT_NETWORKS)
NO_RIGHT = (
    "InvalidParameterValueException",
    "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
)


@pytest.fixture
def private(sandbox: Sandbox) -> PrivateNetwork:
    """A network with all that functions need; the deployment is to use it."""
    made = private_network(sandbox.account, "s3", "secretsmanager")
    sandbox.settings = replace(sandbox.settings, network=made.network)
    sandbox.writes.clear()
    return made


@pytest.fixture(autouse=True)
def no_late_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)


def networks_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return the network of each function that has one."""
    functions = sandbox.account.clients.lambda_.list_functions()["Functions"]
    found = {
        each["FunctionName"].rpartition("-")[2]: {
            key: each["VpcConfig"].get(key) for key in ("SubnetIds", "SecurityGroupIds")
        }
        for each in functions
        if each.get("VpcConfig", {}).get("SubnetIds")
    }
    return dict(sorted(found.items()))


def rights_to_networks(sandbox: Sandbox, use: str) -> dict[str, list[str]]:
    """Return what a role allows and denies on EC2, by effect."""
    document: Any = sandbox.account.clients.iam.get_role_policy(
        RoleName=ROLE.format(use), PolicyName="least-privilege"
    )["PolicyDocument"]
    found: dict[str, list[str]] = {}
    for statement in document["Statement"]:
        actions = statement["Action"]
        given = [actions] if isinstance(actions, str) else actions
        found.setdefault(statement["Effect"], []).extend(
            each for each in given if each.startswith("ec2:")
        )
    return {effect: actions for effect, actions in found.items() if actions}


def test_the_functions_of_databases_are_in_the_network(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """They and no others, with the rights in their roles; then the plan is in sync."""
    sandbox.deploy()

    wanted = {"SubnetIds": sorted(private.subnets), "SecurityGroupIds": [private.group]}
    assert networks_of(sandbox) == dict.fromkeys(CONNECTED, wanted)
    rights = {"Allow": list(OF_ROLES), "Deny": list(OF_ROLES)}
    assert [rights_to_networks(sandbox, use) for use in CONNECTED] == [rights] * 4
    assert rights_to_networks(sandbox, "transform") == {}
    assert pending(sandbox.plan()) == []


def test_a_functions_own_code_may_not_touch_the_network(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """The rights are Lambda's, by the function's role; its code is denied what Lambda needs."""
    sandbox.deploy()

    document: Any = sandbox.account.clients.iam.get_role_policy(
        RoleName=ROLE.format("load"), PolicyName="least-privilege"
    )["PolicyDocument"]
    [denied] = [each for each in document["Statement"] if each["Effect"] == "Deny"]
    arn = f"arn:aws:lambda:eu-west-2:{sandbox.account.id}:function:{FUNCTION.format('load')}"
    assert denied["Resource"] == "*"
    assert denied["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}


def test_a_deployed_pipeline_moves_into_a_network(sandbox: Sandbox) -> None:
    """Setting the network later changes roles and functions, and says so before."""
    sandbox.start_deployed()
    made = private_network(sandbox.account, "s3", "secretsmanager")
    sandbox.settings = replace(sandbox.settings, network=made.network)

    planned = pending(sandbox.plan())
    done = pending(sandbox.deploy())

    assert planned == done
    assert sorted(done) == [
        *[("function", "updated", ["VpcConfig"])] * 4,
        *[("role", "updated", ["policy"])] * 4,
    ]
    assert pending(sandbox.plan()) == []


def test_a_function_moved_by_hand_is_put_back(sandbox: Sandbox, private: PrivateNetwork) -> None:
    """Another network than that of the settings is a difference, and is repaired."""
    sandbox.deploy()
    sandbox.account.clients.lambda_.update_function_configuration(
        FunctionName=FUNCTION.format("load"),
        VpcConfig={"SubnetIds": [private.subnets[0]], "SecurityGroupIds": [private.group]},
    )

    assert pending(sandbox.deploy()) == [("function", "updated", ["VpcConfig"])]
    assert pending(sandbox.plan()) == []


def test_functions_leave_a_network_that_is_no_longer_set(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """At once; their roles keep the rights until Lambda has removed its interfaces by them."""
    sandbox.deploy()
    interface = private.add_interface(FUNCTION.format("extract"))
    sandbox.settings = replace(sandbox.settings, network=None)

    sandbox.deploy()

    assert networks_of(sandbox) == {}
    assert rights_to_networks(sandbox, "load") == {
        "Allow": list(OF_ROLES),
        "Deny": list(OF_ROLES),
    }
    assert pending(sandbox.plan()) == []
    private.remove_interface(interface)
    assert pending(sandbox.deploy()) == [("role", "updated", ["policy"])] * 4
    assert [rights_to_networks(sandbox, use) for use in CONNECTED] == [{}] * 4


@pytest.mark.parametrize("are_left", [True, False])
def test_functions_leave_a_network_that_a_rollback_knows_nothing_of(
    sandbox: Sandbox, are_left: bool
) -> None:
    """Their roles keep the rights until the interfaces are gone, and a teardown waits for that."""
    sandbox.start_deployed()
    made = private_network(sandbox.account, "s3", "secretsmanager")
    sandbox.settings = replace(sandbox.settings, network=made.network)
    sandbox.deploy()
    if are_left:
        made.add_interface(FUNCTION.format("extract"))

    Rollback(sandbox.account, NAMES, sandbox.events.append).roll_back()

    assert networks_of(sandbox) == {}
    rights = {"Allow": list(OF_ROLES), "Deny": list(OF_ROLES)}
    assert [rights_to_networks(sandbox, use) for use in CONNECTED] == [rights] * 4
    assert rights_to_networks(sandbox, "transform") == {}
    assert teardown(sandbox).remove().is_complete is not are_left


def test_a_rollback_takes_no_more_rights_than_there_were(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """Once Lambda has left the network; and where none was ever used, EC2 is not asked."""
    sandbox.deploy()
    sandbox.settings = replace(sandbox.settings, network=None)
    sandbox.deploy()
    for number in (2, 3):
        sandbox.packages.code["load"] = f"NUMBER = {number}\n"
        sandbox.deploy()
    denied = ("UnauthorizedOperation", "You are not authorized to perform this operation.")
    Faults({"DescribeNetworkInterfaces": denied}, times=None).inject(sandbox, "before-call")

    Rollback(sandbox.account, NAMES, sandbox.events.append).roll_back()

    assert [rights_to_networks(sandbox, use) for use in CONNECTED] == [{}] * 4


def test_interfaces_of_others_keep_nothing(sandbox: Sandbox, private: PrivateNetwork) -> None:
    """Neither another stage's in the same subnets, nor one whose name only begins like ours."""
    sandbox.deploy()
    for name in ("totesys-etl-prod-load", "totesys-etl-dev-load-test"):
        private.add_interface(name)
    sandbox.settings = replace(sandbox.settings, network=None)

    sandbox.deploy()

    assert [rights_to_networks(sandbox, use) for use in CONNECTED] == [{}] * 4


def test_without_a_network_ec2_is_never_asked(sandbox: Sandbox) -> None:
    """Most deployments need no right to EC2, and an organisation may forbid it altogether."""
    denied = ("UnauthorizedOperation", "You are not authorized to perform this operation.")
    operations = (
        "DescribeNetworkInterfaces",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcEndpoints",
    )
    Faults(dict.fromkeys(operations, denied), times=None).inject(sandbox, "before-call")

    sandbox.deploy()

    assert pending(sandbox.plan()) == []
    assert teardown(sandbox).remove().is_complete


@pytest.mark.parametrize("lacking", ["s3", "secretsmanager"])
def test_a_network_without_a_way_is_refused_before_anything_is_made(
    sandbox: Sandbox, lacking: str
) -> None:
    """A line says which functions reach what from where, and what that costs."""
    given = {"s3", "secretsmanager"} - {lacking}
    made = private_network(sandbox.account, *given)
    sandbox.settings = replace(sandbox.settings, network=made.network)
    sandbox.writes.clear()

    with pytest.raises(SettingsError) as planned:
        sandbox.plan()
    with pytest.raises(SettingsError) as caught:
        sandbox.deploy()

    steps = {
        "s3": "no way to S3, which extract, load, reconcile, page must reach. Create a gateway "
        "endpoint for com.amazonaws.eu-west-2.s3 in their route tables (free), or route ",
        "secretsmanager": "no way to Secrets Manager, which extract, load, reconcile, page must "
        "reach. Create an interface endpoint for com.amazonaws.eu-west-2.secretsmanager with "
        "private DNS (about 7.92 USD a month for each zone), or route ",
    }
    [line] = caught.value.problems
    assert steps[lacking] + "0.0.0.0/0 to a NAT gateway (about 36.00 USD a month" in line
    assert str(planned.value) == str(caught.value)
    assert (sandbox.writes, everything_in(sandbox.account)) == ([], [])


def test_a_nat_gateway_is_a_way_to_everything(sandbox: Sandbox) -> None:
    """One route is enough, and the estimate has its price."""
    made = private_network(sandbox.account)
    nat = made.add_nat()
    sandbox.settings = replace(sandbox.settings, network=made.network)

    deployer = sandbox.deployer()
    deployer.deploy()

    assert list(networks_of(sandbox)) == list(CONNECTED)
    assert deployer.network.surroundings is not None
    assert {each.nat for each in deployer.network.surroundings.subnets} == {nat}


def test_a_denied_right_to_the_network_fails_within_a_minute(
    sandbox: Sandbox, private: PrivateNetwork, sleeps: list[float]
) -> None:
    """An organisation's denial looks like a new role's delay, and is none: it is named."""
    Faults({"CreateFunction": NO_RIGHT}, times=None).inject(sandbox, "before-call")

    with pytest.raises(AwsError) as caught:
        sandbox.deploy()

    # Of five functions, beside each other: less than 50 s each.
    assert sum(sleeps) < 5 * 50
    assert str(caught.value) == (
        "function totesys-etl-dev-extract: CreateFunction answered InvalidParameterValueException: "
        "The provided execution role does not have permissions to call CreateNetworkInterface on "
        "EC2. The role's policy allows ec2:CreateNetworkInterface; a permissions boundary or a "
        "policy of the organisation denies it. Ask for it, then run again."
    )


def test_a_right_that_arrives_late_is_waited_for(
    sandbox: Sandbox, private: PrivateNetwork, waits: list[Waited]
) -> None:
    """IAM spreads a new role's policy within seconds: that is no failed deployment."""
    Faults({"CreateFunction": NO_RIGHT}).inject(sandbox, "before-call")

    sandbox.deploy()

    assert "Lambda to see the rights to a network" in {each.waiting_for for each in waits}
    assert pending(sandbox.plan()) == []


def test_a_function_whose_last_update_failed_is_updated_again(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """A network that AWS could not connect it to, a full subnet for one, is no final state."""
    sandbox.deploy()
    failed = {"LastUpdateStatus": "Failed", "LastUpdateStatusReasonCode": "EniLimitExceeded"}

    def fail(parsed: dict[str, Any], **_: object) -> None:
        if sandbox.writes:
            return
        of_load = parsed.get("Configuration", parsed)
        if of_load.get("FunctionName") == FUNCTION.format("load"):
            of_load.update(failed)

    events = sandbox.account.clients.lambda_.meta.events
    events.register("after-call.lambda.GetFunction", fail)
    events.register("after-call.lambda.GetFunctionConfiguration", fail)
    sandbox.writes.clear()

    assert pending(sandbox.plan()) == [("function", "updated", ["LastUpdateStatus"])]
    assert pending(sandbox.deploy()) == [("function", "updated", ["LastUpdateStatus"])]
    assert pending(sandbox.plan()) == []


def test_a_function_that_could_not_be_connected_is_created_again(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """A subnet that is full: the reason is given, and the next run creates the function."""
    said = {
        "State": "Failed",
        "StateReasonCode": "SubnetOutOfIPAddresses",
        "StateReason": "No addresses are left.",
    }
    failing = ["load"]

    def fail(parsed: dict[str, Any], **_: object) -> None:
        of_load = parsed.get("Configuration", parsed)
        if failing and of_load.get("FunctionName") == FUNCTION.format("load"):
            of_load.update(said)

    def removed(**_: object) -> None:
        failing.clear()

    events = sandbox.account.clients.lambda_.meta.events
    events.register("after-call.lambda.GetFunction", fail)
    events.register("after-call.lambda.GetFunctionConfiguration", fail)
    events.register("before-call.lambda.DeleteFunction", removed)

    with pytest.raises(AwsError, match=r"\(SubnetOutOfIPAddresses\): No addresses are left\."):
        sandbox.deploy()

    assert ("function", "created") in {each[:2] for each in pending(sandbox.plan())}
    assert ("function", "created") in {each[:2] for each in pending(sandbox.deploy())}
    assert failing == []
    assert pending(sandbox.plan()) == []
