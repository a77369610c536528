"""Rows that come once: one is inserted unless its key is there, and nothing changes it."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import Integer, Model, Table, Text, once
from etl.mapping import Mapping
from functions.common.loaded import Loaded
from functions.common.logs import MarkerLog
from functions.targets import Counted, Feed
from functions.targets.postgres.comparer import comparer
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text(nullable=True)})
COMPOUND = Table(
    "pair", key=("id", "word"), columns={"id": Integer(), "word": Text(), "n": Integer()}
)
ONCE, PAIRS = once(THING), once(COMPOUND)

New = Callable[..., Warehouse]
Row = tuple[int, str | None]


def events(*rows: Row, **options: Any) -> Rows:
    """Return rows in the order in which they came, two to a file."""
    files = [rows[start : start + 2] for start in range(0, len(rows), 2)]
    types = {"id": pa.int32(), "word": pa.string()}
    return Rows([rows_of(types, *each) for each in files], sequence=True, **options)


def found(scene: Scene) -> list[list[Any]]:
    return scene.query("SELECT id, word FROM thing ORDER BY id")


@pytest.fixture(params=[True, False], ids=["managed", "prepared"])
def scene(request: pytest.FixtureRequest, new_managed_warehouse: New) -> Scene:
    """A managed warehouse; or a prepared one without an index, and without UPDATE."""
    scene = Scene(new_managed_warehouse(), (ONCE,))
    if not request.param:
        scene.load()
        scene.query("ALTER TABLE thing DROP CONSTRAINT thing_pkey; DROP TABLE loaded_batches")
        scene.query("ALTER TABLE thing OWNER TO postgres; REVOKE ALL ON thing FROM PUBLIC")
        scene.query("GRANT SELECT, INSERT ON thing TO PUBLIC")
        scene.managed = False
    return scene


def test_the_first_row_of_a_key_stays(scene: Scene) -> None:
    """Whatever comes again, within a file, a batch or later, with other values or the same."""
    scene.batch(thing=events((1, "a"), (1, "b"), (2, None), (1, "a"), (2, "x")))
    scene.batch(thing=events((3, "z"), (2, "y"), (1, "c"), (3, "zz")))

    assert scene.load() == [(1, "new"), (2, "new")]
    assert found(scene) == [[1, "a"], [2, None], [3, "z"]]
    assert [marker.rows for marker in scene.markers] == [
        {"thing": Loaded(5, 2, 0)},
        {"thing": Loaded(4, 1, 0)},
    ]


def test_a_loader_that_died_before_its_marker_adds_nothing_twice(scene: Scene) -> None:
    """Its batch is applied again, and finds all keys there."""
    scene.batch(thing=events((1, "a"), (2, "b"), (2, "c")))
    scene.load()
    for _ in range(2):
        scene.forget_last_marker()
        assert scene.load() == [(1, "new")]
        assert found(scene) == [[1, "a"], [2, "b"]]


def test_a_key_may_have_several_columns(new_managed_warehouse: New) -> None:
    """All of them together are what comes once."""
    types = {"id": pa.int32(), "word": pa.string(), "n": pa.int32()}
    scene = Scene(new_managed_warehouse(), (PAIRS,))
    rows = rows_of(types, (1, "a", 1), (1, "b", 2), (1, "a", 3))
    scene.batch(pair=Rows([rows], sequence=True))
    scene.load()

    assert scene.query("SELECT id, word, n FROM pair ORDER BY n") == [[1, "a", 1], [1, "b", 2]]


def test_a_row_that_the_warehouse_refuses_costs_that_row(scene: Scene) -> None:
    """It is tried again, and the others of its batch are there once."""
    scene.load()
    scene.query("ALTER TABLE thing ADD CONSTRAINT short CHECK (length(word) < 3)")
    scene.batch(thing=events((1, "a"), (2, "long"), (1, "b"), (2, "longer"), (3, "c")))
    scene.batch(thing=events((4, "d"), (1, "e"), (4, "f")))
    scene.load()
    assert found(scene) == [[1, "a"], [3, "c"], [4, "d"]]
    assert [sum(each.reasons.values()) for each in scene.markers[-1].refused["thing"]] == [1]

    scene.query("ALTER TABLE thing DROP CONSTRAINT short")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert found(scene) == [[1, "a"], [2, "long"], [3, "c"], [4, "d"]]
    assert scene.markers[-1].refused == {}


def test_a_table_that_is_declared_later_gets_the_first_row_of_each_key(
    new_managed_warehouse: New,
) -> None:
    """The rows of all batches come in one."""
    scene = Scene(new_managed_warehouse(), (PAIRS,))
    scene.batch()
    scene.load()
    scene.declare(PAIRS, ONCE)
    scene.batch(thing=events((1, "a"), (2, "b"), (1, "c"), filled=True))
    scene.load()
    scene.forget_last_marker()
    scene.load()

    assert found(scene) == [[1, "a"], [2, "b"]]


def test_an_empty_warehouse_gets_every_row(scene: Scene, new_managed_warehouse: New) -> None:
    """From the first batch to the last."""
    scene.batch(thing=events((1, "a"), (2, "b")))
    scene.batch(thing=events((1, "c"), (3, "d")))
    scene.load()
    scene.warehouse, scene.managed = new_managed_warehouse(), True
    scene.load()

    assert found(scene) == [[1, "a"], [2, "b"], [3, "d"]]


def test_rows_of_a_model_may_come_once(new_managed_warehouse: New) -> None:
    """A model's first row of a key stays."""
    model = Model(
        "first_words",
        inputs=[ONCE],
        sql="SELECT id, (SELECT max(word) FROM thing) AS word FROM thing",
        columns={"id": Integer(), "word": Text(nullable=True)},
        key="id",
        way="once",
    )
    scene = Scene(new_managed_warehouse(), (ONCE,))
    scene.declare(ONCE, models=(model,))
    for rows in ([(1, "a")], [(2, "b"), (1, "z")]):
        many: Any = rows
        scene.batch(thing=events(*many))
        scene.load()

    assert scene.query("SELECT id, word FROM first_words ORDER BY id") == [[1, "a"], [2, "b"]]


