"""How rows come together: a table that equals its source, and one that is filled later."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, Text, history, latest, replace
from functions.common.errors import WarehouseSetupError
from functions.common.loaded import Loaded
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text(nullable=True)})
TYPES = {"id": pa.int32(), "word": pa.string()}

New = Callable[..., Warehouse]


@replace(name="line", columns={"id": Integer(nullable=True), "word": Text(nullable=True)})
def line(thing: Any) -> Any:
    """Lines without a key."""
    return thing


def things(**words: str | None) -> pa.Table:
    """Return things, `_1="a"` as number 1."""
    return rows_of(TYPES, *((int(number[1:]), word) for number, word in words.items()))


def lines(*rows: tuple[int | None, str | None]) -> Rows:
    return Rows([rows_of(TYPES, *rows)], snapshot=True)


def words(scene: Scene, table: str) -> list[list[Any]]:
    return scene.query(f"SELECT id, word FROM {table} ORDER BY id, word, ctid")


def test_a_table_equals_the_newest_snapshot(new_managed_warehouse: New) -> None:
    """Equal lines are counted, NULL is a value like others, and what is not there any more goes."""
    scene = Scene(new_managed_warehouse(), (line,))
    first = [(1, "a"), (1, "a"), (1, "a"), (2, None), (None, None), (3, "")]
    second = [(1, "a"), (1, "a"), (2, ""), (None, None), (None, None), (4, "d")]
    for rows in (first, second):
        scene.batch(line=lines(*rows))
        scene.batch()  # says nothing of the table, which stays as it is
        scene.load()
        scene.forget_last_marker()
        scene.load()
        assert sorted(map(tuple, words(scene, "line")), key=str) == sorted(rows, key=str)

    changes = [marker.rows.get("line") for marker in scene.markers if marker.batch == 3]
    assert changes == [Loaded(6, 0, 6)]

    scene.batch(line=Rows(snapshot=True))
    scene.load()
    assert words(scene, "line") == []


def test_a_line_that_is_refused_is_put_aside_until_the_next_snapshot(
    new_managed_warehouse: New,
) -> None:
    """The others of its snapshot replace those of the last, and it is tried again meanwhile."""
    scene = Scene(new_managed_warehouse(), (line,))
    scene.load()
    scene.batch(line=lines((0, "x"), (1, "a")))
    scene.load()
    scene.query("ALTER TABLE line ADD CONSTRAINT short CHECK (length(word) < 3)")
    scene.batch(line=lines((1, "a"), (2, "long"), (3, "c")))
    scene.load()
    assert words(scene, "line") == [[1, "a"], [3, "c"]]

    scene.query("ALTER TABLE line DROP CONSTRAINT short")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert words(scene, "line") == [[1, "a"], [2, "long"], [3, "c"]]
    assert scene.markers[-1].refused == {}

    scene.query("ALTER TABLE line ADD CONSTRAINT short CHECK (length(word) < 5)")
    scene.batch(line=lines((1, "longer")))
    scene.batch(line=lines((5, "e")))
    scene.load()
    assert (words(scene, "line"), scene.markers[-1].refused) == ([[5, "e"]], {})


def test_refused_lines_are_found_in_every_file_of_a_snapshot(new_managed_warehouse: New) -> None:
    """Each is put aside with what it holds, and the lines of all files are there once."""
    scene = Scene(new_managed_warehouse(), (line,))
    scene.load()
    scene.query("ALTER TABLE line ADD CONSTRAINT short CHECK (length(word) < 3)")
    files = [[(1, "a"), (2, "long")], [(1, "a"), (3, "c")], [(4, "longer"), (5, "longest")]]
    scene.batch(line=Rows([rows_of(TYPES, *each) for each in files], snapshot=True))
    scene.load()
    assert words(scene, "line") == [[1, "a"], [1, "a"], [3, "c"]]

    scene.query("ALTER TABLE line DROP CONSTRAINT short")
    scene.load()
    assert words(scene, "line") == sorted(list(each) for file in files for each in file)


def test_a_refused_line_stays_refused_while_other_tables_change(
    new_managed_warehouse: New,
) -> None:
    """A batch without a snapshot says nothing of lines, which have no key."""
    scene = Scene(new_managed_warehouse(), (line, latest(THING)))
    scene.load()
    scene.query("ALTER TABLE line ADD CONSTRAINT short CHECK (length(word) < 3)")
    scene.batch(line=lines((1, "a"), (2, "long")))
    scene.batch(thing=things(_1="a"))
    scene.load()
    assert (words(scene, "line"), words(scene, "thing")) == ([[1, "a"]], [[1, "a"]])
    assert "line" in scene.markers[-1].refused

    scene.query("ALTER TABLE line DROP CONSTRAINT short")
    scene.load()
    assert words(scene, "line") == [[1, "a"], [2, "long"]]


def test_equal_lines_are_counted_when_they_are_tried_again(new_managed_warehouse: New) -> None:
    """A line that is there once does not stand for another one, which the warehouse refuses."""
    scene = Scene(new_managed_warehouse(), (line,))
    scene.load()
    scene.query(
        "ALTER TABLE line ADD CONSTRAINT one UNIQUE (id, word), ADD CONSTRAINT more CHECK (id > 0)"
    )
    files: list[list[tuple[int, str | None]]]
    files = [[(1, "a"), (0, None)], [(1, "a"), (0, None), (1, "a")], [(2, "b")]]
    scene.batch(line=Rows([rows_of(TYPES, *each) for each in files], snapshot=True))
    scene.load()
    assert words(scene, "line") == [[1, "a"], [2, "b"]]

    scene.query("ALTER TABLE line DROP CONSTRAINT more")
    scene.load()
    assert words(scene, "line") == [[0, None], [0, None], [1, "a"], [2, "b"]]
    assert [each.file.rows for each in scene.markers[-1].refused["line"]] == [2]

    scene.query("ALTER TABLE line DROP CONSTRAINT one")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert words(scene, "line") == sorted(
        (list(each) for file in files for each in file), key=lambda each: (each[0], str(each[1]))
    )
    assert scene.markers[-1].refused == {}


def test_a_table_that_equals_a_database_s_loses_what_was_deleted_there(
    new_managed_warehouse: New,
) -> None:
    """Changes come by key, and a deletion takes the row away instead of listing it."""
    scene = Scene(new_managed_warehouse(), (replace(THING),))
    scene.batch(thing=things(_1="a", _2="b", _3=None))
    gone = rows_of({"id": pa.int32()}, (1,), (9,))
    scene.batch(thing=Rows([things(_2="B", _4="d")], gone))
    scene.load()
    scene.forget_last_marker()
    scene.load()

    assert words(scene, "thing") == [[2, "B"], [3, None], [4, "d"]]
    assert scene.query("SELECT * FROM deleted_rows") == []
    assert scene.markers[1].rows == {"thing": Loaded(2, 1, 1, deleted=1)}


@pytest.mark.parametrize("left", [[(2, "b")], []])
def test_a_row_that_others_refer_to_is_kept_and_nothing_stops(
    new_managed_warehouse: New, left: list[tuple[int, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """A row that the warehouse cannot delete is reported, and everything else goes on."""
    scene = Scene(new_managed_warehouse(), (line, replace(THING)))
    first = [(1, "a"), (2, "b"), (3, "c")]
    scene.batch(line=lines(*first), thing=things(_1="a", _2="b", _3="c"))
    scene.load()
    for table in ("line", "thing"):
        scene.query(
            f"ALTER TABLE {table} ADD UNIQUE (id); CREATE TABLE of_{table} (id int REFERENCES"
            f" {table} (id)); INSERT INTO of_{table} VALUES (1)"
        )
    gone = rows_of({"id": pa.int32()}, (1,), (3,))
    snapshot = lines(*left) if left else Rows(snapshot=True)
    scene.batch(line=snapshot, thing=Rows(gone=gone))

    assert scene.load() == [(2, "new")]
    assert words(scene, "thing") == [[1, "a"], [2, "b"]]
    assert words(scene, "line") == [[1, "a"], *map(list, left)]
    assert caplog.messages.count("rows cannot be deleted, and are kept") == 2


def test_a_prepared_table_that_is_replaced_needs_the_right_to_delete(
    new_managed_warehouse: New,
) -> None:
    """It is asked for before anything is loaded."""
    warehouse = new_managed_warehouse()
    scene = Scene(warehouse, (line,), managed=False)
    scene.query(
        "CREATE TABLE line (id int, word text);"
        " GRANT SELECT, INSERT, UPDATE ON line TO warehouse_loader"
    )

    with pytest.raises(
        WarehouseSetupError, match=r"no right to DELETE on public\.line of the ware"
    ):
        scene.load()

    scene.query("GRANT DELETE ON line TO warehouse_loader")
    scene.batch(line=lines((1, "a")))
    scene.load()
    assert words(scene, "line") == [[1, "a"]]


STATES: list[pa.Table] = [
    things(_1="a", _2="x"), things(_1="b"), things(_2="x", _3=None), things(_1="a"), things(_3=None)
]  # fmt: skip


def fifty_batches(scene: Scene) -> None:
    """Write and load a log of batches in which things have several states."""
    for number in range(50):
        scene.batch(thing=STATES[number] if number < len(STATES) else things(_4=str(number)))
    scene.load()


@pytest.mark.parametrize("way", ["history", "latest", "replace"])
def test_a_table_that_is_declared_later_is_filled_and_no_other_is_written(
    new_managed_warehouse: New, way: str
) -> None:
    """It gets all states of the log once, whatever the others have and however often it comes."""
    scene = Scene(new_managed_warehouse(), (latest(THING), history(THING, name="past")))
    fifty_batches(scene)
    before = scene.query("SELECT xmin::text, ctid::text FROM thing")
    read = scene.bucket.requests["get"]
    new = {"history": history, "latest": latest, "replace": replace}[way](THING, name="new")
    scene.declare(*scene.tables, new)
    scene.batch(new=Rows([*STATES, things(_4="49")], filled=True))

    loaded = scene.load()
    assert scene.bucket.requests["get"] - read < 25  # and not every batch
    scene.forget_last_marker()
    scene.load()

    assert loaded == [(51, "new")]
    assert scene.query("SELECT xmin::text, ctid::text FROM thing") == before
    assert [marker.rows.keys() for marker in scene.markers[50:51]] == [{"new"}]
    states = [[1, "a"], [1, "b"], [1, "a"], [2, "x"], [3, None], [4, "49"]]
    newest = [[1, "a"], [2, "x"], [3, None], [4, "49"]]
    found = scene.query("SELECT id, word FROM new ORDER BY id, ctid")
    assert found == (states if way == "history" else newest)


def test_a_row_that_is_refused_while_a_table_is_filled_waits_if_it_is_the_newest(
    new_managed_warehouse: New,
) -> None:
    """An earlier state that the warehouse refuses does not come after a later one."""
    scene = Scene(new_managed_warehouse(), (latest(THING),))
    fifty_batches(scene)
    scene.declare(*scene.tables, history(THING, name="new"))
    scene.query("CREATE TABLE new (n serial, id int, word text CHECK (word NOT IN ('b', '49')))")
    scene.query("ALTER TABLE new OWNER TO warehouse_loader")
    scene.batch(new=Rows([*STATES, things(_4="49")], filled=True))
    scene.load()

    assert sum(each.file.rows for each in scene.markers[-1].refused["new"]) == 1
    scene.query("ALTER TABLE new DROP CONSTRAINT new_word_check")
    scene.load()
    assert scene.query("SELECT id, word FROM new ORDER BY id, n") == [
        [1, "a"], [2, "x"], [3, None], [4, "49"]
    ]  # fmt: skip
