"""What functions in a network reach: pure functions of the settings and of what is around it."""

from dataclasses import replace

import pytest

from deployer.configuration.network import Network
from deployer.configuration.organisation import Organisation
from deployer.configuration.reader import RemoteBucket
from deployer.configuration.settings import Settings
from deployer.resources.reach import (
    Endpoint,
    Group,
    Need,
    Subnet,
    Surroundings,
    in_network,
    needs,
    problems,
)
from tests.unit.reading_settings import REQUIRED

IDS = {"SUBNET_IDS": "subnet-aaaaaaaa subnet-bbbbbbbb", "SECURITY_GROUP_IDS": "sg-aaaaaaaa"}
SETTINGS = Settings.read({**REQUIRED, **IDS})
NETWORK = Network(("subnet-aaaaaaaa", "subnet-bbbbbbbb"), ("sg-aaaaaaaa",))
A = Subnet("subnet-aaaaaaaa", "vpc-1", "10.0.0.0/24", 9, False, False, None, frozenset({"s3"}))
B = replace(A, id="subnet-bbbbbbbb", cidr="10.0.1.0/24")
GROUP = Group("sg-aaaaaaaa", "vpc-1", (range(65536),))
SECRETS = Endpoint("vpce-1", "secretsmanager", frozenset({"10.0.0.0/16"}), 2)
GOOD = Surroundings("eu-west-2", (A, B), (GROUP,), (SECRETS,))
NAT = "route 0.0.0.0/0 to a NAT gateway (about 36.00 USD a month and 0.05 a GB)."
USERS = "which extract, load, reconcile, page must reach."


def said(found: Surroundings, settings: Settings = SETTINGS) -> list[str]:
    return problems(settings, NETWORK, found)


def test_a_private_network_with_endpoints_is_enough() -> None:
    """A gateway endpoint for S3, an interface endpoint for the secrets, and no NAT."""
    assert said(GOOD) == []


def test_functions_that_reach_no_database_stay_out_of_the_network() -> None:
    """They need no network, and those that answer or read the internet would lose it."""
    assert in_network(SETTINGS) == ("extract", "load", "reconcile", "page")
    reports = Settings.read({**REQUIRED, **IDS, "REPORTS_TOKEN": "x" * 32})
    assert in_network(reports) == ("extract", "load", "reconcile", "page", "serve")


def test_a_database_whose_address_is_somebody_elses_secret_is_in_the_network_too() -> None:
    """RDS keeps such secrets, and its databases are in private subnets."""
    arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:theirs-AbCdEf"
    settings = Settings.read({**REQUIRED, **IDS, "SOURCE_DATABASE_URL": arn})

    assert settings.existing
    assert "extract" in in_network(settings)


@pytest.mark.parametrize(
    ("notify", "senders"), [("daily", ("reconcile",)), ("every-batch", ("load",)), ("failures", ())]
)
def test_only_who_sends_notices_needs_sns(notify: str, senders: tuple[str, ...]) -> None:
    """Nothing is asked for that no function calls: an endpoint costs money each month."""
    settings = replace(SETTINGS, notify=notify)

    found = {need.service: need.functions for need in needs(settings)}

    assert found.get("sns", ()) == senders
    assert set(found) - {"sns"} == {"s3", "secretsmanager"}


def test_who_signs_proofs_needs_the_service_of_keys() -> None:
    """A private network needs an endpoint for it, or a NAT; without a key nobody calls it."""
    key = "arn:aws:kms:eu-west-2:123456789012:key/1234"
    signing = replace(SETTINGS, organisation=Organisation(proof_key=key))

    assert Need("kms", ("reconcile",)) in needs(signing)
    [problem] = said(GOOD, signing)
    assert "have no way to KMS, which reconcile must reach. Create an interface endpoint" in problem


def test_who_fetches_missed_events_needs_the_queue_and_the_internet() -> None:
    """A provider's list is on the internet, and what it has is stored in the queue."""
    settings = Settings.read(
        {
            "PIPELINE": "stripe",
            "WAREHOUSE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
            "STRIPE_WEBHOOK_SECRET": "whsec_one",
            "STRIPE_API_KEY": "rk_one",
            **IDS,
        }
    )

    assert Need("sqs", ("reconcile",)) in needs(settings)
    queue = Endpoint("vpce-2", "sqs", None, 2)
    assert said(replace(GOOD, endpoints=(SECRETS, queue)), settings) == [
        (
            "SUBNET_IDS: subnet-aaaaaaaa, subnet-bbbbbbbb have no way to the internet, where the "
            "list of events of stripe is. Route 0.0.0.0/0 to a NAT gateway (about 36.00 USD a "
            "month and 0.05 a GB)."
        )
    ]


