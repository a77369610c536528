"""The things that a teardown removes: matched by whole names, and ARNs read back into names."""

import pytest

from deployer.inventory import REMOVERS, ResourceId, named, occasional, parse_arn
from deployer.resources.names import Names

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
DATABASES = ("source", "warehouse")
HERE = "eu-west-2:123456789012"


def test_everything_has_a_way_to_be_removed() -> None:
    """Each kind of resource that a deployment creates can be removed."""
    resources = [*named(NAMES, DATABASES), *occasional(NAMES)]

    assert {each.kind for each in resources} == set(REMOVERS) - {"other"}


@pytest.mark.parametrize("neighbour", ["dev2", "dev-2", "prod"])
def test_neighbours_share_no_name(neighbour: str) -> None:
    """Two stages have nothing in common, also when one's name begins like the other's."""
    theirs = Names("totesys-etl", neighbour, "123456789012", "eu-west-2")

    assert set(named(NAMES, DATABASES)) & set(named(theirs, DATABASES)) == set()


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        (f"arn:aws:events:{HERE}:rule/every-minute", "rule", "every-minute"),
        (f"arn:aws:lambda:{HERE}:function:load", "function", "load"),
        ("arn:aws:iam::123456789012:role/load", "role", "load"),
        (f"arn:aws:cloudwatch:{HERE}:alarm:load-errors", "alarm", "load-errors"),
        ("arn:aws:cloudwatch::123456789012:dashboard/all", "dashboard", "all"),
        ("arn:aws:apigateway:eu-west-2::/apis/a1b2", "api", "a1b2"),
        ("arn:aws:apigateway:eu-west-2::/apis/a1b2/stages/$default", "api", "a1b2"),
        (f"arn:aws:lambda:{HERE}:event-source-mapping:14e0", "event source", "14e0"),
        (f"arn:aws:sns:{HERE}:alerts", "topic", "alerts"),
        (f"arn:aws:sqs:{HERE}:failed", "queue", "failed"),
        (
            f"arn:aws:secretsmanager:{HERE}:secret:a/b/source-x1Y2z3",
            "secret",
            "a/b/source",
        ),
        ("arn:aws:s3:::ingestion", "bucket", "ingestion"),
        (
            f"arn:aws:logs:{HERE}:log-group:/aws/lambda/load",
            "log group",
            "/aws/lambda/load",
        ),
        (
            f"arn:aws:logs:{HERE}:log-group:/aws/lambda/load:*",
            "log group",
            "/aws/lambda/load",
        ),
        (
            f"arn:aws:events:{HERE}:rule/other-bus/every-minute",
            "other",
            f"arn:aws:events:{HERE}:rule/other-bus/every-minute",
        ),
        (f"arn:aws:rds:{HERE}:db:totesys", "other", f"arn:aws:rds:{HERE}:db:totesys"),
    ],
)
def test_an_arn_identifies_a_resource(arn: str, kind: str, name: str) -> None:
    """A resource found by its tags has its kind and name; "other" is of no kind of ours."""
    assert parse_arn(arn) == ResourceId(kind, name)
