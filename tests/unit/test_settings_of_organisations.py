"""The settings by which a deployment follows the rules of an organisation."""

from types import SimpleNamespace
from typing import Any

import pytest

from deployer.configuration.organisation import (
    Organisation,
    read_organisation,
    require_allowed,
)
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources import specs
from deployer.resources.names import Names
from etl import product
from local.sandbox import Sandbox
from tests.unit.reading_settings import REQUIRED, problems

BOUNDARY = "arn:aws:iam::123456789012:policy/teams/boundary"


def test_tags_of_an_organisation_are_set_beside_our_own() -> None:
    """On every resource, in any characters that AWS allows, and never instead of ours."""
    settings = Settings.read({**REQUIRED, "TAGS": " cost-center=42, Besitzer=Straße 1/a=b ,note="})

    assert specs.tags(settings) == {
        "cost-center": "42",
        "Besitzer": "Straße 1/a=b",
        "note": "",
        "project": "totesys-etl",
        "stage": "dev",
        "managed-by": product.NAME,
    }


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("aws:cost=1", "TAGS has the key 'aws:cost', which is reserved."),
        ("AWS:cost=1", "TAGS has the key 'AWS:cost', which is reserved."),
        ("Project=x", "TAGS has the key 'Project', which is reserved."),
        ("expires-at=never", "TAGS has the key 'expires-at', which is reserved."),
        ("Team=a,team=b", "TAGS has the key 'team' twice."),
        ("team", "TAGS has a malformed tag: 'team'."),
        ("=a", "TAGS has a malformed tag: '=a'."),
        (" =a", "TAGS has a malformed tag: '=a'."),
        ("team=a;b", "TAGS has a malformed tag: 'team=a;b'."),
        ("team=a\nb", "TAGS has a malformed tag: 'team=a\\nb'."),
        (f"{'k' * 129}=a", f"TAGS has a malformed tag: '{'k' * 129}=a'."),
        (f"team={'v' * 257}", f"TAGS has a malformed tag: 'team={'v' * 257}'."),
        (",".join(f"k{number}=1" for number in range(46)), "TAGS has more than 44 tags."),
    ],
)
def test_tags_that_aws_refuses_are_refused_first(tags: str, said: str) -> None:
    """Before anything is made: otherwise some resources would have them, and others not."""
    [line] = problems(TAGS=tags)

    assert line.startswith(said)
    assert line.endswith("Example: TAGS=cost-center=42,owner=data-team")


def test_as_many_tags_as_aws_allows_are_accepted() -> None:
    """Fifty on a resource, with the five of the deployment itself."""
    tags = ",".join(f"k{number}={'v' * 256}" for number in range(44))

    assert len(Settings.read({**REQUIRED, "TAGS": tags}).organisation.tags) == 44


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PERMISSIONS_BOUNDARY", "boundary"),
        ("PERMISSIONS_BOUNDARY", "arn:aws:iam::12:policy/boundary"),
        ("PERMISSIONS_BOUNDARY", "arn:aws:iam::123456789012:role/boundary"),
        ("ROLE_PATH", "teams"),
        ("ROLE_PATH", "/teams"),
        ("ROLE_PATH", "//"),
        ("ROLE_PATH", "/a b/"),
        ("ROLE_PATH", f"/{'p' * 511}/"),
        ("LOG_RETENTION_DAYS", "15"),
        ("LOG_RETENTION_DAYS", "never"),
        ("RESERVED_CONCURRENCY", "1"),
    ],
)
def test_a_malformed_rule_is_named(name: str, value: str) -> None:
    """In one line, with an example that can be copied."""
    [line] = problems(**{name: value})

    assert line.startswith(f"{name} ")
    assert f" Example: {name}=" in line


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_a_boundary_of_any_partition_is_accepted(partition: str) -> None:
    """Of the account, or one that AWS manages."""
    for owner in ("123456789012", "aws"):
        boundary = f"arn:{partition}:iam::{owner}:policy/teams/boundary"
        assert read_organisation({"PERMISSIONS_BOUNDARY": boundary}).boundary == boundary


def test_without_these_settings_nothing_changes() -> None:
    """No boundary, roles without a path, logs for 14 days, and runs reserved where possible."""
    rules = read_organisation({"TAGS": "", "ROLE_PATH": "", "PERMISSIONS_BOUNDARY": ""})

    assert (rules.tags, rules.boundary, rules.role_path) == ({}, None, "/")
    assert (rules.log_days, rules.reserves_runs) == (14, True)


def test_names_have_the_path_of_roles_however_they_are_read() -> None:
    """For a teardown and a policy, too, which read no other settings."""
    environment = {**REQUIRED, "ROLE_PATH": "/teams/data/"}
    names = Names.read(environment, "123456789012", "eu-west-2")

    assert names == Names.of(Settings.read(environment), "123456789012", "eu-west-2")
    assert names.role_arn("load") == (
        "arn:aws:iam::123456789012:role/teams/data/totesys-etl-dev-eu-west-2-load"
    )
    with pytest.raises(SettingsError, match="ROLE_PATH is malformed"):
        Names.read({**environment, "ROLE_PATH": "teams"}, "123456789012", "eu-west-2")


@pytest.mark.parametrize("allowed", ["123456789012", "210987654321, 123456789012"])
def test_an_account_that_is_listed_is_allowed(allowed: str) -> None:
    """With others or alone."""
    require_allowed("123456789012", {"ALLOWED_ACCOUNTS": allowed})


@pytest.mark.parametrize("allowed", ["210987654321", "12345678901", ",", " ", "1234567890123"])
def test_any_other_account_is_refused(allowed: str) -> None:
    """Also where the list is malformed or blank: it was meant to exclude accounts."""
    with pytest.raises(SettingsError, match="ALLOWED_ACCOUNTS"):
        require_allowed("123456789012", {"ALLOWED_ACCOUNTS": allowed})


def test_a_sandbox_on_this_machine_uses_nothing_of_an_account() -> None:
    """A `.env` for an account of the organisation serves `deploy.py local` too."""
    of_an_account = {
        "ALLOWED_ACCOUNTS": "123456789012",
        "PERMISSIONS_BOUNDARY": BOUNDARY,
        "KMS_KEY": "arn:aws:kms:eu-west-2:123456789012:key/1234",
        "PROOF_KEY": "arn:aws:kms:eu-west-2:123456789012:key/5678",
        "LOAD_ROLE_ARN": "arn:aws:iam::123456789012:role/load",
    }
    started: Any = SimpleNamespace(
        _environment={**of_an_account, "TAGS": "owner=data"},
        aws=SimpleNamespace(environment={}),
        _addresses=REQUIRED,
        is_managed=False,
    )
    environment: Any = Sandbox.environment

    rules = Settings.read(environment.fget(started)).organisation

    assert rules == Organisation(tags={"owner": "data"})
