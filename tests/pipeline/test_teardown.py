"""Removal from the local AWS, where functions really run while their deployment is taken away."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.inventory import ResourceId, named
from deployer.receipt import Entry, Receipt
from deployer.resources.names import Names
from deployer.teardown import Teardown
from local.emulator import REGION, Emulator
from tests.aws.sandbox import Sandbox, TinyPackages, everything_in, pending

# A separate account: an access key of twelve digits is its number.
ACCOUNT = "210987654321"
NAMES = Names("totesys-etl", "dev", ACCOUNT, REGION)
DATABASES = ("source", "warehouse")
SETTINGS = {
    "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:two@localhost/warehouse",
    "ALERT_EMAIL": "team@example.com",
    "EXTRACT_SCHEDULE": "rate(1 day)",
    "LOAD_SCHEDULE": "rate(1 day)",
}
# Still at work when its deployment is removed; Lambda writes its log when it has ended.
SLOW = """
import time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    print("done")
"""


@pytest.fixture
def account(local_aws: Emulator) -> Account:
    return connect({**local_aws.environment, "AWS_ACCESS_KEY_ID": ACCOUNT})


def deployed(account: Account, directory: Path, stage: str) -> Sandbox:
    directory.mkdir(exist_ok=True)
    packages = TinyPackages(directory)
    packages.code = dict.fromkeys(("extract", "transform", "load"), SLOW)
    sandbox = Sandbox(account, Settings.read({**SETTINGS, "STAGE": stage}), packages)
    sandbox.deploy()
    return sandbox


def tear_down(account: Account) -> Receipt:
    return Teardown(account, NAMES, lambda _: None, DATABASES).remove()


@pytest.fixture
def neighbour(account: Account, tmp_path: Path) -> Sandbox:
    return deployed(account, tmp_path / "neighbour", "dev2")


def test_an_account_is_as_it_was(account: Account, neighbour: Sandbox, tmp_path: Path) -> None:
    """After a teardown under load, no service lists anything but what was there before."""
    before = everything_in(account)
    sandbox = deployed(account, tmp_path / "ours", "dev")
    use_it(account)

    receipt = tear_down(account)

    order = {entry.kind: number for number, entry in enumerate(receipt.entries)}
    wanted = [*named(NAMES, DATABASES), ResourceId("layer", NAMES.layer("postgres"))]
    things = sorted(wanted, key=lambda thing: order[thing.kind])
    assert receipt == Receipt(
        account=ACCOUNT,
        region=REGION,
        project="totesys-etl",
        stage="dev",
        entries=tuple(Entry(thing.kind, thing.name, "removed") for thing in things),
    )
    assert everything_in(account) == before
    assert pending(neighbour.plan()) == []

    again = tear_down(account)
    assert {entry.outcome for entry in again.entries} == {"already gone"}

    assert {change.action for change in sandbox.deploy()} == {"created"}
    assert pending(sandbox.plan()) == []


def use_it(account: Account) -> None:
    """Write versions and a delete marker, and start a function that will not end soon."""
    batch: Any = {"Bucket": NAMES.bucket("ingestion"), "Key": "batches/source/0000000001.json"}
    for body in (b"first", b"second"):
        account.clients.s3.put_object(**batch, Body=body)
    account.clients.s3.delete_object(**batch)
    account.clients.lambda_.invoke(
        FunctionName=NAMES.function("load"),
        InvocationType="Event",
        Payload=json.dumps({"seconds": 4}),
    )
