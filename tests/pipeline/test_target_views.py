"""Views that a pipeline declares: made in a managed warehouse, and made again when they change."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, Text, View, latest
from functions.common.errors import PipelineCodeError, WarehouseSetupError
from tests.pipeline.model_scene import allow_schemas
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text(nullable=True)})
things = latest(THING)

LOUD = View("loud", "SELECT id, upper(word) AS word FROM thing WHERE word <> 'a:b; c';")
COUNTS = View("counts", "SELECT count(*) AS loud FROM loud", schema='re "ports"')


@pytest.fixture
def scene(new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    """A warehouse with one table, and views of it in two schemas."""
    scene = Scene(new_managed_warehouse(), (things,))
    allow_schemas(scene)
    scene.declare(things, views=(LOUD, COUNTS))
    scene.batch(thing=rows_of({"id": pa.int32(), "word": pa.string()}, (1, "a"), (2, "a:b; c")))
    scene.load()
    return scene


def declare(scene: Scene, *views: View) -> None:
    scene.declare(things, views=views)
    scene.load()


def made_at(scene: Scene) -> list[list[Any]]:
    return scene.query("SELECT relname::text, xmin::text FROM pg_class WHERE relkind = 'v'")


def test_views_are_made_in_their_order_and_schemas(scene: Scene) -> None:
    """A view finds tables and earlier views by their names, wherever they are."""
    assert scene.query("SELECT * FROM loud") == [[1, "A"]]
    assert scene.query('SELECT * FROM "re ""ports""".counts') == [[1]]


def test_a_view_that_has_not_changed_is_left_alone(scene: Scene) -> None:
    """Loading does not lock views, and does not make them again."""
    before = made_at(scene)
    declare(scene, LOUD, COUNTS)
    assert made_at(scene) == before


def test_a_view_follows_its_declaration(scene: Scene) -> None:
    """Also where a column goes; who may read a view that only gets another column still may."""
    scene.query("GRANT SELECT ON loud TO PUBLIC")
    more = View("loud", "SELECT id, upper(word) AS word, 1 AS more FROM thing")
    declare(scene, more)
    [[rights]] = scene.query("SELECT relacl::text FROM pg_class WHERE oid = 'loud'::regclass")
    assert "=r/" in rights
    assert scene.query("SELECT * FROM loud ORDER BY 1") == [[1, "A", 1], [2, "A:B; C", 1]]

    scene.query('DROP VIEW "re ""ports""".counts')
    declare(scene, View("loud", "SELECT word FROM thing"))
    assert scene.query("SELECT * FROM loud ORDER BY 1") == [["a"], ["a:b; c"]]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT wrd FROM thing", 'view wrong: column "wrd" does not exist [42703]'),
        ("SELECT 1 +", "view wrong: syntax error at end of input [42601]"),
    ],
)
def test_a_view_that_cannot_be_made_is_named(scene: Scene, sql: str, said: str) -> None:
    """The error says which view it is and what PostgreSQL says, and the next load goes on."""
    with pytest.raises(PipelineCodeError) as raised:
        declare(scene, View("wrong", sql))
    assert str(raised.value) == said

    declare(scene, View("wrong", "SELECT word FROM thing"))
    assert len(scene.query("SELECT * FROM wrong")) == 2


@pytest.mark.parametrize("sql", ["SELECT wrd FROM thing", "SELECT 1 FROM thnig"])
def test_an_optional_view_of_what_is_not_there_is_left_out(scene: Scene, sql: str) -> None:
    """Those after it are made all the same."""
    declare(scene, View("wrong", sql, optional=True), View("right_", "SELECT word FROM thing"))
    assert scene.query("SELECT count(*) FROM pg_class WHERE relname = 'wrong'") == [[0]]
    assert len(scene.query("SELECT * FROM right_")) == 2


def test_what_somebody_else_has_made_is_not_replaced(scene: Scene) -> None:
    """A view of the same name that is not ours is an error, and stays."""
    scene.query("CREATE VIEW theirs AS SELECT 7 AS n")
    with pytest.raises(WarehouseSetupError, match=r"theirs in schema .* is not the view"):
        declare(scene, View("theirs", "SELECT word FROM thing"))
    assert scene.query("SELECT * FROM theirs") == [[7]]


def test_a_prepared_warehouse_gets_no_view(new_managed_warehouse: Callable[..., Warehouse]) -> None:
    """Where WAREHOUSE_MANAGED does not say so, load makes nothing."""
    scene = Scene(new_managed_warehouse(), (things,))
    scene.load()
    scene.managed = False
    declare(scene, LOUD)
    [[count]] = scene.query("SELECT count(*) FROM pg_class WHERE relname = 'loud'")
    assert count == 0
