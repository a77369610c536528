"""Under which prefixes a source's objects are looked for: its role may list no others."""

from datetime import date
from typing import Any

import pytest

from etl import Pipeline, PostgresWarehouse, latest
from functions.transform.sweep import sweep_all
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_reconcile_files import FEEDS, STAFF, Scene
from tests.unit.test_reconcile_files import SOURCE as LOCAL


@pytest.mark.parametrize("remote", [False, True])
def test_copies_of_files_are_swept_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, *, remote: bool
) -> None:
    """Only files of somebody else's bucket are copied."""
    listed: list[str] = []

    def folders(_: Any, prefix: str, after: str) -> list[str]:
        listed.append(prefix)
        return []

    monkeypatch.setattr(FakeBucket, "folders", folders)
    scene = Scene(monkeypatch)
    scene.read("staff1.csv")
    for log in ("ingestion", "processed"):
        scene.logs.processed.bucket.put_new(f"swept/shop/{log}/2024-01-01.json", b"{}")
    source = type(LOCAL)("shop", FEEDS, remote=remote)
    pipeline = Pipeline(
        sources=[source], targets=[PostgresWarehouse("warehouse", (latest(STAFF),))]
    )

    assert sweep_all(pipeline, scene.logs, date(2027, 1, 1), lambda: True) == 0
    of_lake = {"shop/staff/", "shop/lines/", "keys/shop/", "lists/batches/shop/"}
    assert set(listed) == {*of_lake, "staff/"} | ({"files/shop/"} if remote else set())
