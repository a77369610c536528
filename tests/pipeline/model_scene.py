"""A small pipeline of lines and models, for the tests of what a warehouse makes of its tables."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
from pg8000.native import identifier

from etl import Date, Integer, Model, Table, Text, replace
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse

LINE = Table("line", key=(), columns={"item": Text(), "pieces": Integer()})
NAME = Table("name", key="item", columns={"item": Text(), "name": Text()})

lines = replace(LINE, schema="staging")
names = replace(NAME, schema="staging")

TOTALS = Model(
    "totals",
    inputs=[lines],
    sql="""SELECT :day AS day, :batch AS batch, sum(pieces)::int AS pieces, :SHOP AS shop
           FROM line  -- of :day, they say; it is not :NOTHING here
           HAVING count(*) > 0;""",
    columns={"day": Date(), "batch": Integer(), "pieces": Integer(), "shop": Text()},
    key="day",
    schema="analytics",
    says=lambda rows: f"{rows[0]['pieces']} pieces were sold.",
)
BEST = Model(
    "best",
    inputs=[lines, names],
    sql="SELECT name, sum(pieces)::int AS pieces FROM line JOIN name USING (item) GROUP BY 1",
    columns={"name": Text(), "pieces": Integer()},
    way="replace",
    schema="analytics",
)
SHARES = Model(
    "shares",
    inputs=[TOTALS, BEST],
    sql="""SELECT b.name, round(100.0 * b.pieces / t.pieces)::int AS share
           FROM best AS b, totals AS t WHERE t.day = :day""",
    columns={"name": Text(), "share": Integer()},
    key="name",
    way="history",
    schema="analytics",
)
MODELS = (TOTALS, BEST, SHARES)


def sold(**pieces: int) -> Rows:
    """Return the lines of a file: `a=1` is one of item a."""
    types = {"item": pa.string(), "pieces": pa.int32()}
    return Rows([rows_of(types, *pieces.items())] if pieces else [], snapshot=True)


def named(**items: str) -> Rows:
    """Return the names of items."""
    return Rows(
        [rows_of({"item": pa.string(), "name": pa.string()}, *items.items())], snapshot=True
    )


def new_scene(warehouse: Warehouse, **options: Any) -> Scene:
    """Return a warehouse with the models and their exports, which gets one batch a day."""
    scene = Scene(warehouse, (lines, names), every=timedelta(days=1), options={"SHOP": "O'Hara"})
    allow_schemas(scene)
    scene.declare(lines, names, **({"models": MODELS, "exports": (lines, *MODELS)} | options))
    return scene


def allow_schemas(scene: Scene) -> None:
    """Let the loader create the schemas of its warehouse."""
    scene.query(f"GRANT CREATE ON DATABASE {identifier(scene.warehouse.database)} TO PUBLIC")


def three_days(scene: Scene) -> None:
    """Write three batches: two with lines, and one with a name alone between them."""
    scene.batch(line=sold(a=1, b=3), name=named(a="Apple", b="Bread"))
    scene.batch(name=named(a="Apple", b="Brot"))
    scene.batch(line=sold(a=2, b=3))


def content(scene: Scene) -> dict[str, list[list[Any]]]:
    """Return what the models have made, without the numbers of records."""
    return {
        "totals": scene.query("SELECT * FROM analytics.totals ORDER BY 1"),
        "best": scene.query("SELECT * FROM analytics.best ORDER BY 1"),
        "shares": scene.query(
            "SELECT name, share FROM analytics.shares ORDER BY name, shares_record_id"
        ),
    }


def exports(scene: Scene) -> dict[str, str]:
    """Return the exports by key."""
    return {
        key.removeprefix("exports/"): body.decode()
        for key, body in scene.bucket.objects.items()
        if key.startswith("exports/")
    }
