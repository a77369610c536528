"""What a target decides about rows without its SQL: states, places, days, deletions, numbers."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError, WarehouseSetupError
from functions.common.manifests import ProcessedManifest
from functions.targets import Counted
from functions.targets.calendar import Days
from functions.targets.comparing import Tally
from functions.targets.deletions import catch_up
from functions.targets.layout import Found
from functions.targets.mysql.calendar import _between
from functions.targets.numbered import Extent, Places
from functions.targets.own_tables import (
    DELETIONS,
    DELETIONS_COLUMNS,
    LEDGER,
    LEDGER_COLUMNS,
    is_own,
)
from functions.targets.states import by_state, first_of, newest_of, require_keys
from tests.unit.applying import Loading
from tests.unit.fake_warehouse import Row, table

PARTS = st.lists(st.lists(st.integers(1, 4), max_size=6), max_size=4)
DAY = date(2024, 3, 1)


def parts_of(keys: list[list[int]]) -> list[pa.Table]:
    """Return parts with rows of some keys, each row with its place among all."""
    places = iter(range(100))
    rows = [[{"id": key, "at": next(places)} for key in some] for some in keys]
    return [pa.Table.from_pylist(some) for some in rows if some]


def all_of(parts: Any) -> list[Row]:
    return [row for part in parts for row in part.to_pylist()]


@given(PARTS)
def test_the_first_and_the_last_row_of_each_key_are_found_across_parts(
    keys: list[list[int]],
) -> None:
    """Of each key one row is left, wherever the others are; the order stays within a part."""
    parts = parts_of(keys)
    rows = all_of(parts)
    last = {row["id"]: row for row in rows}
    first = {row["id"]: row for row in reversed(rows)}

    found = all_of(first_of(parts, ["id"]))
    assert found == [row for row in rows if row in first.values()]
    newest = all_of(newest_of(parts[::-1], ["id"]))
    assert sorted(newest, key=lambda row: row["at"]) == [r for r in rows if r in last.values()]
    assert all(part.num_rows for part in newest_of(parts[::-1], ["id"]))
    assert all(part.num_rows for part in first_of(parts, ["id"]))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_states_of_a_key_are_apart_and_in_order(keys: list[int]) -> None:
    """No table has two rows of one key, and its first states come before the second ones."""
    [part] = parts_of([keys])

    tables = [each.to_pylist() for each in by_state(part, ["id"])]

    assert len(tables) == max(map(keys.count, keys))
    for number, rows in enumerate(tables):
        ids = [row["id"] for row in rows]
        assert sorted(ids) == sorted(key for key in set(keys) if keys.count(key) > number)
        assert all(keys[: row["at"]].count(row["id"]) == number for row in rows)


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"other": [1]}),
        pa.table({"id": [1, None]}),
        pa.table([[1], [2], [3]], names=["id", "a", "a"]),
    ],
    ids=["no key", "NULL", "a column twice"],
)
def test_rows_without_a_key_are_refused_as_a_whole(rows: pa.Table) -> None:
    """Transform would not have written them: the message names the table and the key."""
    with pytest.raises(CorruptLogError, match="rows of dim in the processed bucket have no id"):
        require_keys(table("dim", "latest"), rows)


def test_rows_with_all_of_their_key_are_accepted() -> None:
    """Other columns may be NULL, and there may be none."""
    both = table("dim", "latest", ("id", "at"))

    require_keys(both, pa.table({"at": [1], "id": [1], "name": pa.nulls(1)}))
    require_keys(both, pa.table({"id": [1], "at": [1]}))
    with pytest.raises(CorruptLogError, match="have no id, at"):
        require_keys(both, pa.table({"id": [1]}))
    with pytest.raises(CorruptLogError, match="have no id, at"):
        require_keys(both, pa.table({"id": [1, 2], "at": [1, None]}))


def test_keys_beyond_all_known_ones_are_new() -> None:
    """Below the lowest or above the highest; what touches an end may be one that is there."""
    extent = Extent(10, 20)

    assert not extent.is_beyond(20, 25)  # counted in: now 10 to 25
    assert not extent.is_beyond(25, 30)
    assert extent.is_beyond(31, 40)
    assert not extent.is_beyond(5, 10)
    assert not extent.is_beyond(12, 13)
    assert extent.is_beyond(1, 4)
    assert not extent.is_beyond(1, 1)
    assert not extent.is_beyond(40, 50)


def test_an_empty_table_has_no_key_that_could_be_there() -> None:
    """The first part is new, whatever its keys; the next one only beyond it."""
    extent = Extent()

    assert extent.is_beyond(5, 9)
    assert not extent.is_beyond(9, 12)
    assert extent.is_beyond(13, 13)
    assert Extent(None, 7).is_beyond(1, 2)


@example([7, 5, 10])
@example([7, 7, 10])
@example([7, 10**12])
@given(st.lists(st.integers(-50, 50) | st.sampled_from([-(10**12), 10**12]), min_size=1))
def test_the_place_of_a_key_is_where_its_row_is(keys: list[int]) -> None:
    """Dense keys are looked up by their distance, others one by one, with the same answer."""
    places = Places(pa.array(keys, pa.int64()))

    assert places.are_unique == (len(set(keys)) == len(keys))
    if places.are_unique:
        assert places.of(pa.array(keys, pa.int64())).to_pylist() == list(range(len(keys)))


@pytest.mark.parametrize(("highest", "are_dense"), [(7, True), (8, False)])
def test_a_place_is_looked_up_by_distance_where_few_are_empty(
    highest: int, *, are_dense: bool
) -> None:
    """At most four places for a key."""
    places = Places(pa.array([0, highest], pa.int64()))

    assert places.are_dense == are_dense
    assert places.of(pa.array([highest, 0])).to_pylist() == [1, 0]
    assert places.of(pa.array([3], pa.int64())).to_pylist() == [None]


def test_the_days_of_a_calendar_have_no_gap() -> None:
    """From the first to the last date of all rows of a transaction, each day once."""
    asked: list[tuple[date, date]] = []

    def add(first: date, last: date) -> int:
        asked.append((first, last))
        return 10

    days = Days(add)
    days.cover(pa.table({"id": [1]}))
    days.cover(pa.table({"day": pa.array([None], pa.date32())}))
    assert (asked, days.added) == ([], 0)

    later, earlier = date(2024, 3, 9), date(2024, 2, 1)
    days.cover(pa.table({"day": [DAY, later], "other": [later, DAY], "id": [1, 2]}))
    days.cover(pa.table({"day": [date(2024, 3, 5)]}))
    days.cover(pa.table({"day": [earlier, None]}))
    assert (asked, days.added) == ([(DAY, later), (earlier, later)], 20)

    Days(None).cover(pa.table({"day": [DAY]}))


def test_both_ends_are_days_of_the_calendar() -> None:
    """A date that is the last of all rows has its day."""
    assert list(_between(DAY, date(2024, 3, 3))) == [DAY, date(2024, 3, 2), date(2024, 3, 3)]
    assert list(_between(DAY, DAY)) == [DAY]


def found(columns: tuple[str, ...], *denied: str) -> Found:
    types = dict.fromkeys(columns, "text")
    return Found("own", "kept", 1, 1, types, [], [], frozenset(), frozenset(denied))


@pytest.mark.parametrize("denied", ["SELECT", "INSERT", "UPDATE"])
def test_each_right_that_deletions_need_is_asked_for(denied: str) -> None:
    """Load stops before it begins, and says which right it lacks."""
    assert is_own(found(DELETIONS_COLUMNS, "DELETE"), DELETIONS)

    with pytest.raises(WarehouseSetupError, match=f"no right to {denied} on own.kept"):
        is_own(found(DELETIONS_COLUMNS, denied), DELETIONS)


def test_each_right_that_the_ledger_needs_is_asked_for() -> None:
    """Its records are added and read, and never changed."""
    assert is_own(found(LEDGER_COLUMNS, "DELETE", "UPDATE"), LEDGER)

    for denied in ("SELECT", "INSERT"):
        with pytest.raises(WarehouseSetupError, match=f"no right to {denied} on own.kept"):
            is_own(found(LEDGER_COLUMNS, denied), LEDGER)


def test_a_table_of_the_same_name_with_other_columns_is_not_ours() -> None:
    """Nobody's table is written to for its name alone."""
    assert not is_own(found(DELETIONS_COLUMNS[1:], "SELECT"), DELETIONS)
    assert not is_own(found(LEDGER_COLUMNS[1:], "SELECT"), LEDGER)
    assert not is_own(None, DELETIONS)


