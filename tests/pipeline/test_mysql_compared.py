"""What reconcile finds in MySQL: every kind of disagreement, by the bytes of keys and values."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from etl import Integer, Table, TargetTable, Text, history, latest, once, replace
from functions.targets import Counted, Disagreements
from tests.pipeline.mysql_comparing import compared, comparing
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)
NAMED = Table("thing", key="word", columns={"id": Integer(nullable=True), "word": Text()})
PAIR = Table("thing", key=("word", "id"), columns={"id": Integer(), "word": Text()})
LINE = Table("thing", key=(), columns={"id": Integer(nullable=True), "word": Text(nullable=True)})
TYPES = {"id": pa.int32(), "word": pa.string()}

New = Callable[..., Warehouse]
NewScene = Callable[[TargetTable], MysqlScene]
Row = tuple[int | None, str | None]


def rows(*found: Row) -> pa.Table:
    return rows_of(TYPES, *found)


@pytest.fixture(params=["managed", "prepared"])
def new_scene(request: pytest.FixtureRequest, new_mysql_warehouse: New) -> NewScene:
    """Return what makes a managed warehouse; or a prepared one without any index on the key."""

    def make(table: TargetTable) -> MysqlScene:
        if request.param == "managed":
            return MysqlScene(new_mysql_warehouse(), (table,))
        warehouse = new_mysql_warehouse("SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES")
        scene = MysqlScene(warehouse, (table,), managed=False)
        number = "n int AUTO_INCREMENT PRIMARY KEY, " if table.way == "history" else ""
        scene.query(f"CREATE TABLE thing ({number}id int, word text COLLATE utf8mb4_general_ci)")
        return scene

    return make


def fill(scene: MysqlScene, *found: Row) -> None:
    """Load rows, as a batch."""
    scene.batch(thing=rows(*found))
    scene.load()


@pytest.mark.parametrize("table", [THING, NAMED], ids=["numbers", "texts"])
def test_every_kind_of_disagreement_is_counted(new_scene: NewScene, table: Table) -> None:
    """What explains one takes it out of the others, and each kind has examples."""
    key = (lambda number: number) if table is THING else (lambda number: f"k{number:02}")
    kind = pa.int64() if table is THING else pa.string()

    def row(number: int, value: int) -> Row:
        return (number, str(value)) if table is THING else (value, key(number))

    scene = new_scene(latest(table))
    fill(scene, *(row(number, 1) for number in range(1, 10)))
    wanted = [row(1, 1), row(2, 2), row(3, 2), row(10, 1), row(11, 1)]  # and 4, which is unfit

    def explain(found: Disagreements) -> None:
        gone = [each for part in found.in_target_only() for each in part.to_pylist()]
        assert sorted(gone) == [key(number) for number in (5, 6, 7, 8, 9)]
        some = [pa.array([key(number) for number in numbers], kind) for numbers in ((3, 5), (3,))]
        found.explain(some, [pa.array([key(6), key(7)], kind)], pa.array([key(10)], kind))
        assert found.unexplained(1) == [key(8)]
        assert found.unexplained(9) == [key(8), key(9)]

    assert compared(scene, [rows(*wanted[:2]), rows(*wanted[2:])], [key(4)], explain) == Counted(
        source=6,
        warehouse=9,
        missing=2,
        different=2,
        extra=2,
        pending=2,
        deleted=2,
        quarantined=2,
        examples={
            "missing": [key(10), key(11)],
            "different": [key(2), key(4)],
            "extra": [key(8), key(9)],
        },
    )


def test_a_table_that_agrees_is_counted_too(new_scene: NewScene) -> None:
    """NULL is like NULL and nothing else."""
    scene = new_scene(latest(THING))
    fill(scene, (1, None), (2, ""), (3, "NULL"))
    assert compared(scene, [rows((1, None), (2, ""), (3, "NULL"))]) == Counted(3, 3)

    counted = compared(scene, [rows((1, ""), (2, None), (3, None))])
    assert (counted.different, counted.examples) == (3, {"different": [1, 2, 3]})


def test_nothing_is_there_and_nothing_should_be(new_scene: NewScene) -> None:
    """A table without a row is compared, and so are no rows."""
    scene = new_scene(latest(THING))
    scene.load()
    if scene.managed:
        assert compared(scene, [rows()]) == Counted()
        counted = compared(scene, [rows((1, "a"))], [2])
        assert (counted.source, counted.missing, counted.quarantined) == (2, 2, 1)


@pytest.mark.parametrize("other", ["WORD", "word ", "wörd", "wo\\rd", "word\0", "wo'rd", "🦭"])
def test_values_are_compared_by_their_bytes(new_scene: NewScene, other: str) -> None:
    """Whatever the collation takes for the same: a change of case alone is a difference."""
    scene = new_scene(latest(THING))
    fill(scene, (1, "word"), (2, other))
    assert compared(scene, [rows((1, "word"), (2, other))]) == Counted(2, 2)
    assert compared(scene, [rows((1, other), (2, other))]).examples == {"different": [1]}


@pytest.mark.parametrize("other", ["WORD", "word ", "wörd", "wo\\rd", "word,", "wo'rd", "🦭"])
@pytest.mark.parametrize("table", [NAMED, PAIR], ids=["one column", "two columns"])
def test_keys_are_compared_by_their_bytes(new_scene: NewScene, table: Table, other: str) -> None:
    """Whatever the collation takes for the same: keys that differ in case alone are two."""
    shown = other if table is NAMED else f"{other}, 7"
    scene = new_scene(latest(table))
    fill(scene, (7, "word"), (7, other))
    assert compared(scene, [rows((7, "word"), (7, other))]) == Counted(2, 2)

    counted = compared(scene, [rows((7, "word"))])
    assert (counted.extra, counted.examples) == (1, {"extra": [shown]})

    scene.query("DELETE FROM thing WHERE CAST(word AS BINARY) <> 'word'")
    counted = compared(scene, [rows((7, "word"), (7, other))])
    assert (counted.missing, counted.examples) == (1, {"missing": [shown]})


def test_keys_may_be_of_another_character_set(new_mysql_warehouse: New) -> None:
    """Their digests are those of the characters, not of how the table stores them."""
    scene = MysqlScene(new_mysql_warehouse(), (latest(NAMED),), managed=False)
    scene.query("CREATE TABLE thing (id int, word varchar(40) CHARACTER SET latin1 PRIMARY KEY)")
    fill(scene, (1, "wörd"), (1, "w,\\d"), (2, "ö"))

    def explain(found: Disagreements) -> None:
        found.explain([pa.array(["ö"])], [], pa.array([], pa.string()))

    counted = compared(scene, [rows((1, "w,\\d"))], ["wörd"], explain)
    assert (counted.source, counted.different, counted.pending, counted.extra) == (2, 1, 1, 0)


def test_of_a_history_the_newest_record_counts(new_scene: NewScene) -> None:
    """Also where a key returned to a value that it had before."""
    scene = new_scene(history(NAMED))
    fill(scene, (1, "a"), (1, "A"), (1, "c"))
    fill(scene, (2, "a"), (2, "c"))
    fill(scene, (1, "a"))
    assert compared(scene, [rows((1, "a"), (1, "A"), (2, "c"))]) == Counted(3, 3)

    counted = compared(scene, [rows((2, "a"), (1, "A"), (1, "d"))], ["c"])
    assert (counted.missing, counted.different, counted.extra) == (1, 2, 0)
    assert counted.examples == {"missing": ["d"], "different": ["a", "c"]}


def test_rows_that_come_once_are_compared_by_their_keys(new_scene: NewScene) -> None:
    """And by the first row of each where all that came are known."""
    scene = new_scene(once(THING))
    fill(scene, (1, "a"), (2, "b"), (3, "c"))
    assert compared(scene, [rows((1, "z"), (2, "b"), (3, None))]) == Counted(3, 3)

    came = [rows((1, "a"), (2, "x"), (1, "z")), rows((3, "c"), (2, "b"))]
    assert compared(scene, came, last_of_key=True).examples == {"different": [2]}


def test_the_last_row_of_a_key_counts_where_several_came(new_scene: NewScene) -> None:
    """As it does when they are loaded."""
    scene = new_scene(latest(THING))
    fill(scene, (1, "b"), (2, "b"))
    came = [rows((1, "a"), (2, "b"), (1, "x")), rows((1, "b"), (3, "c"))]
    counted = compared(scene, came, last_of_key=True)
    assert (counted.source, counted.examples) == (3, {"missing": [3]})


def test_lines_are_counted(new_scene: NewScene) -> None:
    """Equal ones as often as they are there, NULLs and case distinguished."""
    scene = new_scene(replace(LINE))
    there = [rows((1, "a"), (1, "a"), (1, "A"), (None, None), (2, "a "))]
    scene.batch(thing=Rows(there, snapshot=True))
    scene.load()
    wanted = [rows((1, "a"), (1, "A")), rows((1, "A"), (None, None), (None, ""), (2, "a"))]
    with comparing(scene) as (target, mapping):
        counted = target.lines(mapping, wanted)
        assert target.lines(mapping, [rows()]) == Counted(0, 5, extra=5)
    assert counted == Counted(6, 5, missing=3, extra=2)


def test_many_rows_disagree(new_scene: NewScene) -> None:
    """More of either side than are read at a time."""
    scene = new_scene(latest(THING))
    numbers = range(50_000)
    fill(scene, *((number, "a") for number in numbers))
    wanted = [rows(*((number + 25_000, "b") for number in numbers))]

    def explain(found: Disagreements) -> None:
        assert sum(map(len, found.in_target_only())) == 25_000
        found.explain([pa.array(range(30_000))], [], pa.array([], pa.int64()))

    counted = compared(scene, wanted, explain=explain)
    assert (counted.pending, counted.different, counted.missing) == (30_000, 20_000, 25_000)
    assert counted.extra == 0


def test_one_moment_is_compared_and_nobody_is_held_up(new_scene: NewScene) -> None:
    """A load goes on meanwhile, and what it commits is not seen."""
    scene = new_scene(latest(THING))
    fill(scene, (1, "a"), (2, "b"))
    with comparing(scene) as (target, mapping):
        fill(scene, (1, "z"), (3, "c"))
        wanted = [rows((1, "a"), (2, "b"))]
        with target.disagreements(mapping, wanted, []) as found:
            fill(scene, (2, "y"))
            assert found.counted() == Counted(2, 2)
        with target.disagreements(mapping, wanted, []) as again:
            assert again.counted() == Counted(2, 2)
        assert (target.batch, target.latest) == (1, 1)
    assert compared(scene, [rows((1, "z"), (2, "y"), (3, "c"))]) == Counted(3, 3)
