"""A warehouse with a few rows, the reports of a pipeline about them, and the API that answers."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    Date,
    Integer,
    Numeric,
    Parameter,
    Pipeline,
    Postgres,
    Report,
    Setting,
    Table,
    Text,
    Today,
    history,
)
from tests.asking import Answered, Api, api_of
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "price": Numeric(), "word": Text()})
things = history(THING)
SCHEMA = {"id": pa.int32(), "price": pa.decimal128(12, 3), "word": pa.string()}
ROW = {"id": Integer(), "price": Numeric(), "word": Text()}
REPORTS = (
    Report("/things", "SELECT id, price, word FROM current_thing ORDER BY id", ROW, title="All"),
    Report(
        "/things/some",
        "SELECT id, price, word FROM current_thing"
        " WHERE id >= :least AND word LIKE :word || :SUFFIX AND :day > '2000-01-01' ORDER BY id",
        ROW,
        {
            "least": Parameter(Integer(), "0"),
            "word": Parameter(Text()),
            "day": Parameter(Date(), Today("Europe/London")),
        },
        at_most=2,
    ),
    Report("/broken", "SELECT nothing FROM thing", {"nothing": Integer()}),
    Report("/slow", "SELECT pg_sleep(99)::text AS word", {"word": Text()}),
    Report("/large", "SELECT repeat('x', 5000000) AS word", {"word": Text()}),
)


@pytest.fixture
def report_scene(new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    """A managed warehouse with three things."""
    scene = Scene(new_managed_warehouse(), (things,))
    rows = [(1, Decimal("1.500"), "a"), (2, Decimal("-0.001"), "b %"), (3, Decimal(0), "c é <")]
    scene.batch(thing=rows_of(SCHEMA, *rows))
    scene.load()
    return scene


def api_on(scene: Scene, monkeypatch: pytest.MonkeyPatch, rate: float = 1e6) -> Api:
    pipeline = Pipeline(
        sources=[Postgres("source", (THING,))],
        targets=[scene.target],
        settings=[Setting("SUFFIX", "%")],
        reports=REPORTS,
    )
    return api_of(monkeypatch, pipeline, scene.warehouse, options={"SUFFIX": "%"}, rate=rate)


@pytest.fixture
def report_api(report_scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The API of that warehouse."""
    return api_on(report_scene, monkeypatch)


def require_problem(found: Answered, status: int, title: str) -> dict[str, Any]:
    """Check what all problem documents have in common; return the document."""
    assert (found.status, found.headers["content-type"]) == (status, "application/problem+json")
    assert found.headers["cache-control"] == "no-store"
    document: dict[str, Any] = found.json
    assert (document["status"], document["title"]) == (status, title)
    assert document["type"] == "about:blank"
    return document
