"""A pipeline of files in an account: its drop bucket, what wakes extract, and their removal."""

from dataclasses import replace
from pathlib import Path

import pytest

import pipelines
from deployer.configuration.settings import Settings
from deployer.resources.names import Names
from tests.aws.removing import outcomes, teardown
from tests.aws.sandbox import Sandbox, everything_in, pending

FOLDER = Path(__file__).parent.parent / "pipelines"
NAMES = Names("market-etl", "dev", "123456789012", "eu-west-2")
DROP = NAMES.bucket("drop")


@pytest.fixture
def market(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox with a pipeline of files, which has its own layer."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    monkeypatch.setattr("deployer.resources.specs.requirements", lambda _: Path(__file__))
    sandbox.settings = Settings.read(
        {
            "PIPELINE": "market",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
        }
    )
    return sandbox


def test_a_pipeline_of_files_has_a_bucket_to_drop_them_into(market: Sandbox) -> None:
    """Versions are kept for good, also those of a key that is written again."""
    created = {(change.kind, change.name) for change in market.deploy()}

    s3 = market.account.clients.s3
    assert ("bucket", DROP) in created
    assert s3.get_bucket_versioning(Bucket=DROP)["Status"] == "Enabled"
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=DROP)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not {part for part in rule if "Expiration" in part}


def test_a_file_that_is_dropped_wakes_extract(market: Sandbox) -> None:
    """Whatever its key: the declaration decides which feed it is a file of."""
    market.start_deployed()

    s3 = market.account.clients.s3
    [woken] = s3.get_bucket_notification_configuration(Bucket=DROP)["LambdaFunctionConfigurations"]
    assert woken["LambdaFunctionArn"] == NAMES.function_arn("extract")
    assert (woken["Events"], "Filter" in woken) == (["s3:ObjectCreated:*"], False)


def test_many_files_at_once_do_not_pile_up(market: Sandbox) -> None:
    """One run at a time; an event that waits for more than a minute is dropped, none is retried."""
    market.start_deployed()

    events = market.account.clients.lambda_.get_function_event_invoke_config(
        FunctionName=NAMES.function("extract")
    )
    assert (events["MaximumRetryAttempts"], events["MaximumEventAgeInSeconds"]) == (0, 60)


def test_functions_have_the_layers_that_they_use(market: Sandbox) -> None:
    """Extract has no driver of a database; who runs the pipeline's code has what it imports."""
    market.start_deployed()

    functions = market.account.clients.lambda_.list_functions()["Functions"]
    layers = {
        each["FunctionName"].rpartition("-")[2]: [
            layer["Arn"].split(":")[-2].rpartition("-")[2] for layer in each["Layers"]
        ]
        for each in functions
    }
    assert layers == {
        "extract": ["arrow"],
        "transform": ["arrow", "pandas", "pipeline"],
        "load": ["arrow", "postgres", "pipeline"],
        "reconcile": ["arrow", "postgres", "pandas", "pipeline"],
        "page": ["arrow", "postgres"],
    }


def test_a_second_deployment_changes_nothing(market: Sandbox) -> None:
    """The drop bucket and its notification are read as they were written."""
    market.start_deployed()
    market.writes.clear()

    assert (pending(market.deploy()), market.writes) == ([], [])


def test_the_drop_bucket_goes_with_what_was_dropped(market: Sandbox) -> None:
    """Nothing of a pipeline of files is left, not one version of a file."""
    market.start_deployed()
    for body in (b"1", b"2"):
        market.account.clients.s3.put_object(Bucket=DROP, Key="price.csv", Body=body)

    receipt = teardown(market).remove()

    assert everything_in(market.account) == []
    removed = {(entry.kind, entry.name) for entry in receipt.entries if entry.outcome == "removed"}
    assert removed >= {
        ("bucket", DROP),
        ("notification", f"{DROP}/{NAMES.function('extract')}"),
        ("alarm", NAMES.alarm("files-refused")),
        ("layer", NAMES.layer("pipeline")),
    }


def test_files_are_kept_with_the_data(market: Sandbox) -> None:
    """With --keep-data the drop bucket stays, as the others do."""
    market.start_deployed()

    assert outcomes(teardown(market, keep_data=True).remove())["kept"] == ["bucket"] * 4


def test_a_declaration_without_files_removes_none(market: Sandbox) -> None:
    """Files that were dropped stay when a later declaration takes none."""
    market.start_deployed()
    databases = market.settings.databases
    market.settings = replace(
        market.settings,
        pipeline="totesys",
        databases={**databases, "source": databases["warehouse"]},
    )

    market.deploy()

    assert market.account.clients.s3.head_bucket(Bucket=DROP)
