"""Each role has what its function needs, and nothing that it can do without.

The functions run under their roles, on a local AWS that enforces IAM, through everything that they
do; the calls that they make are written down. Then each grant of each role is taken away in turn:
some call needs it, and is refused without it.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path

import pytest

from deployer.configuration.settings import Settings
from deployer.resources.policies import KEEPING_TABLES
from deployer.resources.specs import functions
from functions.transform import handler as transform_handler
from local.connection import connect as connect_to
from local.emulator import Emulator
from local.sample import files_of
from tests.ecb import Bank
from tests.pipeline.roles import (
    VERSIONS,
    Grant,
    Roles,
    break_off,
    deployed,
    grants_of,
    have_swept,
    put_theirs,
    without_need,
)
from tests.postgres_fixtures import Source, Warehouse
from tests.rest_server import RestServer, serving


@pytest.fixture
def roles(
    local_aws: Emulator,
    new_source: Callable[[], Source],
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Roles]:
    """A deployment between a small shop and an empty warehouse, in its own account."""
    source, warehouse = new_source(), new_managed_warehouse()
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": "777777777777"}
    with serving() as bank:
        settings = _settings(source, warehouse, bank)
        made = deployed(settings, environment, monkeypatch, tmp_path)
        _live_through_it_all(made, source, warehouse, bank)
        yield made


def _settings(source: Source, warehouse: Warehouse, bank: RestServer) -> Settings:
    return Settings.read(
        {
            "SOURCE_DATABASE_URL": source.reader_url,
            "WAREHOUSE_DATABASE_URL": warehouse.loader_url,
            "EXTRACT_SCHEDULE": "rate(100 days)",
            "LOAD_SCHEDULE": "rate(100 days)",
            "WAREHOUSE_MANAGED": "true",
            "NOTIFY": "daily",
            "LAKE": "iceberg",
            "TARGETS_BUCKET": THEIRS,
            "RATES_URL": bank.url,
        }
    )


def _live_through_it_all(
    roles: Roles, source: Source, warehouse: Warehouse, bank: RestServer
) -> None:
    """Make the functions do everything that they ever do: the shop trades, errs and deletes."""
    put_theirs(roles, THEIRS, files_of("totesys", "targets"))
    for number, statements in enumerate(HISTORY):
        _run(source.superuser_url, statements)
        bank.script = Bank(date(2025, 1, 10 + number)).answer
        for use in ("extract", "transform", "load"):
            roles.run(use)
        if number == 0:
            _run(warehouse.superuser_url, REFUSING)
            roles.run("reconcile")
            # From now on their bucket can only be read as it is.
            bad = files_of("totesys", "targets", bad=True)
            put_theirs(roles, THEIRS, bad, denied=VERSIONS)
    for source_name in ("source", "targets", "rates"):
        roles.run("extract", {"replay": 1, "source": source_name})
    roles.run("transform")
    roles.run("load")
    break_off(roles, "extract", "ingestion", "files/targets/2024-01-01/0000000001-1")
    break_off(roles, "transform", "processed", "errors/sales_target/targets/next-month.jsonl.csv")
    _leave_orphans(roles)
    have_swept(roles)
    transform_handler._swept.clear()
    roles.run("transform")
    roles.run("reconcile")
    roles.run("page")
    _keep_tables(roles, warehouse)
    roles.run("reconcile", {"check": True})


def _keep_tables(roles: Roles, warehouse: Warehouse) -> None:
    """Let lake create tables and remove what none of them names; they have what is loaded."""
    import_module("tests.lake")
    upkeep, lake = map(import_module, ("functions.lake.upkeep", "functions.lake.handler"))
    roles.monkeypatch.setattr(upkeep, "SNAPSHOTS_MORE", -upkeep.SNAPSHOTS)
    roles.monkeypatch.setattr(upkeep, "UNNAMED_FOR", timedelta(-1))
    roles.monkeypatch.setattr(upkeep, "_expire", lambda _: True)
    bucket, left = roles.names.bucket("processed"), "lake/dim_design/data/left.parquet"
    roles.account.clients.s3.put_object(Bucket=bucket, Key=left, Body=b"")
    tables = roles.run("lake")["tables"]
    roles.run("lake")
    for name in ("dim_design", "dim_staff", "fact_sales_order", "fact_payment"):
        with connect_to(warehouse.superuser_url) as connection:
            [[rows]] = connection.run(f"SELECT count(*) FROM {name}")
        with roles.acting("lake"):
            found = lake._lake().catalog.find(name)
            assert found.scan().count() == rows
    assert {each["commits"] for each in tables.values()} == {1}


def _run(url: str, statements: Iterable[str]) -> None:
    with connect_to(url) as connection:
        for statement in statements:
            connection.run(statement)


def _leave_orphans(roles: Roles) -> None:
    """Leave under every prefix what the sweep of transform removes: nothing names it."""
    for grant in grants_of(roles.policy("transform")):
        if grant.action == "s3:DeleteObject":
            bucket, _, key = grant.resource.removeprefix("arn:aws:s3:::").partition("/")
            prefix = key.removesuffix("/*")
            below = {"tombstones": "/source/staff" if "ingestion" in bucket else "/dim_staff"}
            below |= {"source": "/staff", "quarantine": "/source/staff", "keys": "/source"}
            below |= {
                "lists": "/batches/source",
                "targets": "/sales_target",
                "files": "/targets",
                "rates": "/exr",
            }
            roles.account.clients.s3.put_object(
                Bucket=bucket,
                Key=f"{prefix}{below.get(prefix, '')}/2024-01-01/0000000001-999.parquet",
                Body=b"",
            )


THEIRS = "targets-of-somebody"
HISTORY: tuple[tuple[str, ...], ...] = (
    (),
    # Rows that cannot be in a warehouse, or not in this one, beside some that can.
    (
        "UPDATE design SET design_name = 'Refused' WHERE design_id = 1",
        "UPDATE sales_order SET agreed_delivery_date = 'soon' WHERE sales_order_id < 5",
        "UPDATE sales_order SET units_sold = 7 WHERE sales_order_id > 5",
    ),
    ("SET session_replication_role = replica", "DELETE FROM payment WHERE payment_id = 1"),
    # Refused rows come again, and some of those in quarantine corrected.
    (
        "SET session_replication_role = replica",
        "UPDATE design SET design_name = 'Accepted' WHERE design_id = 1",
        "DELETE FROM transaction WHERE transaction_id = 1",
        "DELETE FROM sales_order WHERE sales_order_id = 1",
        "UPDATE sales_order SET agreed_delivery_date = '2024-11-30' WHERE sales_order_id = 2",
    ),
)
REFUSING = ("ALTER TABLE dim_design ADD CHECK (design_name <> 'Refused')",)


def test_no_right_can_be_done_without(roles: Roles) -> None:
    """Take away any grant of any role: a call that the function makes is refused."""
    uses = [spec.use for spec in functions(roles.settings)]
    never_needed, not_enforced = without_need(roles, *uses)
    # Of Glue the local AWS checks the database alone, AWS also the catalogue and the table.
    of_glue = {
        ("lake", Grant(action, resource))
        for action in KEEPING_TABLES
        for resource in roles.names.lake_arns
        if resource != roles.names.lake_database_arn
    }
    assert (never_needed, {*not_enforced}) == ([], of_glue)