def compared(scene: Scene, *rows: Row, **options: bool) -> Counted:
    """Compare the table with the rows that it should have."""
    mapping = Mapping(ONCE, THING, ())
    feed = Feed((mapping,), scene.log, MarkerLog(scene.bucket, "source"))
    with comparer(scene.place, feed, 600) as target:
        wanted = [rows_of({"id": pa.int32(), "word": pa.string()}, *rows)]
        with target.disagreements(mapping, wanted, [], **options) as disagreements:
            disagreements.explain([], [], pa.array([], pa.string()))
            return disagreements.counted()


def test_it_is_compared_with_the_first_row_of_each_key(scene: Scene) -> None:
    """A row that came again is no difference, and one that was changed by hand is."""
    scene.batch(thing=events((1, "a"), (1, "b"), (2, "c")))
    scene.load()
    assert compared(scene, (1, "a"), (1, "b"), (2, "c"), last_of_key=True) == Counted(2, 2)

    scene.query("UPDATE thing SET word = 'b' WHERE id = 1")
    wanted = [(1, "a"), (1, "b"), (3, "d")]
    counted = compared(scene, *wanted, last_of_key=True)
    assert (counted.missing, counted.different, counted.extra) == (1, 1, 1)
    assert counted.examples == {"different": [1], "missing": [3], "extra": [2]}


def test_of_a_source_that_changes_rows_the_keys_are_compared(scene: Scene) -> None:
    """A row may have changed since it came."""
    scene.batch(thing=events((1, "a"), (2, "b")))
    scene.load()
    counted = compared(scene, (1, "changed since"), (3, "c"))
    assert (counted.missing, counted.different, counted.extra) == (1, 0, 1)


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "b", None])), max_size=6),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, killed=st.sets(st.integers(0, 3)))
def test_whatever_comes_and_dies_each_key_is_there_once(
    new_managed_warehouse: New, batches: list[list[Row]], killed: set[int]
) -> None:
    """Equal to a plain account of first rows, wherever a loader died after its commit."""
    scene = Scene(new_managed_warehouse(), (ONCE,))
    expected: dict[int, str | None] = {}
    for number, batch in enumerate(batches):
        for key, word in batch:
            expected.setdefault(key, word)
        scene.batch(thing=events(*batch))
        scene.load()
        if number in killed:
            scene.forget_last_marker()
            scene.load()

    assert found(scene) == [list(each) for each in sorted(expected.items())]
