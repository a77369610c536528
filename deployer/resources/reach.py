"""What the functions in a network have to reach, and whether they can: checked before a deployment.

A function in a VPC has no public address, in a public subnet neither: it reaches an AWS service
through an endpoint of the VPC, or all of them and the internet through a NAT.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html

Lambda itself delivers logs, metrics among them, and invokes functions: neither needs a way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from deployer.configuration.network import GROUPS, SUBNETS, Network
from deployer.configuration.settings import Settings
from deployer.resources import specs
from deployer.resources.names import FunctionUse

HTTPS = 443
# https://aws.amazon.com/vpc/pricing/ and /privatelink/pricing/, by the hour: US dollars
NAT_HOUR, NAT_GB, ENDPOINT_HOUR = 0.05, 0.05, 0.011
HOURS = 30 * 24
NAT_PRICE = f"about {NAT_HOUR * HOURS:.2f} USD a month and {NAT_GB:.2f} a GB"
ENDPOINT_PRICE = f"about {ENDPOINT_HOUR * HOURS:.2f} USD a month for each zone"
# How AWS calls the services whose endpoints functions need.
TITLES = {"s3": "S3", "secretsmanager": "Secrets Manager", "sns": "SNS", "sqs": "SQS", "kms": "KMS"}


@dataclass(frozen=True)
class Subnet:
    """A subnet: `free` addresses; `has_way_out` by a default route to a NAT or another network.

    `nat` is the id of its NAT gateway, `gateways` are the services with a gateway endpoint in its
    route table.
    """

    id: str
    vpc: str
    cidr: str
    free: int
    is_public: bool
    has_way_out: bool
    nat: str | None = None
    gateways: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Group:
    """A security group: the ranges of TCP ports that it lets out, first to last."""

    id: str
    vpc: str
    lets_out: tuple[range, ...]


@dataclass(frozen=True)
class Endpoint:
    """An interface endpoint with private DNS: who its groups let in at port 443, None for anybody.

    `lets_in` are ranges of addresses and ids of security groups; `zones` is how many it is in.
    """

    id: str
    service: str
    lets_in: frozenset[str] | None
    zones: int


@dataclass(frozen=True)
class Surroundings:
    """What is in an account of the subnets and groups of a network, and beside them."""

    region: str
    subnets: tuple[Subnet, ...]
    groups: tuple[Group, ...]
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Need:
    """An AWS service that functions call."""

    service: str
    functions: tuple[FunctionUse, ...]


def in_network(settings: Settings) -> tuple[FunctionUse, ...]:
    """Return the functions of a deployment that connect to a database."""
    return tuple(
        spec.use
        for spec in specs.functions(settings)
        if any(
            each.name in {**settings.databases, **settings.existing}
            for each in specs.databases(spec.use, settings.declared)
        )
    )


def needs(settings: Settings) -> list[Need]:
    """Return the services that functions in a network call."""
    functions = in_network(settings)
    notices = specs.NOTICE_WRITERS[settings.notify]
    fetches_events = any(each.name in settings.keys for each in settings.declared.events)
    signs = settings.organisation.proof_key is not None
    users = {
        "s3": functions,
        "secretsmanager": functions,
        "sns": tuple(use for use in functions if use in notices),
        "sqs": tuple(use for use in functions if use == "reconcile" and fetches_events),
        "kms": tuple(use for use in functions if use == "reconcile" and signs),
    }
    return [Need(service, uses) for service, uses in users.items() if uses]


def needs_of_internet(settings: Settings, region: str) -> list[str]:
    """Return what only a NAT leads to: sources on the internet, buckets in another region."""
    if not specs.READS_SOURCES & set(in_network(settings)):
        return []
    listed = [each.name for each in settings.declared.events if each.name in settings.keys]
    buckets = settings.buckets.items()
    return [
        *(f"the API of {name}" for name in settings.urls),
        *(f"the list of events of {name}" for name in listed),
        *(f"the bucket of {n} in {b.region}" for n, b in buckets if b.region not in ("", region)),
    ]


def problems(settings: Settings, network: Network, found: Surroundings) -> list[str]:
    """Return what keeps the functions from working in a network, a line each with the next step."""
    missing = [*_missing(network, found), *_apart(found)]
    return missing or [*_full(found), *_blocked(settings, found), *_unreachable(settings, found)]


def nat_gateways(found: Surroundings) -> set[str]:
    """Return the NAT gateways that functions leave the subnets by."""
    return {each.nat for each in found.subnets if each.nat}


def used_endpoints(settings: Settings, found: Surroundings) -> list[Endpoint]:
    """Return the interface endpoints for services that functions call."""
    services = {need.service for need in needs(settings)}
    return [each for each in found.endpoints if each.service in services]


def _missing(network: Network, found: Surroundings) -> Iterator[str]:
    there = {each.id for each in found.subnets} | {each.id for each in found.groups}
    for setting, ids in ((SUBNETS, network.subnets), (GROUPS, network.groups)):
        if absent := [each for each in ids if each not in there]:
            yield (
                f"{setting}: {', '.join(absent)} not found in this account and region "
                f"({found.region}). Check the ids, and AWS_REGION."
            )


def _apart(found: Surroundings) -> Iterator[str]:
    vpcs = sorted({each.vpc for each in found.subnets})
    if len(vpcs) > 1:
        yield f"{SUBNETS}: the subnets are in {' and '.join(vpcs)}. Choose those of one VPC."
    elif strange := [each for each in found.groups if [each.vpc] != vpcs]:
        ids = ", ".join(each.id for each in strange)
        yield f"{GROUPS}: {ids} not in {vpcs[0]}, the VPC of the subnets. Choose groups of it."


def _full(found: Surroundings) -> Iterator[str]:
    if full := [each.id for each in found.subnets if not each.free]:
        yield f"{SUBNETS}: no address is free in {', '.join(full)}. Choose larger subnets."


def _blocked(settings: Settings, found: Surroundings) -> Iterator[str]:
    """Yield the ports that no group lets out."""
    ports = {HTTPS: "AWS"}
    for name, address in settings.databases.items():
        ports.setdefault(address.port, name)
    for name, secret in settings.existing.items():
        if port := secret.address.get("port"):
            ports.setdefault(port, name)
    for port, whose in ports.items():
        if not any(port in allowed for each in found.groups for allowed in each.lets_out):
            yield f"{GROUPS}: none lets out TCP port {port} ({whose}). Add an outbound rule to one."


def _unreachable(settings: Settings, found: Surroundings) -> Iterator[str]:
    closed = [each for each in found.subnets if not each.has_way_out]
    if not closed:
        return
    for need in needs(settings):
        without = [each for each in closed if not _reaches(each, need.service, found)]
        if without:
            yield _no_way(need, without, found)
    if internet := needs_of_internet(settings, found.region):
        yield (
            f"{SUBNETS}: {_listed(closed)} no way to the internet, where {' and '.join(internet)} "
            f"is. Route 0.0.0.0/0 to a NAT gateway ({NAT_PRICE})."
        )


def _reaches(subnet: Subnet, service: str, found: Surroundings) -> bool:
    return service in subnet.gateways or any(
        _lets_in(each, subnet, found.groups) for each in found.endpoints if each.service == service
    )


def _lets_in(endpoint: Endpoint, subnet: Subnet, groups: Sequence[Group]) -> bool:
    if endpoint.lets_in is None:
        return True
    ranges = [ip_network(each) for each in endpoint.lets_in if "/" in each]
    inside = ip_network(subnet.cidr)
    return any(each.id in endpoint.lets_in for each in groups) or any(
        inside.subnet_of(each)  # type: ignore[arg-type]
        for each in ranges
        if each.version == inside.version
    )


def _no_way(need: Need, without: Sequence[Subnet], found: Surroundings) -> str:
    users, title = ", ".join(need.functions), TITLES[need.service]
    shut = [each.id for each in found.endpoints if each.service == need.service]
    name = f"com.amazonaws.{found.region}.{need.service}"
    step = (
        f"Create a gateway endpoint for {name} in their route tables (free)"
        if need.service == "s3"
        else f"Create an interface endpoint for {name} with private DNS ({ENDPOINT_PRICE})"
    )
    if shut:
        step = f"Let the subnets in at port 443 of {', '.join(shut)}, by its security groups"
    public = " A public subnet is none: functions have no public address."
    return (
        f"{SUBNETS}: {_listed(without)} no way to {title}, which {users} must reach. {step}, or "
        f"route 0.0.0.0/0 to a NAT gateway ({NAT_PRICE})."
        + (public if any(each.is_public for each in without) else "")
    )


def _listed(subnets: Sequence[Subnet]) -> str:
    return f"{', '.join(each.id for each in subnets)} {'has' if len(subnets) == 1 else 'have'}"
