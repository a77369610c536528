"""A private network in an account: two subnets without a way out, a security group, endpoints."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from deployer.aws.account import Account
from deployer.configuration.network import Network

RANGE = "10.0.0.0/16"


@dataclass(frozen=True)
class PrivateNetwork:
    """The ids of a VPC, its subnets, its security group, and its only route table."""

    account: Account
    vpc: str
    subnets: tuple[str, ...]
    group: str
    table: str

    @property
    def network(self) -> Network:
        return Network(tuple(sorted(self.subnets)), (self.group,))

    @property
    def settings(self) -> dict[str, str]:
        return {"SUBNET_IDS": ",".join(self.subnets), "SECURITY_GROUP_IDS": self.group}

    def add_endpoint(self, service: str) -> str:
        """Create the endpoint of a service, which lets in the whole VPC."""
        ec2, name = self.account.clients.ec2, f"com.amazonaws.{self.account.region}.{service}"
        if service == "s3":
            of_kind: dict[str, Any] = {"VpcEndpointType": "Gateway", "RouteTableIds": [self.table]}
        else:
            of_kind = {
                "VpcEndpointType": "Interface",
                "SubnetIds": list(self.subnets),
                "SecurityGroupIds": [self.group],
                "PrivateDnsEnabled": True,
            }
        made = ec2.create_vpc_endpoint(VpcId=self.vpc, ServiceName=name, **of_kind)
        return str(made["VpcEndpoint"]["VpcEndpointId"])

    def add_nat(self) -> str:
        """Create a NAT gateway, and route everything outside the VPC to it."""
        ec2 = self.account.clients.ec2
        made = ec2.create_nat_gateway(SubnetId=self.subnets[0], ConnectivityType="private")
        nat = str(made["NatGateway"]["NatGatewayId"])
        ec2.create_route(
            RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat
        )
        return nat

    def add_interface(self, function: str) -> str:
        """Create a network interface as Lambda does for a function."""
        made = self.account.clients.ec2.create_network_interface(
            SubnetId=self.subnets[0],
            Groups=[self.group],
            Description=f"AWS Lambda VPC ENI-{function}-{uuid4()}",
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def remove_interface(self, interface: str) -> None:
        self.account.clients.ec2.delete_network_interface(NetworkInterfaceId=interface)


def private_network(account: Account, *services: str) -> PrivateNetwork:
    """Create a private network with the endpoints of services."""
    ec2 = account.clients.ec2
    vpc = ec2.create_vpc(CidrBlock=RANGE)["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{account.region}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="databases", Description="of tests", VpcId=vpc)
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": RANGE}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[https])
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    [table] = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    made = PrivateNetwork(account, vpc, tuple(subnets), group["GroupId"], table["RouteTableId"])
    for service in services:
        made.add_endpoint(service)
    return made
