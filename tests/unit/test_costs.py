"""The monthly costs of a deployment, compared whole."""

import re
from dataclasses import replace
from pathlib import Path

import functions
from deployer.configuration.apis import ReportSettings
from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.settings import Settings
from deployer.resources.costs import (
    CUSTOM_METRICS,
    METRICS_OF_EVENTS,
    METRICS_OF_FILES,
    METRICS_OF_LAKE,
    METRICS_OF_LOGS,
    monthly_cost,
)
from deployer.resources.reach import Endpoint, Subnet, Surroundings

DATABASE = DatabaseAddress("db.example.com", "user", "password", "database")
SETTINGS = Settings("totesys", "totesys-etl", {"source": DATABASE, "warehouse": DATABASE})


def test_the_usual_schedules() -> None:
    """Every line says what it is counted from, and the lines add up to the sum."""
    costs = monthly_cost(SETTINGS)

    assert costs.text() == (
        "About 10.38 USD a month at list prices, with 60 batches a working day:\n"
        "    0.10  Lambda extract      43,200 runs, 7,080 GB-seconds (arm64)\n"
        "    0.08  Lambda transform    9,960 runs, 5,628 GB-seconds (arm64)\n"
        "    0.07  Lambda load         21,600 runs, 4,920 GB-seconds (arm64)\n"
        "    0.02  Lambda reconcile    30 runs, 1,658 GB-seconds (arm64)\n"
        "    0.05  Lambda page         9,960 runs, 3,756 GB-seconds (arm64)\n"
        "    1.03  S3                  169,980 writes and listings, 259,920 reads, 1 GB\n"
        "    1.12  Secrets Manager     2 secrets, 64,860 reads\n"
        "    1.50  CloudWatch alarms   15 alarms\n"
        "    6.30  CloudWatch metrics  11 custom, 1 dashboard\n"
        "    0.10  CloudWatch logs     0.17 GB\n"
        "    0.00  SNS and SQS         10 e-mails\n"
        "The free tier is not counted, and neither is data transfer out of AWS.\n"
        "At most 147.49 USD if a database hung all month and every run took until its timeout, one "
        "at a time."
    )
    assert costs.total == 10.38


def test_a_network_costs_what_leads_out_of_it() -> None:
    """NAT gateways and interface endpoints have a price by the hour, a gateway endpoint none."""
    subnet = Subnet("subnet-1", "vpc-1", "10.0.0.0/24", 9, False, True, "nat-1", frozenset({"s3"}))
    found = Surroundings(
        "eu-west-2",
        (subnet, replace(subnet, id="subnet-2")),
        (),
        (Endpoint("vpce-1", "secretsmanager", None, 2), Endpoint("vpce-2", "ecr.api", None, 2)),
    )

    [item] = [
        item
        for item in monthly_cost(replace(SETTINGS, notify="daily"), network=found).items
        if item.what == "Your network"
    ]

    assert (round(item.usd, 2), item.basis) == (
        0.05 * 720 + 2 * 0.011 * 720,
        "NAT gateways: 1, endpoints: 1 (in 2 zones), without data",
    )


def test_slow_schedules_cost_less_and_notices_more() -> None:
    """The user's choices decide: schedules, processor and notices."""
    chosen = replace(
        SETTINGS,
        extract_schedule="rate(10 minutes)",
        load_schedule="rate(15 minutes)",
        architecture="x86_64",
        notify="every-batch",
    )

    costs = monthly_cost(chosen)

    assert [(item.what, round(item.usd, 2)) for item in costs.items] == [
        ("Lambda extract", 0.05),
        ("Lambda transform", 0.10),
        ("Lambda load", 0.05),
        ("Lambda reconcile", 0.03),
        ("Lambda page", 0.06),
        ("S3", 0.49),
        ("Secrets Manager", 0.84),
        ("CloudWatch alarms", 1.50),
        ("CloudWatch metrics", 6.30),
        ("CloudWatch logs", 0.03),
        ("SNS and SQS", 0.03),
    ]


def test_every_metric_of_the_functions_is_paid_for() -> None:
    """The functions count no figure that the estimate does not know of."""
    code = [path.read_text() for path in Path(functions.__path__[0]).rglob("*.py")]
    names = {name for text in code for name in re.findall(r'add_metric\(\s*"(\w+)"', text)}

    optional = METRICS_OF_FILES + METRICS_OF_EVENTS + METRICS_OF_LOGS + METRICS_OF_LAKE
    assert len(names) == CUSTOM_METRICS + optional


def test_endpoints_cost_what_they_accept() -> None:
    """The worst month of an API is bounded by its rate, and by how many runs are reserved."""
    posted = Settings("stripe", "stripe-etl", {"warehouse": DATABASE})
    asked = replace(SETTINGS, reports=ReportSettings(rate="10", is_on=True))

    events = monthly_cost(posted)
    reserved, unbounded = (monthly_cost(asked, one_at_a_time=each) for each in (True, False))

    # 2,592,000 s of 2,000 events: 1.76 USD a million for API, Lambda and SQS, and 0.05 s each.
    assert events.text().splitlines()[-1] == (
        "At most 12,579.86 USD more if events came all month as fast as the API accepts them: "
        "2,000 a second."
    )
    assert [each.basis for each in reserved.floods] == ["10 a second, 20 at a time"]
    assert [each.basis for each in unbounded.floods] == ["10 a second"]
    assert reserved.floods[0].usd < unbounded.floods[0].usd
    assert monthly_cost(SETTINGS).floods == ()
