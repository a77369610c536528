"""How rows come together in MySQL: each way, in managed and in prepared warehouses."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, TargetTable, Text, history, latest, once, replace
from functions.common.loaded import Loaded
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text(nullable=True)})
NAMED = Table("thing", key="word", columns={"id": Integer(nullable=True), "word": Text()})
PAIR = Table("thing", key=("word", "id"), columns={"id": Integer(), "word": Text()})
TYPES = {"id": pa.int32(), "word": pa.string()}

New = Callable[..., Warehouse]
Row = tuple[int | None, str | None]


def rows(*found: Row) -> pa.Table:
    return rows_of(TYPES, *found)


def states(*found: Row) -> Rows:
    """Return rows that come in sequence, two to a file."""
    return Rows([rows(*found[at : at + 2]) for at in range(0, len(found), 2)], sequence=True)


@pytest.fixture(params=["managed", "prepared"])
def new_scene(
    request: pytest.FixtureRequest, new_mysql_warehouse: New
) -> Callable[[TargetTable], MysqlScene]:
    """Return what makes a managed warehouse; or a prepared one without any index on the key."""

    def make(table: TargetTable) -> MysqlScene:
        if request.param == "managed":
            return MysqlScene(new_mysql_warehouse(), (table,))
        warehouse = new_mysql_warehouse("SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES")
        scene = MysqlScene(warehouse, (table,), managed=False)
        number = "n int AUTO_INCREMENT PRIMARY KEY, " if table.way == "history" else ""
        scene.query(f"CREATE TABLE thing ({number}id int, word text)")
        return scene

    return make


def found(scene: MysqlScene) -> list[Any]:
    order = "id, word"
    if scene.tables[0].way == "history":
        order = "thing_record_id" if scene.managed else "n"
    return [tuple(row) for row in scene.query(f"SELECT id, word FROM thing ORDER BY {order}")]


def loaded(scene: MysqlScene) -> list[Loaded | None]:
    return [marker.rows.get("thing") for marker in scene.markers]


def twice(scene: MysqlScene) -> None:
    """Load, and again as after a loader that died before its marker."""
    scene.load()
    scene.forget_last_marker()
    scene.load()


def test_latest_values_are_inserted_or_updated(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """A row that is as it was is not written, and coming again changes nothing."""
    scene = new_scene(latest(THING))
    scene.batch(thing=rows((1, "a"), (2, None), (3, "c"), (-5, "")))
    twice(scene)
    scene.batch(thing=rows((2, "b"), (3, "c"), (4, None), (1, None)))
    twice(scene)

    assert found(scene) == [(-5, ""), (1, None), (2, "b"), (3, "c"), (4, None)]
    assert loaded(scene) == [
        Loaded(4, 4, 0), Loaded(4, 0, 0), Loaded(4, 1, 2), Loaded(4, 0, 0)
    ]  # fmt: skip


def test_a_history_has_a_record_of_each_state(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """One is added when it differs from the newest of its key, and never twice."""
    scene = new_scene(history(THING))
    for batch in (
        rows((1, "a"), (2, "b")), rows((1, "a"), (2, None)), rows((2, None), (3, "c"), (1, "x")),
        rows((1, "a"), (2, "b")),
    ):  # fmt: skip
        scene.batch(thing=batch)
        twice(scene)

    assert found(scene) == [
        (1, "a"), (2, "b"), (2, None), (3, "c"), (1, "x"), (1, "a"), (2, "b")
    ]  # fmt: skip
    assert loaded(scene)[::2] == [
        Loaded(2, 2, 0), Loaded(2, 1, 0), Loaded(3, 2, 0), Loaded(2, 2, 0)
    ]  # fmt: skip
    assert {each.inserted for each in loaded(scene)[1::2] if each} == {0}


def test_states_of_a_key_come_in_their_order(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """Of several in a batch a history keeps each that differs from the one before it."""
    scene = new_scene(history(THING))
    scene.batch(thing=rows((1, "a"), (2, "b")))
    scene.batch(thing=states((1, "a"), (1, "b"), (1, "b"), (3, "x"), (1, "a"), (3, "y"), (2, "b")))
    twice(scene)

    assert found(scene) == [
        (1, "a"), (2, "b"), (1, "b"), (3, "x"), (1, "a"), (3, "y")
    ]  # fmt: skip


def test_the_last_of_several_states_is_the_latest_and_the_first_stays_once(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """Whatever the order of the parts in which they come."""
    came: list[Row] = [(1, "a"), (1, "b"), (2, None), (1, "c"), (2, "x"), (2, None)]
    scene = new_scene(latest(THING))
    scene.batch(thing=states(*came))
    twice(scene)
    assert found(scene) == [(1, "c"), (2, None)]


def test_rows_that_come_once_stay_as_they_came(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """The first row of a key is inserted unless its key is there."""
    scene = new_scene(once(THING))
    scene.batch(thing=states((1, "a"), (1, "b"), (2, None), (2, "x")))
    scene.batch(thing=states((3, "c"), (2, "y"), (1, "z"), (3, "d")))
    twice(scene)
    assert found(scene) == [(1, "a"), (2, None), (3, "c")]
    assert loaded(scene) == [Loaded(4, 2, 0), Loaded(4, 1, 0), Loaded(4, 0, 0)]


@pytest.mark.parametrize("table", [NAMED, PAIR])
def test_keys_are_distinguished_by_their_bytes(
    table: Table, new_scene: Callable[[TargetTable], MysqlScene]
) -> None:
    """Case, accents and blanks at the end make another key; a change of case is a change."""
    scene = new_scene(latest(table))
    words = ["a", "A", "ä", "a ", "A\t", "", "ß", "ss"]
    scene.batch(thing=rows(*((1, word) for word in words)))
    twice(scene)
    assert sorted(word for _, word in found(scene)) == sorted(words)
    assert loaded(scene)[1] == Loaded(8, 0, 0)


def test_a_change_of_case_alone_is_a_change(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """So are blanks at the end, whatever the collation takes for the same."""
    scene = new_scene(latest(THING))
    for word in ("a", "A", "A ", "Ä", "ä"):
        scene.batch(thing=rows((1, word)))
    scene.load()
    assert [each.updated for each in loaded(scene) if each] == [0, 1, 1, 1, 1]
    assert found(scene) == [(1, "ä")]


@replace(name="thing", columns={"id": Integer(nullable=True), "word": Text(nullable=True)})
def line(thing: Any) -> Any:
    """Lines without a key."""
    return thing


def test_a_table_equals_the_newest_snapshot(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """Equal lines are counted, NULL is a value like others, and what is not there any more goes."""
    scene = new_scene(line)
    first: list[Row] = [(1, "a"), (1, "a"), (2, None), (None, None), (3, "")]
    second: list[Row] = [(1, "a"), (2, ""), (None, None), (None, None), (4, "d"), (4, "D")]
    for each in (first, second):
        scene.batch(thing=Rows([rows(*each)], snapshot=True))
        scene.batch()
        twice(scene)
        assert sorted(found(scene), key=str) == sorted(each, key=str)
    scene.batch(thing=Rows(snapshot=True))
    scene.load()
    assert found(scene) == []


def test_a_table_with_a_key_equals_its_source(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """Rows come and change by their key, and those that the source deleted go."""
    scene = new_scene(replace(THING))
    scene.batch(thing=rows((1, "a"), (2, "b"), (3, "c")))
    scene.batch(thing=Rows([rows((1, "x"))], gone=rows_of({"id": pa.int32()}, (2,), (9,))))
    twice(scene)
    assert found(scene) == [(1, "x"), (3, "c")]
    assert loaded(scene)[1] == Loaded(1, 0, 1, deleted=1)


def test_many_rows_come_in_many_statements(
    new_scene: Callable[[TargetTable], MysqlScene],
) -> None:
    """New ones, changed ones and those that are as they were, some thousand of each."""
    scene = new_scene(latest(THING))
    scene.batch(thing=Rows([rows(*((n, "x" * 300) for n in range(20_000)))]))
    scene.batch(
        thing=Rows([rows(*((n, f"{'x' * 300}{n % 2 or ''}") for n in range(10_000, 30_000)))])
    )
    scene.load()
    assert loaded(scene) == [Loaded(20_000, 20_000, 0), Loaded(20_000, 10_000, 5_000)]
    [[count, total]] = scene.query("SELECT count(*), sum(length(word)) FROM thing")
    assert (count, int(total)) == (30_000, 30_000 * 300 + 10_000)


@pytest.mark.parametrize("index", ["", "KEY (id), ", "KEY (id, word(4)), ", "KEY (word(4), id), "])
def test_a_prepared_table_may_have_any_index(index: str, new_mysql_warehouse: New) -> None:
    """What an index finds only a part of the key by, or all, is found right."""
    pair = Table("thing", key=("id", "word"), columns={"id": Integer(), "word": Text()})
    warehouse = new_mysql_warehouse("SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES")
    for way in (latest, history, once):
        scene = MysqlScene(warehouse, (way(pair),), managed=False)
        scene.query(
            "DROP TABLE IF EXISTS thing",
            f"CREATE TABLE thing (id int, word text, {index}n int AUTO_INCREMENT PRIMARY KEY)",
        )
        scene.batch(thing=rows((1, "a"), (1, "b"), (2, "a")))
        scene.batch(thing=rows((2, "a"), (1, "B"), (1, "b")))
        twice(scene)
        found = scene.query("SELECT id, word FROM thing ORDER BY n")
        assert found == [[1, "a"], [1, "b"], [2, "a"], [1, "B"]]
