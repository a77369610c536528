"""What only the warehouse's SQL decides: whether a NULL is a change, and which days there are."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from etl import Calendar, Date, Integer, Table, Text, history, latest
from etl.targets import Declare
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

TYPES = {"id": pa.int32(), "word": pa.string(), "day": pa.date32()}
COLUMNS = {"id": Integer(), "word": Text(nullable=True), "day": Date(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)
STATES = ((None, None), ("a", None), ("a", date(2024, 3, 1)), (None, date(2024, 3, 1)))

New = Callable[..., Warehouse]


def of(*rows: tuple[int, str | None, date | None]) -> pa.Table:
    return rows_of(TYPES, *rows)


@pytest.mark.parametrize(("way", "kept"), [(history, 4), (latest, 1)], ids=["history", "latest"])
def test_a_value_that_comes_or_goes_is_a_change(
    new_managed_warehouse: New, way: Declare, kept: int
) -> None:
    """NULL equals NULL and no value: every state is recorded, and none of them twice."""
    scene = Scene(new_managed_warehouse(), (way(THING),))
    for word, day in STATES:
        for _ in range(2):
            scene.batch(thing=of((1, word, day)))
    scene.load()

    found: list[Any] = scene.query("SELECT word, day FROM thing")
    assert sorted(map(str, found)) == sorted(str(list(state)) for state in STATES[-kept:])


def test_days_between_two_batches_are_filled_in(new_managed_warehouse: New) -> None:
    """Earlier and later dates than those of the batches before leave no gap between them."""
    scene = Scene(new_managed_warehouse(), ())
    scene.declare(history(THING), calendar=Calendar("days"))
    for number, (day, first, last) in enumerate(((10, 10, 10), (3, 3, 10), (14, 3, 14)), 1):
        scene.batch(thing=of((number, "a", date(2024, 3, day))))
        scene.load()
        days = scene.query("SELECT date_id FROM days ORDER BY date_id")
        assert days == [[date(2024, 3, each)] for each in range(first, last + 1)]
