"""A managed warehouse records its batches, so that a table without a history knows what it has."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from pg8000.native import identifier

from etl import Integer, Table, Text, latest
from functions.common.errors import WarehouseSetupError
from local.databases import create_managed_warehouse
from local.postgres import PostgresServer
from tests.pipeline.ground import own_server, restart, run_sql
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text()})
NAME = "ours"


def words(*words: str) -> pa.Table:
    return rows_of({"id": pa.int32(), "word": pa.string()}, *enumerate(words))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a server that may be restarted."""
    with own_server() as running:
        yield running


@pytest.fixture
def scene(server: PostgresServer) -> Scene:
    """A managed warehouse on it, with a table that has no history, after three batches."""
    run_sql(server.superuser_url(), f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    url = create_managed_warehouse(server, database=NAME)
    scene = Scene(Warehouse(NAME, "public", url, server.superuser_url(NAME)), (latest(THING),))
    for word in "abc":
        scene.batch(thing=words(word))
        scene.load()
    return scene


def test_a_restart_repeats_nothing(scene: Scene, server: PostgresServer) -> None:
    """No value of before is shown again, and what is new comes."""
    before = scene.query("SELECT xmin::text, word FROM thing")
    restart(server)

    assert scene.load() == []
    assert scene.query("SELECT xmin::text, word FROM thing") == before
    scene.batch(thing=words("d"))
    assert scene.load() == [(4, "new")]


def test_an_older_copy_gets_what_it_lost(scene: Scene, server: PostgresServer) -> None:
    """Its newest record says how far it had come, also where a loader died before its marker."""
    copy = f"CREATE DATABASE older TEMPLATE {identifier(NAME)}"
    run_sql(server.superuser_url(), "DROP DATABASE IF EXISTS older", copy)
    for word in "de":
        scene.batch(thing=words(word))
        scene.load()
    scene.forget_last_marker()
    scene.load()
    run_sql(
        server.superuser_url(),
        f"DROP DATABASE {NAME} WITH (FORCE)",
        f"ALTER DATABASE older RENAME TO {NAME}",
    )

    assert scene.load() == [(4, "again"), (5, "again")]
    assert scene.query("SELECT word FROM thing") == [["e"]]
    assert scene.query("SELECT source, batch FROM loaded_batches ORDER BY record_id") == [
        ["source", batch] for batch in (1, 2, 3, 4, 5)
    ]


def test_a_table_that_was_created_again_is_filled_whatever_the_record_says(scene: Scene) -> None:
    """The record is of the warehouse as a whole, and each table is asked whether it is the same."""
    scene.query("DROP TABLE thing")

    assert [batch for batch, _ in scene.load()] == [1, 2, 3]
    assert scene.query("SELECT word FROM thing") == [["c"]]


def test_somebody_else_s_table_of_that_name_is_left_alone(
    new_managed_warehouse: Callable[..., Warehouse],
) -> None:
    """The run says to rename it."""
    scene = Scene(new_managed_warehouse(), (latest(THING),))
    scene.query("CREATE TABLE loaded_batches (mine integer)")

    with pytest.raises(WarehouseSetupError, match="table loaded_batches in schema public of the"):
        scene.load()
