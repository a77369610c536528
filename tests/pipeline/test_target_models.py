"""Models and exports: what is made of the tables of a warehouse with each batch."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from botocore.exceptions import EndpointConnectionError
from pg8000.native import identifier

from etl import Date, Integer, Model
from etl.mapping import Mapping
from functions.common.errors import WarehouseSetupError
from functions.common.logs import MarkerLog
from functions.targets import Feed
from functions.targets.postgres.comparer import comparer
from local.postgres import PostgresServer
from tests.pipeline.ground import run_sql
from tests.pipeline.model_scene import (
    MODELS,
    NAME,
    allow_schemas,
    content,
    exports,
    lines,
    named,
    names,
    new_scene,
    sold,
    three_days,
)
from tests.pipeline.target_scene import Scene
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

FIRST, THIRD = date(2024, 11, 17), date(2024, 11, 19)
CONTENT = {
    "totals": [[FIRST, 1, 4, "O'Hara"], [THIRD, 3, 5, "O'Hara"]],
    "best": [["Apple", 2], ["Brot", 3]],
    "shares": [["Apple", 25], ["Apple", 40], ["Bread", 75], ["Brot", 60]],
}


@pytest.fixture
def scene(new_managed_warehouse: New) -> Scene:
    return new_scene(new_managed_warehouse())


def test_models_are_run_with_the_batches_that_change_their_tables(scene: Scene) -> None:
    """Each sees the tables as of its batch, and its rows come together in its own way."""
    three_days(scene)
    scene.batch()

    assert scene.load() == [(1, "new"), (2, "new"), (3, "new"), (4, "new")]
    assert content(scene) == CONTENT
    ran = [list(step.applied.made) for step in scene.steps]
    every = ["totals", "best", "shares"]
    assert ran == [every, ["best", "shares"], every, []]
    assert scene.steps[0].applied.made["totals"].shown == [
        {"day": FIRST, "batch": 1, "pieces": 4, "shop": "O'Hara"}
    ]


def test_exports_are_csv_under_table_and_day(scene: Scene) -> None:
    """A table is exported as a whole, of a model the rows that came of it on that day."""
    three_days(scene)
    scene.load()

    found = exports(scene)

    assert sorted(found) == [
        "analytics/best/2024-11-17.csv",
        "analytics/best/2024-11-18.csv",
        "analytics/best/2024-11-19.csv",
        "analytics/shares/2024-11-17.csv",
        "analytics/shares/2024-11-18.csv",
        "analytics/shares/2024-11-19.csv",
        "analytics/totals/2024-11-17.csv",
        "analytics/totals/2024-11-19.csv",
        "staging/line/2024-11-17.csv",
        "staging/line/2024-11-19.csv",
    ]
    assert found["analytics/totals/2024-11-19.csv"] == (
        "day,batch,pieces,shop\n2024-11-19,3,5,O'Hara\n"
    )
    assert found["analytics/shares/2024-11-18.csv"] == "name,share\n"
    assert found["staging/line/2024-11-17.csv"] == "item,pieces\na,1\nb,3\n"
    assert found["analytics/shares/2024-11-19.csv"] == "name,share\nApple,40\nBrot,60\n"
    assert scene.steps[1].applied.exports == [
        "exports/analytics/best/2024-11-18.csv",
        "exports/analytics/shares/2024-11-18.csv",
    ]


def test_a_batch_whose_export_cannot_be_written_is_not_loaded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is in the warehouse until the next load writes both."""

    def refuse(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    scene.batch(line=sold(a=1))
    with monkeypatch.context() as patch:
        patch.setattr(scene.bucket, "put", refuse)
        with pytest.raises(EndpointConnectionError):
            scene.load()
    assert scene.query("SELECT FROM staging.line") == []

    scene.load()
    assert exports(scene)["staging/line/2024-11-17.csv"] == "item,pieces\na,1\n"


def test_a_loader_that_died_before_its_marker_changes_nothing_twice(scene: Scene) -> None:
    """Its batch is applied again: rows, records and exports are the same as before."""
    three_days(scene)
    scene.load()
    before = exports(scene)
    scene.forget_last_marker()
    lost = [key for key in scene.bucket.objects if key.startswith("exports/analytics/totals/")]
    for key in lost[-1:]:
        del scene.bucket.objects[key]

    assert scene.load() == [(3, "new")]
    assert (content(scene), exports(scene)) == (CONTENT, before)


def test_an_empty_warehouse_gets_the_models_of_every_batch(
    scene: Scene, new_managed_warehouse: New
) -> None:
    """So the rows of each day are there again."""
    three_days(scene)
    scene.load()
    scene.warehouse = new_managed_warehouse()
    allow_schemas(scene)

    scene.load()
    assert content(scene) == CONTENT


def test_a_model_that_is_declared_later_is_run_once(new_managed_warehouse: New) -> None:
    """With the batch that its tables have, whether or not that changed them."""
    scene = new_scene(new_managed_warehouse(), models=(), exports=())
    three_days(scene)
    scene.batch()
    scene.load()
    read = scene.bucket.requests["get"]
    scene.declare(lines, names, models=MODELS, exports=MODELS)

    assert scene.load() == [(4, "again")]
    assert scene.load() == []
    assert scene.bucket.requests["get"] - read < 20  # and not every batch
    assert content(scene) == {
        "totals": [[date(2024, 11, 20), 4, 5, "O'Hara"]],
        "best": CONTENT["best"],
        "shares": [["Apple", 40], ["Brot", 60]],
    }


def test_a_table_of_a_model_that_was_lost_is_made_from_the_newest_batch(scene: Scene) -> None:
    """Earlier days cannot be seen any more, and no other model is run."""
    three_days(scene)
    scene.load()
    before = scene.query("SELECT xmin::text, ctid::text FROM analytics.best ORDER BY 2")
    scene.query("DROP TABLE analytics.totals")

    assert scene.load() == [(3, "again")]
    assert content(scene) == CONTENT | {"totals": CONTENT["totals"][1:]}
    assert scene.query("SELECT xmin::text, ctid::text FROM analytics.best ORDER BY 2") == before


def test_a_table_that_is_filled_again_is_not_modelled_on_the_way(scene: Scene) -> None:
    """Its batches come again while the other tables are as of the newest one."""
    three_days(scene)
    scene.load()
    scene.query("DROP TABLE staging.name")

    assert [batch for batch, _ in scene.load()] == [1, 2, 3]
    assert content(scene) == CONTENT
    scene.query("DROP TABLE staging.line, analytics.best")
    scene.load()
    assert content(scene) == CONTENT


def test_a_warehouse_restored_to_an_older_copy_gets_the_days_that_it_lost(
    scene: Scene, postgres: PostgresServer
) -> None:
    """The copy knows how far it had come, and the models are run with the batches after that."""
    name = identifier(scene.warehouse.database)
    older = identifier(f"{scene.warehouse.database} older")
    three_days(scene)
    scene.load(has_time=lambda: False)
    run_sql(postgres.superuser_url(), f"CREATE DATABASE {older} TEMPLATE {name}")
    scene.load()
    run_sql(
        postgres.superuser_url(),
        f"DROP DATABASE {name} WITH (FORCE)",
        f"ALTER DATABASE {older} RENAME TO {name}",
    )
    assert len(content(scene)["totals"]) == 1

    assert scene.load() == [(2, "again"), (3, "again")]
    assert content(scene) == CONTENT


def test_what_may_be_ahead_is_not_modelled_until_it_is_known(
    new_managed_warehouse: New,
) -> None:
    """Nothing proves what a prepared warehouse has: earlier days keep the rows that they had."""
    scene = new_scene(new_managed_warehouse(), models=MODELS[:2], exports=())
    scene.load()
    scene.query("DROP TABLE loaded_batches")
    scene.managed = False
    three_days(scene)
    scene.load()
    for _ in scene.steps:
        scene.forget_last_marker()
    scene.batch(line=sold(a=7))

    scene.load(has_time=lambda: False)
    assert scene.steps[-1].applied.made == {}
    assert scene.load() == [(2, "new"), (3, "new"), (4, "new")]
    assert scene.query("SELECT day, pieces FROM analytics.totals ORDER BY 1") == [
        [FIRST, 4], [THIRD, 5], [date(2024, 11, 20), 7]
    ]  # fmt: skip


def test_rows_that_were_refused_are_modelled_when_they_are_accepted(scene: Scene) -> None:
    """They change a table without a new batch."""
    scene.load()
    scene.query("ALTER TABLE staging.line ADD CONSTRAINT few CHECK (pieces < 5)")
    scene.batch(line=sold(a=1, b=5))
    scene.load()
    assert content(scene)["totals"] == [[FIRST, 1, 1, "O'Hara"]]

    scene.query("ALTER TABLE staging.line DROP CONSTRAINT few")
    assert scene.load() == [(1, "retried")]
    assert content(scene)["totals"] == [[FIRST, 1, 6, "O'Hara"]]
    assert exports(scene)["staging/line/2024-11-17.csv"] == "item,pieces\na,1\nb,5\n"


ODD = 'Größe "x": 100 %, \\'


def test_any_name_will_do(new_managed_warehouse: New, tmp_path: Path) -> None:
    """Of a schema, a table and a column; the SELECT may be a file."""
    (tmp_path / "odd.sql").write_text(f'SELECT :day AS {identifier(ODD)}, 2 AS ";"; -- the end;\n')
    odd = Model(
        ODD,
        inputs=[lines],
        sql="odd.sql",
        columns={ODD: Date(), ";": Integer()},
        key=ODD,
        schema="my; schema",
    )
    scene = new_scene(new_managed_warehouse('"; --'), models=(odd,), exports=(odd,))
    scene.folder = tmp_path
    scene.batch(line=sold(a=1))
    scene.load()

    home = f'"my; schema".{identifier(ODD)}'
    assert scene.query(f"SELECT * FROM {home}") == [[FIRST, 2]]
    [[key, body]] = exports(scene).items()
    assert key.isascii()
    assert body == '"Größe ""x"": 100 %, \\",;\n2024-11-17,2\n'


def test_a_prepared_warehouse_lacks_no_table_of_a_model(new_managed_warehouse: New) -> None:
    """A missing table is asked for, with the schema that it belongs into."""
    scene = new_scene(new_managed_warehouse())
    scene.load()
    scene.managed = False
    scene.query("DROP TABLE analytics.best")

    with pytest.raises(WarehouseSetupError, match="table best is not in schema analytics of the"):
        scene.load()


def test_a_table_called_as_the_stage_is_not_mistaken_for_it(scene: Scene) -> None:
    """A model reads the tables of the warehouse, and load fills its own."""
    scene.declare(lines, names, models=MODELS[:1])
    scene.load()
    scene.query("CREATE TABLE staging.stage_2 (day date, batch int, pieces int, shop text)")
    scene.query("ALTER TABLE staging.stage_2 OWNER TO warehouse_loader")
    scene.batch(line=sold(a=1))
    scene.load()

    assert content_of_totals(scene) == [[FIRST, 1, 1, "O'Hara"]]
    assert scene.query("SELECT * FROM staging.stage_2") == []


def content_of_totals(scene: Scene) -> list[list[object]]:
    return scene.query("SELECT * FROM analytics.totals ORDER BY 1")


def test_a_model_may_be_made_of_tables_of_several_sources(new_managed_warehouse: New) -> None:
    """It is run with the batches of each, and sees the tables of the others as they are."""
    shop = new_scene(new_managed_warehouse(), exports=())
    catalogue = new_scene(shop.warehouse, exports=())
    shop.tables, catalogue.tables = (lines,), (names,)
    catalogue.target = shop.target
    shop.batch(line=sold(a=1, b=3))
    catalogue.batch(name=named(a="Apple", b="Bread"))
    shop.load()
    catalogue.load()
    assert shop.steps[0].applied.made.keys() == {"totals", "best", "shares"}
    assert catalogue.steps[0].applied.made.keys() == {"best", "shares"}
    assert content(shop)["best"] == [["Apple", 1], ["Bread", 3]]

    shop.query("DROP TABLE analytics.best")
    catalogue.batch(name=named(a="Apple", b="Brot"))
    assert [shop.load(), catalogue.load()] == [[(1, "again")], [(1, "again"), (2, "new")]]
    assert content(shop)["best"] == [["Apple", 1], ["Brot", 3]]


def test_a_table_in_a_schema_is_compared_there(scene: Scene) -> None:
    """With the rows that it should have, as those of the warehouse's own schema are."""
    scene.batch(name=named(a="Apple", b="Bread"))
    scene.load()
    wanted = named(a="Apple", b="Brot", c="Cake").files[0]
    mapping = Mapping(names, NAME, ())
    feed = Feed((mapping,), scene.log, MarkerLog(scene.bucket, "source"))

    with comparer(scene.place, feed, 600) as target:
        assert target.batch == 1
        with target.disagreements(mapping, [wanted], []) as found:
            found.explain([], [], pa.array([], pa.string()))
            counted = found.counted()

    assert (counted.missing, counted.different, counted.extra) == (1, 1, 0)
    assert counted.examples == {"different": ["b"], "missing": ["c"]}
