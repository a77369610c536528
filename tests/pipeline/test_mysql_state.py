"""What a MySQL warehouse is found to have, whatever became of it: all batches, and each once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from etl import Calendar, Date, Integer, Table, Text, history, latest
from etl.mapping import Mapping
from functions.common.errors import DatabaseUnavailableError, PipelineError, WarehouseSetupError
from functions.common.logs import MarkerLog
from functions.common.mysql import literal
from functions.targets import Feed, kind_of
from functions.targets.mysql.lock import lock_name
from local.mysql import MysqlServer
from tests.mysql_fixtures import mysql_warehouse_on, own_mysql
from tests.pipeline.faulty_link import FaultyLink
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = latest(Table("thing", key="id", columns=COLUMNS))
PAST = history(Table("past", key="id", columns=COLUMNS))
TYPES = {"id": pa.int32(), "word": pa.string()}


def rows(*words: str) -> pa.Table:
    return rows_of(TYPES, *enumerate(words))


@pytest.fixture
def scene(new_mysql_warehouse: New) -> MysqlScene:
    """Two batches of a table and a history, which are loaded."""
    return filled(MysqlScene(new_mysql_warehouse(), (THING, PAST)))


def filled(scene: MysqlScene) -> MysqlScene:
    scene.batch(thing=rows("a", "b"), past=rows("a", "b"))
    scene.batch(thing=rows("a", "c"), past=rows("a", "c"))
    scene.load()
    return scene


def held(scene: MysqlScene) -> list[list[Any]]:
    return [
        [word for [word] in scene.query("SELECT word FROM thing ORDER BY id")],
        [word for [word] in scene.query("SELECT word FROM past ORDER BY past_record_id")],
    ]


WHOLE = [["a", "c"], ["a", "b", "c"]]


def test_a_load_without_anything_new_changes_nothing(scene: MysqlScene) -> None:
    """A warehouse that is as it was left is known by its newest marker."""
    assert scene.load() == []
    assert held(scene) == WHOLE
    assert len(scene.markers) == 2


@pytest.mark.parametrize(
    "damage",
    [
        ["TRUNCATE thing"],
        ["TRUNCATE past"],
        ["DELETE FROM past WHERE word = 'c'", "UPDATE thing SET word = 'b' WHERE id = 1"],
        ["DROP TABLE thing"],
        ["DROP TABLE past", "DROP TABLE thing", "DROP TABLE loaded_batches"],
        ["ALTER TABLE thing ADD COLUMN more int NULL"],
        ["DROP VIEW current_past", "DROP TABLE deleted_rows"],
    ],
)
def test_what_was_lost_comes_again(scene: MysqlScene, damage: list[str]) -> None:
    """A table that was emptied, dropped, changed or set back gets the batches that it lacks."""
    if "UPDATE" in damage[-1]:  # the batch is undone in all tables, as by a restore
        damage = [*damage, "DELETE FROM loaded_batches WHERE batch = 2"]
    scene.query(damage[0], *damage[1:])
    scene.load()
    assert held(scene) == WHOLE
    scene.load()
    assert held(scene) == WHOLE


def test_another_warehouse_gets_all_batches(scene: MysqlScene, new_mysql_warehouse: New) -> None:
    """Its tables are created there, and filled from the log."""
    scene.warehouse = new_mysql_warehouse()
    assert [batch for batch, _ in scene.load()] == [1, 2]
    assert held(scene) == WHOLE


@pytest.fixture(scope="module")
def restarted() -> Iterator[MysqlServer]:
    """Run a server that a test may stop."""
    with own_mysql() as server:
        yield server


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_starts_again_goes_on(restarted: MysqlServer, how: str) -> None:
    """What it has is found out once, and no batch comes twice."""
    warehouse = mysql_warehouse_on(restarted, f"state {how}")
    scene = filled(MysqlScene(warehouse, (THING, PAST)))
    before = restarted.port
    restarted.kill() if how == "kill" else restarted.stop()
    with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
        scene.load()
    restarted.start()
    scene.warehouse = moved(warehouse, before, restarted.port)
    scene.batch(thing=rows("d", "e"), past=rows("d", "e"))
    scene.load()
    scene.load()
    assert held(scene) == [["d", "e"], ["a", "b", "c", "d", "e"]]
    assert [each for each, _ in scene.query("SELECT batch, source FROM loaded_batches")][-1] == 3


def moved(warehouse: Warehouse, before: int, now: int) -> Warehouse:
    """Return a warehouse whose server listens at another port."""
    urls = (warehouse.loader_url, warehouse.superuser_url)
    loader, superuser = (url.replace(f":{before}/", f":{now}/") for url in urls)
    return replace(warehouse, loader_url=loader, superuser_url=superuser)


def test_one_loader_at_a_time(scene: MysqlScene) -> None:
    """Another one does nothing meanwhile; the lock goes with the session of one that is killed."""
    mappings = tuple(Mapping(table, None, ()) for table in scene.tables)  # type: ignore[arg-type]
    feed = Feed(mappings, scene.log, MarkerLog(scene.bucket, "source"))
    kind = kind_of(scene.target)
    with kind.loader(scene.place, feed, 60) as first:
        with kind.loader(scene.place, feed, 60) as second:
            assert (first is not None, second) == (True, None)
        with pytest.raises(AssertionError):
            scene.load()
    with pytest.raises(PipelineError):  # the session is gone, and with it the context's end
        kill_while_loading(scene, feed)
    assert scene.load() == []


def kill_while_loading(scene: MysqlScene, feed: Feed) -> None:
    with kind_of(scene.target).loader(scene.place, feed, 60) as loader:
        assert loader is not None
        lock = literal(lock_name(scene.warehouse.schema))
        [[session]] = scene.query(f"SELECT IS_USED_LOCK({lock})")
        scene.query(f"KILL {session}")
        loader.require_lock()


def test_a_loader_whose_lock_was_released_commits_nothing(scene: MysqlScene) -> None:
    """Before its commit it looks whether the lock is still its own."""
    mappings = tuple(Mapping(table, None, ()) for table in scene.tables)  # type: ignore[arg-type]
    feed = Feed(mappings, scene.log, MarkerLog(scene.bucket, "source"))
    with pytest.raises(WarehouseSetupError, match="cannot keep its lock"):
        release_while_loading(scene, feed)
    assert scene.load() == []


def release_while_loading(scene: MysqlScene, feed: Feed) -> None:
    with kind_of(scene.target).loader(scene.place, feed, 60) as loader:
        assert loader is not None
        session: Any = loader
        session._session.connection.run("DO RELEASE_ALL_LOCKS()")
        loader.require_lock()


@pytest.mark.parametrize("seed", range(6))
def test_a_connection_that_is_cut_leaves_nothing_behind(
    new_mysql_warehouse: New, mysql: MysqlServer, seed: int
) -> None:
    """Wherever it is cut, the next loader goes on, and every batch is there once."""
    warehouse = new_mysql_warehouse()
    scene = MysqlScene(warehouse, (THING, PAST))
    expected = [f"word {n} " * 20 for n in range(3_000)]
    for number in range(4):
        scene.batch(thing=rows(*expected, str(number)), past=rows(*expected, str(number)))
    with FaultyLink(mysql.port, seed, longest_hang=0.2).open() as link:
        link.faulty = 1.0
        through = moved(warehouse, mysql.port, link.port)
        scene.warehouse = replace(warehouse, loader_url=through.loader_url)
        for _ in range(8):
            try:
                scene.load()
            except DatabaseUnavailableError:
                continue
            except AssertionError:  # the server has not yet seen that the last one is gone
                continue
        link.faulty = 0.0
        wait_for_lock(scene)
        scene.load()
        assert scene.load() == []
        assert link.faults

    assert held(scene) == [[*expected, "3"], [*expected, "0", "1", "2", "3"]]


def wait_for_lock(scene: MysqlScene) -> None:
    """Wait until the server has noticed that no loader is there any more."""
    lock, freed = literal(lock_name(scene.warehouse.schema)), threading.Event()
    for _ in range(100):
        if scene.query(f"SELECT IS_USED_LOCK({lock})") == [[None]]:
            return
        freed.wait(0.1)


def test_the_calendar_has_every_day_between(new_mysql_warehouse: New) -> None:
    """From the first day that a history uses to the last, each once, in English."""
    visit = Table("visit", key="id", columns={"id": Integer(), "day": Date(nullable=True)})
    scene = MysqlScene(new_mysql_warehouse(), (history(visit),))
    scene.declare(*scene.tables, calendar=Calendar("days"))
    types = {"id": pa.int32(), "day": pa.date32()}
    for days in ((20_040, None), (20_043, 20_038)):
        scene.batch(visit=rows_of(types, *enumerate(days)))
    scene.load()

    found = scene.query("SELECT CAST(date_id AS CHAR), day_name, quarter FROM days ORDER BY 1")
    assert [day for day, _, _ in found] == [f"2024-11-{day}" for day in range(11, 17)]
    assert found[0] == ["2024-11-11", "Monday", 4]
    assert scene.markers[-1].rows["days"].inserted == 5


def test_rows_that_were_deleted_are_recorded_and_not_shown(new_mysql_warehouse: New) -> None:
    """The view of a history shows the newest record of each key that is there."""
    scene = filled(MysqlScene(new_mysql_warehouse(), (PAST,)))
    gone = rows_of({"id": pa.int32()}, (0,), (7,))
    scene.batch(past=Rows(gone=gone))
    scene.load()
    current = "SELECT id, word FROM current_past ORDER BY id"
    assert scene.query(current) == [[1, "c"]]
    recorded = "SELECT table_name, business_id, batch, seen_again_at IS NULL FROM deleted_rows"
    assert scene.query(recorded) == [["past", "0", 3, 1], ["past", "7", 3, 1]]

    scene.batch(past=rows("a"))
    scene.load()
    assert scene.query(current) == [[0, "a"], [1, "c"]]
    assert scene.query(recorded) == [["past", "0", 3, 0], ["past", "7", 3, 1]]
