"""Models that fail: they are named, and nothing else of their batch is lost."""

from collections.abc import Callable
from datetime import date

import pytest

from etl import Model
from functions.common.errors import PipelineCodeError
from tests.pipeline.model_scene import (
    BEST,
    MODELS,
    SHARES,
    TOTALS,
    content,
    lines,
    named,
    names,
    new_scene,
    sold,
)
from tests.pipeline.target_scene import Scene
from tests.postgres_fixtures import Warehouse


@pytest.fixture
def scene(new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    return new_scene(new_managed_warehouse())


def broken(sql: str, **options: object) -> Model:
    return Model(
        "totals",
        inputs=[lines],
        sql=sql,
        columns=TOTALS.columns,
        key="day",
        schema="analytics",
        **options,  # type: ignore[arg-type]
    )


FAILURES = {
    "SELECT :day AS day,\n 1 AS batch, pices AS pieces, '' AS shop FROM line": (
        'column "pices" does not exist [42703], line 2 of its SQL'
    ),
    "SELECT :day AS day, 1 AS batch, 1/0 AS pieces, '' AS shop FROM line": (
        "division by zero [22012]"
    ),
    "SELECT :day AS day, 1 AS batch, 1 AS pieces FROM line": (
        "its SELECT has no column shop: correct one of the two"
    ),
    "SELECT :day AS day, 1 AS batch, 1 AS pieces, '' AS shop, 2 AS more FROM line": (
        "its SELECT has a column more: declare it as well"
    ),
    "SELECT :day AS day, 1 AS batch, 1 AS pieces, '' AS shop FROM line": (
        "its SELECT has several rows of the same day, its key"
    ),
    "SELECT NULL::date AS day, 1 AS batch, 1 AS pieces, '' AS shop": (
        "its SELECT has a row without day, its key"
    ),
    "SELECT :day AS day, NULL::int AS batch, 1 AS pieces, '' AS shop": (
        "a value is NULL where that is not allowed [23502] at analytics.totals.batch"
    ),
    "WITH gone AS (DELETE FROM line RETURNING 1) SELECT :day AS day, 1 AS batch, 1 AS pieces,"
    " '' AS shop": (
        "WITH clause containing a data-modifying statement must be at the top level [0A000],"
        " line 1 of its SQL"
    ),
}


@pytest.mark.parametrize("sql", FAILURES, ids=range(len(FAILURES)))
def test_a_model_that_fails_is_named_and_keeps_nothing_from_being_loaded(
    scene: Scene, sql: str
) -> None:
    """Its own table is as it was; once it is corrected it is run for the newest batch."""
    scene.declare(lines, names, models=(broken(sql), BEST, SHARES))
    scene.batch(line=sold(a=1, b=3), name=named(a="Apple", b="Bread"))

    with pytest.raises(PipelineCodeError) as raised:
        scene.load()

    assert str(raised.value).split("; ") == [
        f"model totals: {FAILURES[sql]}",
        "model shares is made of model totals, which failed",
    ]
    assert scene.query("SELECT name FROM analytics.best ORDER BY 1") == [["Apple"], ["Bread"]]
    assert content(scene)["totals"] == []
    scene.declare(lines, names, models=MODELS)
    assert scene.load() == [(1, "again")]
    assert (content(scene)["totals"], len(content(scene)["shares"])) == (
        [[date(2024, 11, 17), 1, 4, "O'Hara"]],
        2,
    )


def test_a_batch_after_a_failure_is_loaded(scene: Scene) -> None:
    """A model that fails over one file does so until the next file, and stops nobody."""
    picky = broken(
        "SELECT :day AS day, 1 AS batch, 6/sum(pieces)::int AS pieces, '' shop FROM line"
    )
    scene.declare(lines, names, models=(picky,))
    scene.batch(line=sold(a=0))
    with pytest.raises(PipelineCodeError, match="division by zero"):
        scene.load()
    scene.batch(line=sold(a=2))

    with pytest.raises(PipelineCodeError, match="division by zero"):
        scene.load(has_time=lambda: False)
    assert scene.load() == [(1, "again"), (2, "new")]
    assert scene.query("SELECT day, pieces FROM analytics.totals") == [[date(2024, 11, 18), 3]]
