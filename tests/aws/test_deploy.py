"""The deployment as a whole, against an account in this process."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from tests.aws.sandbox import Sandbox, TinyPackages, pending

if TYPE_CHECKING:
    from deployer.aws.changes import Change

# The writes by which a deployment is recorded.
RECORDED = ["PutObject", "PutObject", "TagResource"]


def test_a_first_deployment_creates_everything(sandbox: Sandbox) -> None:
    """In an empty account, everything is created, in the order of the story."""
    changes = sandbox.deploy()

    assert {change.action for change in changes} == {"created"}
    assert Counter(change.kind for change in changes) == {
        "bucket": 3,
        "secret": 2,
        "queue": 1,
        "topic": 1,
        "subscription": 1,
        "alarm": 15,
        "dashboard": 1,
        "log group": 5,
        "role": 5,
        "layer": 3,
        "function": 5,
        "rule": 5,
        "permission": 7,
        "target": 5,
        "notification": 2,
    }
    assert changes[0].kind == "bucket"
    assert changes[-1].kind == "dashboard"


def test_a_second_deployment_writes_nothing(sandbox: Sandbox) -> None:
    """Running the deployment again leaves everything and makes no write call at all."""
    sandbox.deploy()
    sandbox.writes.clear()

    changes = sandbox.deploy()

    assert pending(changes) == []
    assert sandbox.writes == []


def test_the_address_of_a_database_goes_with_its_declaration(sandbox: Sandbox) -> None:
    """A secret that no function reads any more is removed; one that is not ours stays."""
    databases = sandbox.settings.databases
    more = replace(sandbox.settings, databases={**databases, "books": databases["source"]})
    replace(sandbox, settings=more).deploy()
    secrets = sandbox.account.clients.secrets
    secrets.create_secret(Name="totesys-etl/dev/theirs", SecretString="{}")

    assert pending(sandbox.plan()) == pending(changes := sandbox.deploy())

    assert pending(changes) == [("secret", "removed", [])]
    assert {secret["Name"] for secret in secrets.list_secrets()["SecretList"]} == {
        f"totesys-etl/dev/{name}" for name in ("source", "warehouse", "theirs")
    }


def test_a_plan_of_an_empty_account_is_what_deploy_then_does(sandbox: Sandbox) -> None:
    """A plan names every step that depends on a thing not there yet, and writes nothing."""
    planned = sandbox.plan()

    assert sandbox.writes == []
    done = sandbox.deploy()
    assert [_outline(change) for change in planned] == [_outline(change) for change in done]


def test_a_plan_in_sync_has_nothing_pending(sandbox: Sandbox) -> None:
    """After a deployment the plan says that nothing is to be done."""
    sandbox.start_deployed()

    assert pending(sandbox.plan()) == []


def test_changed_code_updates_that_function_alone(sandbox: Sandbox) -> None:
    """A change in one function's code is one upload, and the other functions stay."""
    sandbox.start_deployed()
    sandbox.writes.clear()
    sandbox.packages.code["transform"] = "second = True"

    changes = sandbox.deploy()

    assert pending(changes) == [("function", "updated", ["code"])]
    assert sandbox.writes == ["UpdateFunctionCode", *RECORDED]


def test_new_code_finds_the_configuration_that_it_needs(sandbox: Sandbox) -> None:
    """A function's code comes after the configuration that belongs to it, and never before."""
    sandbox.start_deployed()
    sandbox.account.clients.lambda_.update_function_configuration(
        FunctionName="totesys-etl-dev-transform", MemorySize=128
    )
    sandbox.packages.code["transform"] = "second = True"
    sandbox.writes.clear()

    changes = sandbox.deploy()

    assert pending(changes) == [("function", "updated", ["MemorySize", "code"])]
    assert sandbox.writes == ["UpdateFunctionConfiguration", "UpdateFunctionCode", *RECORDED]


def test_changed_requirements_replace_the_layer(sandbox: Sandbox) -> None:
    """A new layer reaches the functions that use it; one is kept for a rollback, and no more."""
    sandbox.start_deployed()
    for lock in ("new", "newer"):
        sandbox.packages.locks["pandas"] = lock
        changes = sandbox.deploy()

    assert pending(changes) == [
        ("layer", "updated", ["content"]),
        ("function", "updated", ["Layers"]),
        ("function", "updated", ["Layers"]),
        ("layer version", "removed", []),
    ]
    versions = sandbox.account.clients.lambda_.list_layer_versions(
        LayerName="totesys-etl-dev-pandas"
    )["LayerVersions"]
    assert [version["Version"] for version in versions] == [3, 2]


def test_changed_settings_change_what_they_decide(sandbox: Sandbox) -> None:
    """A new password or schedule is one change of the secret or the rule it is for."""
    sandbox.start_deployed()
    sandbox.settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:new@db.example.com/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:Tr0ub4dor%263@db.example.com/warehouse",
            "SANDBOX_EXPIRES_AT": "2025-01-31T18:00:00+00:00",
            "ALERT_EMAIL": "team@example.com",
            "LOAD_SCHEDULE": "rate(10 minutes)",
        }
    )

    changes = sandbox.deploy()

    assert pending(changes) == [("secret", "updated", ["value"]), ("rule", "updated", ["schedule"])]
    shown = {change.kind: change.differences for change in changes if change.differences}
    assert shown == {
        "secret": {"value": ("(hidden)", "(hidden)")},
        "rule": {"schedule": ("rate(2 minutes)", "rate(10 minutes)")},
    }


def test_no_password_is_ever_shown(sandbox: Sandbox) -> None:
    """Neither plan, progress, settings nor functions show a password."""
    shown = [*sandbox.plan(), *sandbox.deploy(), *sandbox.events, sandbox.settings]
    functions = sandbox.account.clients.lambda_.list_functions()["Functions"]

    assert "Tr0ub4dor" not in repr(shown) + repr(functions)
    secrets = sandbox.account.clients.secrets
    assert (
        "Tr0ub4dor&3" in secrets.get_secret_value(SecretId="totesys-etl/dev/source")["SecretString"]
    )


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2"])
def test_any_region_will_do(
    new_account: Callable[[str], Account], settings: Settings, tmp_path: Path, region: str
) -> None:
    """The buckets are in the region of the deployment, also in the one that has no name in S3."""
    account = new_account(region)

    Sandbox(account, settings, TinyPackages(tmp_path)).deploy()

    bucket = f"totesys-etl-dev-123456789012-{region}-ingestion"
    location = account.clients.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"]
    assert (location or "us-east-1") == region


def test_two_stages_share_an_account(sandbox: Sandbox, settings: Settings, tmp_path: Path) -> None:
    """A second stage is created beside the first, which does not change."""
    sandbox.start_deployed()
    second = Sandbox(sandbox.account, replace(settings, stage="prod"), TinyPackages(tmp_path))

    assert {change.action for change in second.deploy()} == {"created"}
    assert pending(sandbox.plan()) == []


def _outline(change: "Change") -> tuple[str, str, str, list[str]]:
    return change.kind, change.name, change.action, sorted(change.differences)
