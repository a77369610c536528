"""Which batches load applies to which tables, and what its markers say afterwards."""

import pytest
from msgspec import UNSET, structs

from functions.common.errors import CorruptLogError
from functions.common.loaded import Evidence, Loaded
from functions.common.logs import MarkerLog
from functions.load.loading import load_pending
from functions.targets import Applied
from tests.unit.fake_loader import ALWAYS, Load


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    return Load(monkeypatch)


def test_batches_go_in_in_order_and_each_is_marked(load: Load) -> None:
    """A marker says what every table has, and how old its rows were."""
    load.loader.result = Applied({"a": Loaded(1, 1, 0)}, {"a": Evidence(1, ["id"], "0a" * 32)}, {})
    load.write("a")
    load.write("b")

    steps = load.run()

    assert load.loader.applied == [(1, ["a", "b"], []), (2, ["a", "b"], [])]
    assert [step.progress for step in steps] == ["new", "new"]
    marker = load.markers.read(2)
    assert structs.replace(marker, previous_sha256=None) == steps[1].marker
    assert (marker.batch, marker.has, marker.age_seconds) == (2, {"a": 2, "b": 2}, 90.0)
    assert (marker.evidence, marker.rows) == (load.loader.result.evidence, load.loader.result.rows)
    assert load.run() != []  # the standing of this loader is as it was opened
    assert load.markers.newest() == 4


def test_what_is_loaded_is_not_loaded_again(load: Load) -> None:
    """A run without a new batch writes nothing."""
    load.write("a")
    load.stands(has={"a": 1, "b": 1})

    assert (load.run(), load.markers.newest()) == ([], 0)


def test_a_table_that_lacks_batches_gets_those_that_have_rows_of_it(load: Load) -> None:
    """A batch without any is passed over, and the last one is marked all the same."""
    for names in (("b",), ("a",), ("b",), ("a",)):
        load.write(*names)
    load.stands(has={"a": 4, "b": 1})

    steps = load.run()

    assert load.loader.applied == [(3, ["b"], [])]
    assert [(step.marker.batch, step.progress) for step in steps] == [(3, "again"), (4, "again")]
    assert load.markers.read(2).has == {"a": 4, "b": 4}
    assert load.markers.read(2).rows == {}


@pytest.mark.parametrize("is_older", [False, True], ids=["marker", "marker of earlier code"])
def test_a_batch_that_was_loaded_before_is_not_new(load: Load, *, is_older: bool) -> None:
    """A restored or moved warehouse gets its batches again, and each is announced only once."""
    for _ in range(3):
        load.write("a")
    load.stands(has={"a": 2, "b": 0}, is_recorded=False)
    [first, *_] = load_pending(load.loader, load.feed, lambda: False)
    assert (first.marker.batch, first.progress, first.marker.reached) == (1, "again", 2)
    if is_older:
        number = load.markers.newest() + 1
        marker = structs.replace(first.marker, number=number, index=UNSET, reached=0)
        load.markers.claim(marker)

    load.stands(has={"a": 0, "b": 0}, is_recorded=False)
    steps = load.run()
    assert [step.progress for step in steps] == ["again", "again", "new"]
    assert [step.marker.reached for step in steps] == [2, 2, 3]

    assert [step.progress for step in load.run()] == ["again", "again", "again"]


def test_a_run_ends_when_its_time_does(load: Load) -> None:
    """What was applied is marked, also where the batches in between have nothing."""
    for _ in range(3):
        load.write("a")
    times = iter([True, False])

    steps = load.run(lambda: next(times))

    assert [step.marker.batch for step in steps] == [1, 2]
    load.stands(has={"a": 3, "b": 0})
    [step] = load.run(lambda: False)
    assert (step.marker.has, load.loader.applied[2:]) == ({"a": 3, "b": 1}, [])


def test_a_table_that_is_new_begins_with_the_batch_that_names_it(load: Load) -> None:
    """Batches before it lack nothing of it."""
    load.write("a")
    load.write("a")
    load.write("new")
    load.write("new")
    load.stands(has={"a": 2, "b": 2, "new": 0})

    steps = load.run()

    assert [step.marker.batch for step in steps] == [3, 4]
    assert steps[0].marker.has == {"a": 3, "b": 3, "new": 3}
    assert load.loader.applied == [(3, ["a", "b", "new"], []), (4, ["a", "b", "new"], [])]


def test_a_log_that_was_emptied_is_not_loaded_from(load: Load) -> None:
    """Batches of a new log have the numbers of others that are in the target."""
    load.write("a")
    load.stands(has={"a": 2, "b": 1})

    with pytest.raises(CorruptLogError, match=r"batch 2 is marked as loaded.*is 1: was that log"):
        load.run()
    assert load.loader.applied == []


def test_a_target_without_any_of_its_tables_gets_nothing(load: Load) -> None:
    """All of them are optional, and none is there."""
    load.write("a")
    load.stands(has={})

    assert (load.run(), load.markers.newest()) == ([], 0)


def test_a_target_that_was_found_otherwise_is_marked(load: Load) -> None:
    """The next run need not look through it again."""
    load.write("a")
    load.stands(has={"a": 1, "b": 1}, is_recorded=False, refused={}, since=5)

    assert load.run() == []
    assert (load.markers.newest(), load.markers.read(1).since) == (1, 5)
    assert load.markers.read(1).rows == {}


@pytest.mark.parametrize(
    ("holds_lock", "said"),
    [
        (True, "marker 2 of batch 2 was written by another program"),
        (False, "another loader has the lock"),
    ],
)
def test_a_marker_that_somebody_else_wrote_stops_the_load(
    load: Load, *, holds_lock: bool, said: str
) -> None:
    """Two loaders at work would repeat a history; a lost lock is the first suspect."""
    load.write("a")
    load.write("a")
    load.loader.holds_lock = holds_lock
    steps = load_pending(load.loader, load.feed, ALWAYS)
    next(steps)
    first = load.markers.read(1)
    MarkerLog(load.bucket, "shop").claim(structs.replace(first, number=2, run="other"))

    with pytest.raises(CorruptLogError, match=said):
        next(steps)


def test_a_table_that_no_batch_names_yet_lacks_none(load: Load) -> None:
    """It was declared after the newest batch: nothing is looked through again for it."""
    load.write("a")
    load.write("a")
    load.stands(has={"a": 2, "b": 2, "new": 0})

    assert (load.run(), load.markers.newest()) == ([], 0)
