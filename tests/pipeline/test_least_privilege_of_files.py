"""The roles of a pipeline of files: what each function needs, and nothing that it can do without.

Files are dropped and dropped again, before the bucket keeps versions and after; somebody else's can
be read in all versions, or as they are alone; rows are refused, and large objects break off.
"""

from collections.abc import Callable, Mapping
from gzip import compress
from pathlib import Path
from typing import Any

import pytest

import pipelines
from deployer.configuration.settings import Settings
from deployer.resources.names import BucketUse, FunctionUse
from functions.transform import handler as transform_handler
from local.connection import connect as connect_to
from local.emulator import Emulator
from local.sample import files_of
from tests.pipeline.aws_calls import Call
from tests.pipeline.roles import (
    VERSIONS,
    Roles,
    break_off,
    deployed,
    grants_of,
    have_swept,
    put_theirs,
    without_need,
)
from tests.postgres_fixtures import Warehouse

FOLDER = Path(__file__).parent.parent / "pipelines"
OURS = "888888888888"
THEIRS = "stalls-of-somebody"
REFUSED = b'{"stall_id": 1, "owner": "Refused"}\n'  # by the warehouse
# The parts of an upload that breaks off are removed by the function that made it.
BROKEN: Mapping[FunctionUse, tuple[BucketUse, str]] = {
    "extract": ("ingestion", "files/stalls/2025-01-01/0000000001-1"),
    "transform": ("processed", "errors/sale/sale.csv"),
    "load": ("processed", "exports/reports/takings/2025-01-01.csv"),
}


@pytest.fixture
def roles(
    local_aws: Emulator,
    new_managed_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Roles:
    """A deployment of a pipeline of files, which has done all that it ever does."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    warehouse = new_managed_warehouse()
    settings = Settings.read(
        {
            "PIPELINE": "market",
            "WAREHOUSE_DATABASE_URL": warehouse.superuser_url,
            "EXTRACT_SCHEDULE": "rate(100 days)",
            "LOAD_SCHEDULE": "rate(100 days)",
            "WAREHOUSE_MANAGED": "true",
            "STALLS_BUCKET": THEIRS,
            "STALLS_PREFIX": "out/",
        }
    )
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": OURS}
    made = deployed(settings, environment, monkeypatch, tmp_path)
    _live_through_it_all(made, warehouse)
    return made


def _live_through_it_all(roles: Roles, warehouse: Warehouse) -> None:
    s3, drop = roles.account.clients.s3, roles.names.bucket("drop")
    [stalls] = files_of("market", "stalls").values()
    put_theirs(roles, THEIRS, {"out/north.json": stalls})
    prices = files_of("market", "desk")["price.csv"]
    _drop(roles, {"price.csv.gz": compress(prices)})  # an older one, which is noted as known
    _drop(roles, files_of("market", "desk"))
    _run(roles)
    roles.run("reconcile")
    with connect_to(warehouse.superuser_url) as connection:
        connection.run("ALTER TABLE staging.stall ADD CHECK (owner <> 'Refused')")
    # From while the bucket keeps no versions: read by its ETag. And theirs, of which we see less.
    s3.put_bucket_versioning(Bucket=drop, VersioningConfiguration={"Status": "Suspended"})
    _drop(roles, files_of("market", "desk", bad=True))
    put_theirs(roles, THEIRS, {"out/south.json": REFUSED}, denied=VERSIONS)
    _run(roles)  # the day's batch of ours was made
    _run(roles, {"now": True})
    _run(roles, {"replay": 1, "source": "stalls"})
    for use, (bucket, key) in BROKEN.items():
        break_off(roles, use, bucket, key)
    _leave_orphans(roles)
    have_swept(roles)
    transform_handler._swept.clear()
    roles.run("transform")
    roles.run("reconcile")
    roles.run("page")
    roles.run("load", {"check": True})
    # Only to who may list our bucket does S3 say that a file is gone.
    arn = roles.names.bucket_arn("drop")
    for use in ("extract", "reconcile"):
        roles.calls[use].append(Call("s3", "ListObjectsV2", {"Bucket": drop}, "s3:ListBucket", arn))


def _run(roles: Roles, event: dict[str, Any] | None = None) -> None:
    roles.run("extract", event)
    roles.run("transform")
    roles.run("load")


def _drop(roles: Roles, files: Mapping[str, bytes]) -> None:
    for key, body in files.items():
        roles.account.clients.s3.put_object(Bucket=roles.names.bucket("drop"), Key=key, Body=body)


def _leave_orphans(roles: Roles) -> None:
    """Leave under every prefix what the sweep of transform removes: nothing names it."""
    below = {"desk": "/sale", "stalls": "/stall", "keys": "/desk", "files": "/stalls"}
    below |= {"lists": "/batches/desk"}
    for grant in grants_of(roles.policy("transform")):
        if grant.action == "s3:DeleteObject":
            bucket, _, key = grant.resource.removeprefix("arn:aws:s3:::").partition("/")
            prefix = key.removesuffix("/*")
            roles.account.clients.s3.put_object(
                Bucket=bucket,
                Key=f"{prefix}{below.get(prefix, '')}/2024-01-01/0000000001-999.parquet",
                Body=b"",
            )


def test_no_right_to_files_can_be_done_without(roles: Roles) -> None:
    """Take away any grant of any role: a call that the function makes is refused."""
    assert without_need(roles) == ([], [])
