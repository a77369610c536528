"""Networks of the user's: read to check them, and to see when Lambda has left them.

Nothing in a network is created or removed here. Lambda creates network interfaces for functions in
it, with the rights of their roles, and removes them 20 to 40 minutes after the last function has
left: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from deployer.aws.account import Account
from deployer.configuration.network import Network
from deployer.resources.reach import HTTPS, Endpoint, Group, Subnet, Surroundings

# Of a subnet with IPv6 alone, which Lambda cannot use: no IPv4 address of it is free.
NO_IPV4 = "0.0.0.0/32"
DEFAULT_ROUTE = "0.0.0.0/0"
INTERFACE = re.compile(
    r"AWS Lambda VPC ENI-(?P<function>.+)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


def surroundings(account: Account, network: Network) -> Surroundings:
    """Read the subnets and groups of a network, their routes, and the endpoints beside them.

    What does not exist is missing in the answer.
    """
    subnets = _all(account, "describe_subnets", "Subnets", **{"subnet-id": network.subnets})
    vpcs = sorted({each["VpcId"] for each in subnets})
    if not vpcs:
        return Surroundings(account.region, (), (), ())
    tables = _all(account, "describe_route_tables", "RouteTables", **{"vpc-id": vpcs})
    endpoints = [
        each
        for each in _all(account, "describe_vpc_endpoints", "VpcEndpoints", **{"vpc-id": vpcs})
        if each["State"].lower() == "available"
    ]
    beside = [group["GroupId"] for each in endpoints for group in each.get("Groups", [])]
    ids = sorted({*network.groups, *beside})
    groups = _all(account, "describe_security_groups", "SecurityGroups", **{"group-id": ids})
    by_id = {each["GroupId"]: each for each in groups}
    return Surroundings(
        account.region,
        tuple(_subnet(each, tables, endpoints, account.region) for each in subnets),
        tuple(_group(by_id[each]) for each in network.groups if each in by_id),
        tuple(_endpoint(each, by_id, account.region) for each in endpoints if _is_interface(each)),
    )


def interfaces(account: Account, functions: Iterable[str]) -> list[str]:
    """Return the ids of the network interfaces that Lambda created for functions."""
    wanted = [f"AWS Lambda VPC ENI-{name}-*" for name in functions]
    found = _all(account, "describe_network_interfaces", "NetworkInterfaces", description=wanted)
    names = set(functions)
    return [
        each["NetworkInterfaceId"]
        for each in found
        if (described := INTERFACE.fullmatch(each.get("Description", "")))
        and described["function"] in names
    ]


def _all(
    account: Account, operation: str, key: str, **filters: Sequence[str]
) -> list[dict[str, Any]]:
    """Return all pages of a listing that is filtered by values."""
    given = [{"Name": name, "Values": list(values)} for name, values in filters.items()]
    pages = account.clients.ec2.get_paginator(operation).paginate(Filters=given)
    return [each for page in pages for each in page[key]]


def _subnet(
    subnet: Mapping[str, Any],
    tables: Sequence[Mapping[str, Any]],
    endpoints: Sequence[Mapping[str, Any]],
    region: str,
) -> Subnet:
    table = _table(subnet, tables)
    active = [each for each in table.get("Routes", []) if each.get("State") == "active"]
    default = [each for each in active if each.get("DestinationCidrBlock") == DEFAULT_ROUTE]
    # An organisation may keep the endpoints of all its networks behind a transit gateway.
    shared = any(each.get("TransitGatewayId") or each.get("CoreNetworkArn") for each in active)
    public = [each for each in default if each.get("GatewayId", "").startswith("igw-")]
    table_id = table.get("RouteTableId")
    return Subnet(
        id=subnet["SubnetId"],
        vpc=subnet["VpcId"],
        cidr=subnet.get("CidrBlock", NO_IPV4),
        free=subnet["AvailableIpAddressCount"],
        is_public=bool(public),
        has_way_out=shared or len(default) > len(public),
        nat=next((each["NatGatewayId"] for each in default if each.get("NatGatewayId")), None),
        gateways=frozenset(
            _service(each, region)
            for each in endpoints
            if table_id in each.get("RouteTableIds", [])
        ),
    )


def _table(subnet: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the route table of a subnet: its own, or the main one of the VPC."""

    def having(key: str, value: object) -> Iterator[Mapping[str, Any]]:
        for table in tables:
            if any(each.get(key) == value for each in table.get("Associations", [])):
                yield table

    of_vpc = (each for each in having("Main", True) if each["VpcId"] == subnet["VpcId"])
    return next(having("SubnetId", subnet["SubnetId"]), next(of_vpc, {}))


def _group(group: Mapping[str, Any]) -> Group:
    return Group(group["GroupId"], group["VpcId"], tuple(_ports(group["IpPermissionsEgress"])))


def _ports(rules: Iterable[Mapping[str, Any]]) -> Iterator[range]:
    """Yield the ranges of TCP ports of rules."""
    for rule in rules:
        if rule["IpProtocol"] == "-1":
            yield range(65536)
        elif rule["IpProtocol"] in ("tcp", "6"):
            yield range(rule["FromPort"], rule["ToPort"] + 1)


def _is_interface(endpoint: Mapping[str, Any]) -> bool:
    return endpoint["VpcEndpointType"] == "Interface" and bool(endpoint.get("PrivateDnsEnabled"))


def _endpoint(
    endpoint: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], region: str
) -> Endpoint:
    rules = [
        rule
        for group in endpoint.get("Groups", [])
        for rule in groups.get(group["GroupId"], {}).get("IpPermissions", [])
        if any(HTTPS in ports for ports in _ports([rule]))
    ]
    from_lists = any(rule.get("PrefixListIds") for rule in rules)
    lets_in = [
        *(each["CidrIp"] for rule in rules for each in rule.get("IpRanges", [])),
        *(each["GroupId"] for rule in rules for each in rule.get("UserIdGroupPairs", [])),
    ]
    return Endpoint(
        id=endpoint["VpcEndpointId"],
        service=_service(endpoint, region),
        lets_in=None if from_lists else frozenset(lets_in),
        zones=len(endpoint.get("SubnetIds", [])),
    )


def _service(endpoint: Mapping[str, Any], region: str) -> str:
    """Return the service of an endpoint, such as "s3"; in China some names begin with "cn."."""
    name: str = endpoint["ServiceName"]
    return name.rpartition(f".{region}.")[2]
