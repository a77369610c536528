"""A new sandbox account every week, with the packages as they are deployed.

One local AWS is all accounts: an access key of twelve digits is the number of its account.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from deployer.aws.account import Account, connect
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.deployer import Deployer
from deployer.operations.pipeline import Pipeline, Run
from deployer.operations.status import SourceStatus, read_status
from deployer.packaging import packages
from deployer.packaging.packages import Layer, Package, Packages
from deployer.receipt import Receipt
from deployer.resources.names import Names
from deployer.teardown import Teardown
from local.connection import connect as connect_to
from local.emulator import Emulator
from pipelines.totesys.sample.business_day import place_order
from tests.aws.sandbox import everything_in, pending
from tests.pipeline.local_process import throwaway_aws
from tests.pipeline.oracle import current, expected, history, records
from tests.postgres_fixtures import SAMPLE_NOW, Source, Warehouse

DATABASES = ("source", "warehouse")
NewSandbox = Callable[[str], "Sandbox"]

LAST_WEEK, THIS_WEEK, ANOTHER = "111111111111", "222222222222", "333333333333"
DRIFTING = "444444444444"
# The test alone makes the functions run, but for transform, which new batches wake.
NEVER = {"EXTRACT_SCHEDULE": "rate(100 days)", "LOAD_SCHEDULE": "rate(100 days)"}


@dataclass(frozen=True)
class Checkout:
    """The packages of another checkout of the code; its dependencies are the same."""

    root: Path

    def build_function_zip(self, name: str, pipeline: str, parts: Sequence[str]) -> Package:
        return packages.build_function_zip(name, pipeline, parts, self.root)

    def build_layer(
        self, name: str, python: str, architecture: str, host: bool, *, requirements: Path | None
    ) -> Layer:
        return packages.build_layer(name, python, architecture, host, requirements=requirements)


@dataclass(frozen=True)
class Sandbox:
    """An account of a week, between two databases that stay."""

    account: Account
    settings: Settings

    @property
    def names(self) -> Names:
        return Names(
            self.settings.project, self.settings.stage, self.account.id, self.account.region
        )

    def deploy(self, code: Packages = packages) -> list[Change]:
        return Deployer(self.account, self.settings, code, lambda _: None).deploy()

    def run(self) -> Run:
        return Pipeline(self.account, self.names, ["source"], lambda _: nullcontext()).run()

    def status(self) -> SourceStatus:
        return read_status(self.account, self.names, ["source"], datetime.now(UTC)).sources[
            "source"
        ]

    def tear_down(self) -> Receipt:
        return Teardown(self.account, self.names, lambda _: None, DATABASES).remove()


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    """Run a separate AWS; the packages of all accounts go with its folder."""
    with throwaway_aws(sparingly=True) as aws:
        yield aws


@pytest.fixture
def source(new_source: Callable[[], Source]) -> Source:
    return new_source()


@pytest.fixture
def warehouse(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    return new_warehouse()


@pytest.fixture
def new_sandbox(aws: Emulator, source: Source, warehouse: Warehouse) -> NewSandbox:
    """Return a function of an account's number that gives a sandbox there."""

    def new(account: str) -> Sandbox:
        databases = {
            "SOURCE_DATABASE_URL": source.reader_url,
            "WAREHOUSE_DATABASE_URL": warehouse.loader_url,
        }
        environment = {**aws.environment, "AWS_ACCESS_KEY_ID": account}
        return Sandbox(connect(environment), Settings.read({**databases, **NEVER}))

    return new


def test_a_new_account_brings_exactly_what_changed(
    new_sandbox: NewSandbox, source: Source, warehouse: Warehouse
) -> None:
    """Last week's sandbox is gone; this week's, empty, goes on with last week's warehouse."""
    last_week = new_sandbox(LAST_WEEK)
    last_week.deploy()
    last_week.run()
    assert current(warehouse) == expected(source)
    receipt = last_week.tear_down()
    assert (receipt.is_complete, everything_in(last_week.account)) == (True, [])
    before, first = records(warehouse), history(warehouse, "fact_sales_order", 1)

    with connect_to(source.writer_url) as shop:
        shop.run("UPDATE sales_order SET staff_id = staff_id % 20 + 1 WHERE sales_order_id = 1")
        assert place_order(shop, Random(1), SAMPLE_NOW) == "sales"
    this_week = new_sandbox(THIS_WEEK)
    this_week.deploy()
    run = this_week.run()

    assert run.batch == 1
    facts = {"fact_sales_order": 2, "fact_payment": 1}
    assert run.loaded == {"dim_transaction": 1, "dim_date": 2, **facts}
    assert current(warehouse) == expected(source)
    assert records(warehouse) == {
        "fact_sales_order": before["fact_sales_order"] + 2,
        "fact_purchase_order": before["fact_purchase_order"],
        "fact_payment": before["fact_payment"] + 1,
    }
    assert history(warehouse, "fact_sales_order", 1)[:-1] == first
    assert this_week.run().batch is None


def test_a_status_knows_what_extract_knows_of_the_source(
    new_sandbox: NewSandbox, source: Source
) -> None:
    """A table that stops while nothing else changes is in the status at once, and a new one too."""
    sandbox = new_sandbox(DRIFTING)
    sandbox.deploy()
    sandbox.run()
    at_first = sandbox.status()
    with connect_to(source.superuser_url) as shop:
        shop.run("ALTER TABLE design RENAME COLUMN file_name TO file")
        shop.run("CREATE TABLE refund (refund_id serial PRIMARY KEY, amount numeric(10,2))")

    run, status = sandbox.run(), sandbox.status()

    assert (run.batch, run.rows) == (2, {})
    assert (at_first.stopped, status.stopped) == ({}, run.stopped)
    assert list(run.stopped) == ["design"]
    assert status.schemas.keys() - at_first.schemas.keys() == {"refund"}
    refund, design = status.schemas["refund"], status.schemas["design"]
    assert (refund.columns, refund.is_carried, refund.error) == (2, False, None)
    assert (design.columns, design.is_carried) == (6, True)
    assert design.fingerprint != at_first.schemas["design"].fingerprint
    assert design.since > at_first.schemas["design"].since == at_first.schemas["staff"].since
    assert status.schemas["staff"] == at_first.schemas["staff"]


def test_the_next_run_runs_the_new_code(new_sandbox: NewSandbox, tmp_path: Path) -> None:
    """Changed code is deployed to its function, and to no other, at once."""
    sandbox = new_sandbox(ANOTHER)
    sandbox.deploy()
    assert sandbox.run().stopped == {}
    for package in ("etl", "functions", "pipelines"):
        shutil.copytree(packages.ROOT / package, tmp_path / package)
    handler = tmp_path / "functions" / "extract" / "handler.py"
    old = handler.read_text()
    handler.write_text(old.replace('"stopped": last.stopped', '"stopped": {"all": "new code"}'))

    changes = sandbox.deploy(Checkout(tmp_path))

    assert pending(changes) == [("function", "updated", ["code"])]
    [updated] = [change.name for change in changes if change.action == "updated"]
    assert updated == sandbox.names.function("extract")
    assert sandbox.run().stopped == {"all": "new code"}
