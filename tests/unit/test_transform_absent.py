"""Which parents are absent, from batch to batch: rows that refer to them wait."""

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, Text
from functions.common.keys import Key
from functions.transform.absent import Absent

STAFF = Table("staff", key="id", columns={"id": Integer()})
CITY = Table("city", key="name", columns={"name": Text()})
OTHER = Table("other", key="id", columns={"id": Integer()})


def rows(*ids: int, known: Collection[Any] | None = None) -> pa.Table:
    found = pa.table({"id": pa.array(ids, pa.int64())})
    if known is None:
        return found
    return found.append_column("_known", pa.array(list(known), pa.bool_()))


def absent(
    before: dict[str, Collection[Key]] | None = None,
    missing: dict[str, Collection[Key]] | None = None,
) -> Absent:
    return Absent((STAFF, CITY), before or {}, missing or {})


def settled(found: Absent, *, held: pa.Table | None = None) -> dict[str, list[Key]]:
    found.settle(STAFF, [] if held is None else held["id"].to_pylist())
    return {name: keys for name in sorted(found.now) if (keys := found.left(name))}


def test_parents_stay_absent_until_they_come() -> None:
    """Those that the source does not have are absent from now on, in their order."""
    found = absent({"staff": [9, 3], "city": ["b"]}, {"staff": [10], "city": ["a"]})
    assert found.now == {"staff": {3, 9, 10}, "city": {"a", "b"}}

    found.note(STAFF, rows(9, 4), (), is_new=True)

    assert settled(found) == {"city": ["a", "b"], "staff": [3, 10]}


def test_a_parent_that_is_in_quarantine_has_not_come() -> None:
    """It is in the batch, and the target still cannot have it."""
    found = absent({"staff": [3, 9]})
    found.note(STAFF, rows(3, 9), (), is_new=True)

    assert settled(found, held=rows(9)) == {"staff": [9]}


@pytest.mark.parametrize(
    ("known", "left"),
    [(None, {"staff": [2]}), ([False, False], {"staff": [2]}), ([False, None], {"staff": [2]}),
     ([False, True], {})],
)  # fmt: skip
def test_a_new_parent_that_is_unfit_is_absent(known: Any, left: dict[str, list[Key]]) -> None:
    """One that a batch before had was fit once, so the target has it in an earlier state."""
    found = absent()
    found.note(STAFF, rows(1, 2, known=known), [1], is_new=True)

    assert settled(found) == left


def test_in_a_replay_no_parent_is_new() -> None:
    """An unfit row of it says nothing: its batch has decided."""
    found = absent({"staff": [2]})
    found.note(STAFF, rows(1, 2), [0, 1], is_new=False)

    assert settled(found) == {}


def test_a_parent_that_was_never_fit_for_a_new_table_is_absent() -> None:
    """Rows that wait in quarantine for a target table are noted when it is filled."""
    found = absent()
    found.note_unfit(STAFF, rows(5))
    found.note_unfit(STAFF, pa.table({}))
    found.note_unfit(OTHER, rows(6))

    assert settled(found) == {"staff": [5]}


def test_tables_that_nobody_waits_for_have_none_absent() -> None:
    """Their rows cost nothing."""
    found = absent()
    found.note(OTHER, rows(1), [0], is_new=True)
    found.settle(OTHER, [])

    assert settled(found) == {}


def test_tables_whose_absent_keys_may_differ_are_known() -> None:
    """The others keep the objects of the batch before: the cost follows the change."""
    assert absent({"staff": [3], "city": ["a"]}).changed == set()
    assert absent({}, {"staff": [3], "city": []}).changed == {"staff"}

    found = absent({"staff": [3], "city": ["a"]})
    found.note_unfit(STAFF, pa.table({"id": pa.array([7], pa.int64())}))
    settled(found)

    assert found.changed == {"staff"}
    found.settle(CITY, [])
    assert found.changed == {"staff"}
