"""A table that was emptied by hand gets all batches, whatever interrupts the load."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, TargetTable, history, latest
from functions.targets.loading import WarehouseLoader
from functions.targets.postgres.session import PostgresTables
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

TYPES = {"id": pa.int32(), "size": pa.int32()}
PLACE, PAST = (
    Table(name, key="id", columns={"id": Integer(), "size": Integer()})
    for name in ("place", "past")
)
OWN = ["VIEW IF EXISTS current_past", "TABLE loaded_batches", "TABLE deleted_rows"]

New = Callable[..., Warehouse]


class _Death(BaseException):
    """The end of a function between its commit and its marker."""


@pytest.fixture(
    params=[
        (latest(PLACE),),
        (latest(PLACE), history(PAST)),
        (history(PAST), latest(PLACE)),
    ],
    ids=["alone", "before a history", "after a history"],
)
def tables(request: pytest.FixtureRequest) -> tuple[TargetTable, ...]:
    found: tuple[TargetTable, ...] = request.param
    return found


@pytest.fixture(params=["managed", "prepared"])
def emptied(
    request: pytest.FixtureRequest, new_managed_warehouse: New, tables: tuple[TargetTable, ...]
) -> Scene:
    """Return three batches that were loaded, and a table that has lost its rows since."""
    scene = Scene(new_managed_warehouse(), tables)
    scene.load()
    if request.param == "prepared":
        for each in OWN:
            scene.query(f"DROP {each}")
        scene.managed = False
    for number in range(3):
        rows = rows_of(TYPES, (number, 1))
        scene.batch(**{table.id: rows for table in tables})
    scene.load()
    scene.query("TRUNCATE place")
    return scene


def test_a_loader_that_dies_does_not_leave_it_in_part(
    emptied: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the batch that it committed do not stand for those of the others."""
    apply = WarehouseLoader.apply

    def applied(*given: Any) -> None:
        apply(*given)
        raise _Death

    with monkeypatch.context() as patch, suppress(_Death):
        patch.setattr(WarehouseLoader, "apply", applied)
        emptied.load()
    assert emptied.query("SELECT id FROM place") == [[0]]

    emptied.load()
    assert emptied.query("SELECT id FROM place ORDER BY id") == [[0], [1], [2]]


def test_a_server_that_starts_again_does_not_leave_it_in_part(
    emptied: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker of before it was emptied is not believed because a history is as it was then."""
    emptied.load(lambda: False)
    assert emptied.query("SELECT id FROM place") == [[0]]

    monkeypatch.setattr(PostgresTables, "start_precision", timedelta(-1))
    emptied.load()
    assert emptied.query("SELECT id FROM place ORDER BY id") == [[0], [1], [2]]