def test_disagreements_are_counted_by_kind() -> None:
    """Of the missing and the different those that were put aside are counted too."""
    tally = Tally(10, 2)
    tally.add("missing", 3, 1, ["a,b"])
    tally.add("different", 2, 2, [7])
    tally.add("extra", 4, 4, [])
    tally.add("pending", 5, 5, ["c"])
    tally.add("deleted", 6, 0, ["d"])

    assert tally.counted(4, 9) == Counted(
        source=10,
        warehouse=15,
        missing=3,
        different=2,
        extra=4,
        pending=5,
        deleted=6,
        quarantined=3,
        examples={"missing": ["a, b"], "different": [7]},
    )


def test_deletions_of_all_batches_are_caught_up_in_their_order() -> None:
    """A row that came back is marked once it was deleted, and not before."""
    loading = Loading()
    log = BatchLog(loading.bucket, "shop", ProcessedManifest)
    batches: list[dict[str, Any]] = [
        loading.entry("dim", [{"id": 1}], deleted=[9]),
        {**loading.entry("dim", deleted=[1]), **loading.entry("copy", deleted=[1])},
        loading.entry("dim", [{"id": 1}]),
        loading.entry("fact", [{"id": 1}], deleted=[2]),
        loading.entry("dim", deleted=[3]),
    ]
    for number, tables in enumerate(batches, 1):
        manifest = replace(
            loading.manifest({}), batch=number, written_at=datetime(2024, 1, number, tzinfo=UTC)
        )
        assert log.claim(replace(manifest, tables=tables))
    session: Any = loading.there

    catch_up(session, log, 4)

    assert loading.there.state.deleted == [
        ("dim", "9", 1),
        ("dim", "1", 2),
        ("dim", "1", None),
        ("fact", "2", 4),
    ]
