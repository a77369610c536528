"""A network of the user's as EC2 describes it, and its removal's wait for Lambda's interfaces."""

import json
from dataclasses import replace
from typing import Any

import pytest

from deployer.aws import networks
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.network import Network
from deployer.errors import CredentialsError
from deployer.resources.reach import Endpoint, Group, Subnet, Surroundings
from deployer.steps import Waiting
from tests.aws.faults import Faults, stubbed
from tests.aws.private_network import PrivateNetwork, private_network
from tests.aws.removing import outcomes, teardown
from tests.aws.sandbox import Sandbox, everything_in

FUNCTION = "totesys-etl-dev-{}"
ROLE = "totesys-etl-dev-eu-west-2-{}"
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
DENIED = ("UnauthorizedOperation", "You are not authorized to perform this operation.")
OUT = {"DestinationCidrBlock": "0.0.0.0/0", "State": "active"}


@pytest.fixture
def private(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> PrivateNetwork:
    """A network with all that functions need; the deployment is to use it."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    made = private_network(sandbox.account, "s3", "secretsmanager")
    sandbox.settings = replace(sandbox.settings, network=made.network)
    return made


def described(
    account: Account,
    *routes: dict[str, Any],
    endpoints: tuple[dict[str, Any], ...] = (),
    rules: tuple[dict[str, Any], ...] = (),
) -> Surroundings:
    """Return what is read of a subnet with these routes, endpoints in its VPC, and their rules."""
    subnet = {
        "SubnetId": "subnet-1",
        "VpcId": "vpc-1",
        "CidrBlock": "10.0.0.0/24",
        "AvailableIpAddressCount": 9,
    }
    its_own = {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": [LOCAL, *routes]}
    its_own["Associations"] = [{"SubnetId": "subnet-1", "Main": False}]
    main = {"RouteTableId": "rtb-2", "VpcId": "vpc-1", "Associations": [{"Main": True}]}
    everywhere = {"IpProtocol": "-1"}
    groups = [
        {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissionsEgress": [everywhere]},
        {
            "GroupId": "sg-2",
            "VpcId": "vpc-1",
            "IpPermissionsEgress": [],
            "IpPermissions": list(rules),
        },
    ]
    with stubbed(account.clients.ec2) as stubber:
        stubber.add_response("describe_subnets", {"Subnets": [subnet]})
        stubber.add_response("describe_route_tables", {"RouteTables": [main, its_own]})
        stubber.add_response("describe_vpc_endpoints", {"VpcEndpoints": list(endpoints)})
        stubber.add_response("describe_security_groups", {"SecurityGroups": groups})
        return networks.surroundings(account, Network(("subnet-1",), ("sg-1",)))


def endpoint(**changed: Any) -> dict[str, Any]:
    return {
        "VpcEndpointId": "vpce-1",
        "VpcEndpointType": "Interface",
        "ServiceName": "com.amazonaws.eu-west-2.secretsmanager",
        "State": "available",
        "PrivateDnsEnabled": True,
        "SubnetIds": ["subnet-1", "subnet-2"],
        "Groups": [{"GroupId": "sg-2", "GroupName": "endpoints"}],
        **changed,
    }


@pytest.mark.parametrize(
    ("route", "ways"),
    [
        ({**OUT, "NatGatewayId": "nat-1"}, (False, True, "nat-1")),
        ({**OUT, "TransitGatewayId": "tgw-1"}, (False, True, None)),
        ({**OUT, "NetworkInterfaceId": "eni-1"}, (False, True, None)),
        ({**OUT, "GatewayId": "igw-1"}, (True, False, None)),
        ({**OUT, "NatGatewayId": "nat-1", "State": "blackhole"}, (False, False, None)),
        (
            {**OUT, "DestinationCidrBlock": "10.0.0.0/8", "TransitGatewayId": "tgw-1"},
            (False, True, None),
        ),
        (
            {**OUT, "DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": "pcx-1"},
            (False, False, None),
        ),
    ],
)
def test_a_way_out_is_an_active_route_of_the_subnets_own_table(
    account: Account, route: dict[str, Any], ways: tuple[bool, bool, str | None]
) -> None:
    """To a NAT, or to a network that may have one; an internet gateway serves no function."""
    is_public, has_way_out, nat = ways
    found = described(account, route)

    assert found.subnets == (
        Subnet("subnet-1", "vpc-1", "10.0.0.0/24", 9, is_public, has_way_out, nat),
    )
    assert found.groups == (Group("sg-1", "vpc-1", (range(65536),)),)


def test_an_endpoint_is_one_that_functions_find_and_may_call(account: Account) -> None:
    """Available and with private DNS; who its groups let in is read from their rules."""
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    ranges = {**https, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    group = {**https, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}
    other = {**ranges, "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    useless = (
        endpoint(PrivateDnsEnabled=False),
        endpoint(State="pendingAcceptance"),
        endpoint(VpcEndpointType="GatewayLoadBalancer"),
    )
    found = described(account, endpoints=(*useless, endpoint()), rules=(ranges, group, other))

    lets_in = frozenset({"10.0.0.0/16", "sg-1"})
    assert found.endpoints == (Endpoint("vpce-1", "secretsmanager", lets_in, 2),)
    listed = {**https, "PrefixListIds": [{"PrefixListId": "pl-1"}]}
    [open_to_a_list] = described(account, endpoints=(endpoint(),), rules=(listed,)).endpoints
    assert open_to_a_list.lets_in is None


def test_a_gateway_endpoint_serves_the_subnets_of_its_route_tables(account: Account) -> None:
    """That of another table leads nowhere from here."""
    gateway = {"VpcEndpointType": "Gateway", "ServiceName": "com.amazonaws.eu-west-2.s3"}
    here = endpoint(**gateway, RouteTableIds=["rtb-1"])
    elsewhere = endpoint(**gateway, RouteTableIds=["rtb-2"])

    assert described(account, endpoints=(here,)).subnets[0].gateways == {"s3"}
    assert described(account, endpoints=(elsewhere,)).subnets[0].gateways == set()


def test_a_network_that_is_not_there_has_nothing_around_it(account: Account) -> None:
    """It is reported by who compares it with the settings."""
    absent = Network(("subnet-0123abcd",), ("sg-0123abcd",))

    assert networks.surroundings(account, absent) == Surroundings("eu-west-2", (), (), ())


def test_teardown_waits_until_lambda_has_left_the_network(
    sandbox: Sandbox, private: PrivateNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, removes the roles last, and leaves the user's network as it is."""
    sandbox.deploy()
    interface = private.add_interface(FUNCTION.format("load"))
    beside = private.add_interface("totesys-etl-prod-load")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 1800 and interface in interfaces(private):
            assert_roles_are_there(sandbox)
            private.remove_interface(interface)

    patience = replace(sandbox.account.patience, sleep=sleep, clock=lambda: sum(slept))
    sandbox.account = replace(sandbox.account, patience=patience)
    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert "network interface" in outcomes(receipt)["removed"]
    assert [event for event in sandbox.events if isinstance(event, Waiting)] == [
        Waiting("Lambda to remove its network interfaces, which takes 20 to 40 minutes")
    ]
    assert Change("network interface", interface, "removed") in sandbox.events
    assert everything_in(sandbox.account) == []
    assert interfaces(private) == [beside]
    assert teardown(sandbox).look() == []


def test_teardown_goes_on_after_an_hour_of_waiting(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """Roles stay with the interfaces that need them, and the next run removes both."""
    sandbox.deploy()
    interface = private.add_interface(FUNCTION.format("load"))

    first = teardown(sandbox).remove()
    private.remove_interface(interface)
    second = teardown(sandbox).remove()

    assert not first.is_complete
    assert outcomes(first)["stays"] == [*["role"] * 5, "network interface"]
    assert first.entries[-1].name == interface
    assert second.is_complete
    assert everything_in(sandbox.account) == []


def test_a_role_that_is_gone_is_no_obstacle_while_interfaces_stay(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """Somebody removed it: the others stay with the interfaces, and there is a receipt."""
    sandbox.deploy()
    private.add_interface(FUNCTION.format("load"))
    iam, role = sandbox.account.clients.iam, ROLE.format("page")
    iam.delete_role_policy(RoleName=role, PolicyName="least-privilege")
    iam.delete_role(RoleName=role)

    receipt = teardown(sandbox).remove()

    found = {each.name: each.outcome for each in receipt.entries if each.kind == "role"}
    others = ("extract", "transform", "load", "reconcile")
    assert found == {role: "already gone", **{ROLE.format(each): "stays" for each in others}}


def test_roles_stay_where_the_interfaces_of_lambda_cannot_be_read(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """They may be there, and Lambda removes them with the rights of the roles."""
    sandbox.deploy()
    Faults({"DescribeNetworkInterfaces": DENIED}).inject(sandbox, "before-call")

    first, second = (teardown(sandbox).remove() for _ in range(2))

    assert outcomes(first)["stays"] == [*["role"] * 5, "network interface"]
    assert {each.why for each in first.entries if each.kind == "role"} == {
        "Lambda needs it to remove network interfaces: run again in half an hour"
    }
    assert DENIED[1] in first.text()
    assert second.is_complete


def test_credentials_that_expire_while_lambda_leaves_end_the_teardown(
    sandbox: Sandbox, private: PrivateNetwork
) -> None:
    """Nothing is known of the interfaces then, and none of the roles is removed."""
    sandbox.deploy()
    private.add_interface(FUNCTION.format("load"))
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    Faults({"DescribeNetworkInterfaces": expired}).inject(sandbox, "before-call")

    with pytest.raises(CredentialsError):
        teardown(sandbox).remove()
    assert_roles_are_there(sandbox)


def interfaces(private: PrivateNetwork) -> list[str]:
    found = private.account.clients.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": ["AWS Lambda VPC ENI-*"]}]
    )
    return [each["NetworkInterfaceId"] for each in found["NetworkInterfaces"]]


def assert_roles_are_there(sandbox: Sandbox) -> None:
    """Lambda removes interfaces with the rights of the roles."""
    roles = sandbox.account.clients.iam.list_roles()["Roles"]
    named = json.dumps([each["RoleName"] for each in roles])
    assert ROLE.format("load") in named
