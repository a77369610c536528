"""A run that outlives its command, in the local AWS with the real functions."""

import json
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.deployer import Deployer
from deployer.operations.invocations import Invocations
from deployer.operations.pipeline import Pipeline
from deployer.packaging import packages
from deployer.resources.names import Names
from local.emulator import Emulator
from tests.pipeline.ground import wait_until
from tests.postgres_fixtures import Source, Warehouse

STAGE = "outliving"


class Interrupted(Exception):
    """Ctrl-C, as far as a command knows."""


def interrupt(_: float) -> None:
    raise Interrupted


@pytest.fixture
def deployed(
    local_aws: Emulator,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
) -> tuple[Account, Names]:
    """A deployment whose schedules never fire."""
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": new_source().reader_url,
            "WAREHOUSE_DATABASE_URL": new_warehouse().loader_url,
            "STAGE": STAGE,
            "EXTRACT_SCHEDULE": "rate(100 days)",
            "LOAD_SCHEDULE": "rate(100 days)",
        }
    )
    account = connect(local_aws.environment)
    Deployer(account, settings, packages, lambda _: None).deploy()
    return account, Names.of(settings, account.id, account.region)


def outcomes(account: Account, names: Names) -> list[str]:
    """Return the states of what extract was asked for."""
    s3, bucket = account.clients.s3, names.bucket("ingestion")
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="runs/extract/").get("Contents", [])
    return [
        json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())["state"]
        for each in listed
    ]


def test_a_function_goes_on_when_its_command_has_ended(deployed: tuple[Account, Names]) -> None:
    """Nobody follows it, and its batch is there; the next command loads that batch."""
    account, names = deployed
    with pytest.raises(Interrupted):
        Invocations(account, names, sleep=interrupt).invoke("extract", {})

    wait_until(lambda: outcomes(account, names) == ["done"], "extract has ended", 120)
    run = Pipeline(account, names, ["source"], lambda _: nullcontext()).run()

    assert run.batches == {"source": 1}
    assert sum(run.loaded.values()) > 0
