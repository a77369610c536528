"""When load tries refused rows again, and with which batches it runs models."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.common.errors import PipelineCodeError
from functions.common.loaded import RefusedRows
from functions.targets import Applied
from tests.unit.fake_loader import FILE, NOW, Load

REFUSED = {"a": [RefusedRows(FILE, {"no": 1})]}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    return Load(monkeypatch)


@pytest.mark.parametrize(
    ("standing", "is_retried"),
    [
        ({"tried_at": NOW - timedelta(minutes=59)}, False),
        ({"tried_at": NOW - timedelta(hours=1)}, False),
        ({"tried_at": NOW - timedelta(minutes=61)}, True),
        ({"tried_at": None}, True),
        ({"tried_at": NOW, "definitions": "others"}, True),
        ({"tried_at": None, "refused": {}}, False),
    ],
)
def test_refused_rows_are_tried_each_hour_and_when_tables_change(
    load: Load, standing: dict[str, Any], *, is_retried: bool
) -> None:
    """The marker of the try says when it was, and against which definitions."""
    load.write("a")
    load.stands(
        **{"has": {"a": 1, "b": 1}, "refused": REFUSED, "definitions": "definitions"} | standing
    )

    steps = load.run()

    assert [step.progress for step in steps] == ["retried"] * is_retried
    assert load.loader.retried == [1] * is_retried
    if is_retried:
        marker = load.markers.read(1)
        assert (marker.tried_at, marker.definitions) == (NOW, "definitions")
        assert (marker.refused, marker.batch) == ({}, 1)


def test_refused_rows_are_not_tried_without_time(load: Load) -> None:
    """A retry that is cut off has changed nothing: it is left to the next run."""
    load.write("a")
    load.stands(has={"a": 1, "b": 1}, refused=REFUSED, tried_at=None)

    assert (load.run(lambda: False), load.loader.retried) == ([], [])
    assert [step.progress for step in load.run()] == ["retried"]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_refused_rows_without_a_batch_are_not_tried(load: Load, *, is_recorded: bool) -> None:
    """They are of a log that was emptied: there is no batch for a marker."""
    load.stands(refused=REFUSED, tried_at=None, is_recorded=is_recorded)

    assert (load.run(), load.loader.retried, load.markers.newest()) == ([], [], 0)


@pytest.mark.parametrize(
    ("before", "after", "accepts", "tried_at", "retried"),
    [
        ({}, REFUSED, False, NOW, []),
        (REFUSED, REFUSED, False, NOW - timedelta(minutes=9), []),
        (REFUSED, REFUSED, True, NOW, [1]),
        ({}, {}, False, NOW - timedelta(minutes=9), []),
    ],
    ids=["first refused", "still refused", "may be accepted now", "none"],
)
def test_a_batch_notes_when_refused_rows_were_tried(
    load: Load, *, before: Any, after: Any, accepts: bool, tried_at: datetime, retried: list[int]
) -> None:
    """Rows that are refused now were tried now; a row that they wait for has them tried at once."""
    load.write("a")
    load.stands(tried_at=NOW - timedelta(minutes=9), definitions="definitions", refused=before)
    load.loader.result = Applied({}, {}, after)
    load.loader.accepts = accepts

    load.run()

    assert load.markers.read(load.markers.newest()).tried_at == tried_at
    assert load.loader.retried == retried


def test_models_are_run_with_the_batches_of_their_tables(load: Load) -> None:
    """One that fails is raised in the end, and run again with the next batch."""
    load.loader.models = {"m": frozenset({"a"})}
    load.stands(models={"m": 0})
    load.write("b")
    load.write("a")
    load.loader.result = Applied({}, {}, {}, failed={"m": "m: no column"})

    with pytest.raises(PipelineCodeError, match="m: no column"):
        load.run()

    assert load.loader.applied == [(1, ["a", "b"], []), (2, ["a", "b"], ["m"])]
    assert load.markers.read(2).has == {"a": 2, "b": 2, "m": 0}

    load.write("b")
    load.loader.result = Applied({}, {}, {})
    load.stands(has={"a": 2, "b": 2}, models={"m": 0})
    load.run()
    assert load.loader.applied[2:] == [(2, [], ["m"]), (3, ["a", "b"], [])]
    assert load.markers.read(load.markers.newest()).has["m"] == 3


def test_a_model_that_fails_as_refused_rows_are_retried_is_raised(load: Load) -> None:
    """Its table lacks the rows that came in, so the next run tries it again."""
    load.loader.models = {"m": frozenset({"a"}), "n": frozenset({"a"})}
    load.write("a")
    load.write("b")
    stands = {"has": {"a": 2, "b": 2}, "models": {"m": 2, "n": 2}}
    load.stands(refused=REFUSED, **stands)
    load.loader.fails_retried = {"m": "m: no column"}

    with pytest.raises(PipelineCodeError, match="m: no column"):
        load.run()

    assert load.markers.read(1).has == {"a": 2, "b": 2, "m": 1, "n": 2}

    load.stands(refused={}, models={"m": 1, "n": 2})
    load.run()
    assert (load.loader.retried, load.loader.applied) == ([2], [(2, [], ["m"])])


def test_a_model_that_succeeds_with_a_later_batch_is_no_failure(load: Load) -> None:
    """Only what cannot be run at present is raised in the end."""
    load.loader.models = {"m": frozenset({"a"}), "n": frozenset({"b"})}
    load.stands(models={"m": 0, "n": 0})
    load.write("a", "b")
    load.write("a")
    failed = {"m": "m failed", "n": "n failed"}
    load.loader.results = [Applied({}, {}, {}, failed=failed), Applied({}, {}, {})]

    load.run()

    assert load.loader.applied == [(1, ["a", "b"], ["m", "n"]), (2, ["a", "b"], ["m", "n"])]


@pytest.mark.parametrize(
    ("standing", "batches", "settled"),
    [({"settled": 2}, [2, 3], 2), ({"is_ahead": True, "settled": 1}, [3], 3)],
)
def test_no_model_is_run_before_its_tables_show_the_batch(
    load: Load, standing: dict[str, Any], batches: list[int], settled: int
) -> None:
    """Tables that may hold rows of later batches are not shown as those of an earlier one."""
    load.loader.models = {"m": frozenset({"a"})}
    load.stands(models={"m": 0}, **standing)
    for _ in range(3):
        load.write("a")

    load.run()

    assert [batch for batch, _, models in load.loader.applied if models] == batches
    assert load.markers.read(3).settled == settled
