"""Rows that came, changed or went are found in the source's log, whatever their keys are."""

from collections.abc import Callable

import pytest

from functions.sources.postgres import hashedkeys, keysets, surveys
from functions.sources.postgres.plan import TablePlan
from tests.pipeline.lake import Lake
from tests.pipeline.test_keys import CREATE, PIPELINE, TABLES, Copy, Shop, keys_in_sql


@pytest.mark.parametrize(
    ("part_bytes", "runs"),
    [(16 << 20, 1 << 18), (200, 5)],
    ids=["few objects", "many parts, too many runs"],
)
def test_after_every_batch_the_keys_are_those_of_the_tables(
    new_lake: Callable[..., Lake],
    seed: int,
    part_bytes: int,
    runs: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is missed and none is made up, and after the first batch no table is scanned."""
    monkeypatch.setattr(hashedkeys, "PART_BYTES", part_bytes)
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    lake = new_lake(PIPELINE, *CREATE)
    lake.publish()
    shop, copy = Shop(lake, seed), Copy(lake)
    shop.trade(len(TABLES))
    copy.apply(lake.batch())
    with monkeypatch.context() as unscanned:
        unscanned.setattr(surveys, "_scan", no_scan)
        for number in range(10):
            shop.trade()
            if manifest := lake.extract(sparing=bool(number % 2)).manifest:
                copy.apply(manifest)
            assert copy.keys == keys_in_sql(lake)
            assert lake.extract().manifest is None
    lake.logged = False
    assert lake.extract().manifest is None


def no_scan(table: TablePlan, _: object) -> str:
    raise AssertionError(f"{table.table} is scanned")
