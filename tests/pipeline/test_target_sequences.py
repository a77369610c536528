"""Rows of files, where a key may come in several states: the last one counts, or each of them."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import Integer, Table, Text, history, latest
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text(nullable=True)})
NEWEST, PAST = latest(THING), history(THING, name="past")

New = Callable[..., Warehouse]
State = tuple[int, str | None]


def states(*rows: State, **options: Any) -> Rows:
    """Return rows in the order in which they were true, two to a file."""
    files = [rows[start : start + 2] for start in range(0, len(rows), 2)]
    types = {"id": pa.int32(), "word": pa.string()}
    return Rows([rows_of(types, *each) for each in files], sequence=True, **options)


def add(scene: Scene, *rows: State) -> None:
    scene.batch(thing=states(*rows), past=states(*rows))


def newest(scene: Scene) -> list[list[Any]]:
    return scene.query("SELECT id, word FROM thing ORDER BY id")


def past(scene: Scene, key: int) -> list[str | None]:
    """Return all states of a key."""
    rows = scene.query(f"SELECT word FROM past WHERE id = {key} ORDER BY past_record_id")
    return [word for [word] in rows]


@pytest.fixture(params=[True, False], ids=["managed", "prepared"])
def scene(request: pytest.FixtureRequest, new_managed_warehouse: New) -> Scene:
    """A managed warehouse, or one without a record of batches."""
    scene = Scene(new_managed_warehouse(), (NEWEST, PAST))
    if not request.param:
        scene.load()
        scene.query("DROP TABLE loaded_batches")
        scene.managed = False
    return scene


def test_the_last_state_is_the_newest_and_each_is_history(scene: Scene) -> None:
    """Also when a key comes back to the state that it had, within a batch and between two."""
    add(scene, (1, "a"), (1, "b"), (2, "x"), (1, "a"), (2, "x"), (2, None))
    add(scene, (1, "a"), (1, "b"), (1, "a"), (3, "z"))

    assert scene.load() == [(1, "new"), (2, "new")]
    assert newest(scene) == [[1, "a"], [2, None], [3, "z"]]
    assert [past(scene, key) for key in (1, 2, 3)] == [
        ["a", "b", "a", "b", "a"],
        ["x", None],
        ["z"],
    ]


def test_a_loader_that_died_before_its_marker_repeats_no_state(scene: Scene) -> None:
    """Whether it had added none of the states of its batch or all of them."""
    add(scene, (1, "a"))
    scene.load()
    add(scene, (1, "b"), (2, "x"), (1, "a"))
    scene.load()
    for _ in range(2):
        scene.forget_last_marker()
        assert scene.load() == [(2, "new")]
        assert [past(scene, key) for key in (1, 2)] == [["a", "b", "a"], ["x"]]
        assert newest(scene) == [[1, "a"], [2, "x"]]


def test_an_empty_warehouse_gets_every_state(scene: Scene, new_managed_warehouse: New) -> None:
    """From the first batch to the last."""
    add(scene, (1, "a"), (1, "b"))
    add(scene, (1, "a"), (1, "a"), (1, None))
    scene.load()
    scene.warehouse, scene.managed = new_managed_warehouse(), True

    scene.load()
    assert (past(scene, 1), newest(scene)) == (["a", "b", "a", None], [[1, None]])


def test_a_lost_history_gets_every_state_while_no_other_is_repeated(
    new_managed_warehouse: New,
) -> None:
    """Its batches are recorded as loaded, and that is of no matter for what it lacks."""
    scene = Scene(new_managed_warehouse(), (NEWEST, PAST, history(THING, name="other")))
    for rows in ([(1, "a")], [(1, "b"), (1, "a")], [(1, "a"), (1, "c"), (1, "a")]):
        found: Any = rows
        scene.batch(thing=states(*found), past=states(*found), other=states(*found))
    scene.load()
    scene.query("DROP TABLE past CASCADE")

    scene.load()
    assert past(scene, 1) == ["a", "b", "a", "c", "a"]
    assert len(scene.query("SELECT FROM other")) == 5


def test_a_history_that_is_declared_later_gets_every_state(new_managed_warehouse: New) -> None:
    """The rows of all batches come in one, each file those of a batch."""
    scene = Scene(new_managed_warehouse(), (NEWEST,))
    scene.batch(thing=states((1, "a"), (1, "b")))
    scene.load()
    scene.declare(NEWEST, PAST)
    scene.batch(past=states((1, "a"), (1, "b"), (1, "a"), (1, "a"), filled=True))
    scene.load()
    scene.forget_last_marker()
    scene.load()

    assert past(scene, 1) == ["a", "b", "a"]


def test_a_state_that_the_warehouse_refuses_costs_that_state(scene: Scene) -> None:
    """One that a later state of the same batch supersedes does not come back after it."""
    scene.load()
    for table in ("thing", "past"):
        scene.query(f"ALTER TABLE {table} ADD CONSTRAINT short CHECK (length(word) < 3)")
    add(scene, (1, "a"), (1, "long"), (1, "b"), (2, "x"), (2, "longer"))
    add(scene, (3, "y"), (3, "z"))
    scene.load()
    assert newest(scene) == [[1, "b"], [3, "z"]]
    assert [past(scene, key) for key in (1, 2, 3)] == [["a", "b"], ["x"], ["y", "z"]]

    for table in ("thing", "past"):
        scene.query(f"ALTER TABLE {table} DROP CONSTRAINT short")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert newest(scene) == [[1, "b"], [2, "longer"], [3, "z"]]
    assert [past(scene, key) for key in (1, 2)] == [["a", "b"], ["x", "longer"]]


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", None])), max_size=6),
    min_size=1,
    max_size=4,
)


def oracle(batches: list[list[State]]) -> dict[int, list[str | None]]:
    """Return the states of each key that differ from the one before."""
    found: dict[int, list[str | None]] = {}
    for key, word in (state for batch in batches for state in batch):
        kept = found.setdefault(key, [])
        if not kept or kept[-1] != word:
            kept.append(word)
    return found


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, killed=st.sets(st.integers(0, 3)))
def test_whatever_comes_and_dies_the_history_is_what_was_true(
    new_managed_warehouse: New, batches: list[list[State]], killed: set[int]
) -> None:
    """Equal to a plain account of all states, wherever a loader died after its commit."""
    scene = Scene(new_managed_warehouse(), (NEWEST, PAST))
    for number, batch in enumerate(batches):
        add(scene, *batch)
        scene.load()
        if number in killed:
            scene.forget_last_marker()
            scene.load()

    expected = oracle(batches)
    assert {key: past(scene, key) for key in expected} == expected
    assert newest(scene) == [[key, expected[key][-1]] for key in sorted(expected)]
