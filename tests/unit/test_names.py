"""Names: derived, within the limits of AWS, and different for different deployments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.resources.names import Names, fit

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
LONG = Names("a-project-with-a-rather-long-name-indeed", "development", "123456789012", "eu-west-2")


def test_names_are_those_that_users_rely_on() -> None:
    """Buckets, functions, roles and the rest are called as the documentation says."""
    assert NAMES.bucket("ingestion") == "totesys-etl-dev-123456789012-eu-west-2-ingestion"
    assert NAMES.function("extract") == "totesys-etl-dev-extract"
    assert NAMES.role("extract") == "totesys-etl-dev-eu-west-2-extract"
    assert NAMES.log_group("extract") == "/aws/lambda/totesys-etl-dev-extract"
    assert NAMES.secret("source") == "totesys-etl/dev/source"
    assert NAMES.queue == "totesys-etl-dev-failed-events"
    assert NAMES.rule("extract-schedule") == "totesys-etl-dev-extract-schedule"
    assert NAMES.layer("arrow") == "totesys-etl-dev-arrow"
    assert NAMES.topic == "totesys-etl-dev-alerts"
    assert NAMES.alarm("freshness") == "totesys-etl-dev-freshness"
    assert NAMES.dashboard == "totesys-etl-dev-eu-west-2"


def test_arns_name_the_same_things() -> None:
    """An ARN is the name in its account and region, without asking AWS."""
    assert NAMES.bucket_arn("code") == f"arn:aws:s3:::{NAMES.bucket('code')}"
    assert (
        NAMES.function_arn("load")
        == "arn:aws:lambda:eu-west-2:123456789012:function:totesys-etl-dev-load"
    )
    assert NAMES.role_arn("load") == "arn:aws:iam::123456789012:role/totesys-etl-dev-eu-west-2-load"
    assert (
        NAMES.log_group_arn("load")
        == "arn:aws:logs:eu-west-2:123456789012:log-group:/aws/lambda/totesys-etl-dev-load"
    )
    assert (
        NAMES.secret_arn("source")
        == "arn:aws:secretsmanager:eu-west-2:123456789012:secret:totesys-etl/dev/source-??????"
    )
    assert (
        NAMES.rule_arn("load-schedule")
        == "arn:aws:events:eu-west-2:123456789012:rule/totesys-etl-dev-load-schedule"
    )
    assert NAMES.queue_arn == "arn:aws:sqs:eu-west-2:123456789012:totesys-etl-dev-failed-events"
    assert NAMES.topic_arn == "arn:aws:sns:eu-west-2:123456789012:totesys-etl-dev-alerts"
    assert (
        NAMES.alarm_arn("freshness")
        == "arn:aws:cloudwatch:eu-west-2:123456789012:alarm:totesys-etl-dev-freshness"
    )


@pytest.mark.parametrize(
    ("name", "limit", "ending"),
    [
        (LONG.bucket("ingestion"), 63, "-ingestion"),
        (LONG.role("transform"), 64, "-transform"),
        (LONG.function("transform"), 64, "-transform"),
        (LONG.rule("extract-schedule"), 64, "-extract-schedule"),
    ],
)
def test_long_names_keep_their_ending(name: str, limit: int, ending: str) -> None:
    """A name that is too long for AWS is cut in its middle, so that one sees what it is."""
    assert len(name) <= limit
    assert name.endswith(ending)


@given(st.text("abc-", min_size=1, max_size=90), st.text("abc-", min_size=1, max_size=90))
def test_cutting_keeps_different_names_apart(one: str, other: str) -> None:
    """Two deployments never share a name because theirs were cut."""
    cut = [fit(stem, "-ingestion", 63) for stem in (one, other)]

    assert (cut[0] == cut[1]) == (one == other)
    assert max(len(name) for name in cut) <= 63


@pytest.mark.parametrize(
    ("region", "partition", "domain"),
    [
        ("eu-west-2", "aws", "amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
    ],
)
def test_arns_name_the_partition_of_the_region(region: str, partition: str, domain: str) -> None:
    """Of every service, also of those that name no region."""
    names = Names("totesys-etl", "dev", "123456789012", region)
    arns = [
        names.bucket_arn("code"),
        names.role_arn("load"),
        names.function_arn("load"),
        names.dashboard_arn,
        names.gateway_arn,
    ]

    assert {arn.split(":")[1] for arn in arns} == {partition}
    assert names.events_queue_url.startswith(f"https://sqs.{region}.{domain}/123456789012/")