def test_a_bucket_of_another_region_needs_more_than_a_gateway_endpoint() -> None:
    """A gateway endpoint leads to the buckets of its own region alone."""
    near = replace(SETTINGS, buckets={"drops": RemoteBucket("theirs", region="eu-west-2")})
    far = replace(SETTINGS, buckets={"drops": RemoteBucket("theirs", region="us-east-1")})

    assert said(GOOD, near) == []
    [line] = said(GOOD, far)
    assert "no way to the internet, where the bucket of drops in us-east-1 is." in line


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            replace(GOOD, subnets=(A,)),
            (
                "SUBNET_IDS: subnet-bbbbbbbb not found in this account and region (eu-west-2). "
                "Check the ids, and AWS_REGION."
            ),
        ),
        (
            replace(GOOD, groups=()),
            (
                "SECURITY_GROUP_IDS: sg-aaaaaaaa not found in this account and region (eu-west-2). "
                "Check the ids, and AWS_REGION."
            ),
        ),
        (
            replace(GOOD, subnets=(A, replace(B, vpc="vpc-2"))),
            "SUBNET_IDS: the subnets are in vpc-1 and vpc-2. Choose those of one VPC.",
        ),
        (
            replace(GOOD, groups=(replace(GROUP, vpc="vpc-2"),)),
            (
                "SECURITY_GROUP_IDS: sg-aaaaaaaa not in vpc-1, the VPC of the subnets. "
                "Choose groups of it."
            ),
        ),
        (
            replace(GOOD, subnets=(A, replace(B, free=0))),
            "SUBNET_IDS: no address is free in subnet-bbbbbbbb. Choose larger subnets.",
        ),
        (
            replace(GOOD, groups=(replace(GROUP, lets_out=(range(443, 444), range(5432, 5433))),)),
            (
                "SECURITY_GROUP_IDS: none lets out TCP port 6543 (warehouse). "
                "Add an outbound rule to one."
            ),
        ),
        (
            replace(GOOD, subnets=(A, replace(B, gateways=frozenset()))),
            (
                f"SUBNET_IDS: subnet-bbbbbbbb has no way to S3, {USERS} Create a gateway endpoint "
                f"for com.amazonaws.eu-west-2.s3 in their route tables (free), or {NAT}"
            ),
        ),
        (
            replace(GOOD, endpoints=()),
            (
                "SUBNET_IDS: subnet-aaaaaaaa, subnet-bbbbbbbb have no way to Secrets Manager, "
                f"{USERS} Create an interface endpoint for com.amazonaws.eu-west-2.secretsmanager "
                f"with private DNS (about 7.92 USD a month for each zone), or {NAT}"
            ),
        ),
        (
            replace(GOOD, endpoints=(replace(SECRETS, lets_in=frozenset({"10.0.0.0/24"})),)),
            (
                f"SUBNET_IDS: subnet-bbbbbbbb has no way to Secrets Manager, {USERS} Let the "
                f"subnets in at port 443 of vpce-1, by its security groups, or {NAT}"
            ),
        ),
        (
            replace(GOOD, subnets=(A, replace(B, is_public=True, gateways=frozenset()))),
            (
                f"SUBNET_IDS: subnet-bbbbbbbb has no way to S3, {USERS} Create a gateway endpoint "
                f"for com.amazonaws.eu-west-2.s3 in their route tables (free), or {NAT} A public "
                "subnet is none: functions have no public address."
            ),
        ),
    ],
)
def test_what_keeps_functions_from_working_is_a_line_with_the_next_step(
    found: Surroundings, line: str
) -> None:
    """Each would be found only after the deployment, by functions that hang until their timeout."""
    assert said(found) == [line]


@pytest.mark.parametrize("lets_in", [None, frozenset({"sg-aaaaaaaa"}), frozenset({"0.0.0.0/0"})])
def test_an_endpoint_lets_in_a_group_or_a_range(lets_in: frozenset[str] | None) -> None:
    """By whichever of its rules: a list of ranges, of which nothing is known, counts as open."""
    assert said(replace(GOOD, endpoints=(replace(SECRETS, lets_in=lets_in),))) == []


def test_a_way_out_is_a_way_to_everything() -> None:
    """With a NAT or another network behind the default route no endpoint is needed."""
    subnets = tuple(replace(each, has_way_out=True, gateways=frozenset()) for each in (A, B))

    assert said(Surroundings("eu-west-2", subnets, (GROUP,), ())) == []


def test_every_problem_is_reported_at_once() -> None:
    """Nobody deploys ten times to find ten mistakes."""
    bare = tuple(replace(each, free=0, gateways=frozenset()) for each in (A, B))
    shut = replace(GROUP, lets_out=())

    assert len(said(Surroundings("eu-west-2", bare, (shut,), ()))) == 1 + 3 + 2
