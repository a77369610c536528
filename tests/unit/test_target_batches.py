"""One batch in a target: every row goes in, in the way of its table, or is put aside."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from etl import Integer, Model, Table, latest
from functions.common.loaded import Loaded
from functions.targets.derived import Derived
from functions.targets.own_tables import LEDGER
from functions.targets.session import Select
from tests.unit.applying import WAYS, Loading
from tests.unit.fake_warehouse import FakeWarehouse, Row, table


@pytest.fixture
def loading() -> Loading:
    return Loading()


def row(number: int, value: str = "a", **others: Any) -> Row:
    return {"id": number, "value": value, **others}


def test_each_table_gets_its_rows_in_its_own_way(loading: Loading) -> None:
    """What is updated, added, inserted once or replaced is counted, and the batch recorded."""
    for rows in ([row(1), row(2)], [row(2, "b"), row(3)]):
        entries = [loading.entry(each, rows, snapshot=each == "copy") for each in WAYS]
        applied = loading.apply(*entries)

    assert loading.there.state.rows == {
        "dim": [row(1), row(2, "b"), row(3)],
        "fact": [row(1), row(2), row(2, "b"), row(3)],
        "first": [row(1), row(2), row(3)],
        "copy": [row(2, "b"), row(3)],
        "model": [],
    }
    assert applied.rows == {
        "dim": Loaded(2, 1, 1),
        "fact": Loaded(2, 2, 0),
        "first": Loaded(2, 1, 0),
        "copy": Loaded(2, 2, 0, deleted=2),
    }
    assert loading.there.state.ledger == [("shop", 1), ("shop", 2)]
    assert {name: each.record for name, each in applied.evidence.items()} == {"fact": 4, LEDGER: 2}
    assert applied.evidence["fact"].columns == ["id", "value"]
    assert applied.evidence[LEDGER].columns == ["source", "batch", "loaded_at"]
    assert (applied.refused, applied.exports, applied.made, applied.failed) == ({}, [], {}, {})
    assert loading.there.attempts == [False, False]


def test_a_table_that_has_the_batch_does_not_get_it_again(loading: Loading) -> None:
    """Its history would be repeated."""
    applied = loading.apply(
        loading.entry("fact", [row(1)]), loading.entry("dim", [row(1)]), lacking=("dim",)
    )

    assert (loading.ids("fact"), loading.ids("dim")) == ([], [1])
    assert applied.rows.keys() == {"dim"}


def test_a_calendar_has_the_days_of_all_histories(loading: Loading) -> None:
    """A calendar that lacks a batch gets its days from histories that have it."""
    first, last = date(2024, 3, 1), date(2024, 3, 4)
    dated = loading.entry("fact", [row(1, day=first)], [row(2, day=last)])

    applied = loading.apply(dated, lacking=("fact", "days"))
    assert loading.there.state.days == {date(2024, 3, day) for day in (1, 2, 3, 4)}
    assert applied.rows["days"] == Loaded(4, 4, 0)

    loading.there.state.days.clear()
    applied = loading.apply(dated, lacking=("days",))
    assert (applied.rows, len(loading.there.state.days)) == ({"days": Loaded(4, 4, 0)}, 4)
    loading.there.state.days.clear()
    loading.apply(dated, loading.entry("dim", [row(1, day=first)]), lacking=("dim",))
    loading.apply(loading.entry("dim", [row(1, day=first)]), lacking=("days",))
    assert loading.there.state.days == set()


def test_deleted_rows_leave_only_a_table_that_equals_its_source(loading: Loading) -> None:
    """Elsewhere the row stays, and where there is a table for it the deletion is recorded."""
    loading.there.has_deletions = True
    loading.apply(loading.entry("copy", [row(1), row(2)]), loading.entry("dim", [row(1), row(2)]))

    applied = loading.apply(loading.entry("copy", deleted=[1]), loading.entry("dim", deleted=[1]))

    assert (loading.ids("copy"), loading.ids("dim")) == ([2], [1, 2])
    assert applied.rows == {"copy": Loaded(0, 0, 0, deleted=1)}
    assert loading.there.state.deleted == [("dim", "1", 2)]

    loading.apply(loading.entry("dim", [row(1), row(3)]))
    assert loading.there.state.deleted[1:] == [("dim", "1", None), ("dim", "3", None)]


def test_a_prepared_target_gets_rows_and_nothing_beside_them(loading: Loading) -> None:
    """It has no calendar, no ledger and no table of deleted rows."""
    loading.there = FakeWarehouse(WAYS, calendar=False, ledger=False)
    dated = loading.entry("fact", [row(1, day=date(2024, 3, 1))])
    loading.apply(dated, loading.entry("dim", [row(1)]))

    applied = loading.apply(dated, loading.entry("dim", deleted=[1]), lacking=("dim",))

    assert (applied.rows, set(applied.evidence)) == ({}, {"fact"})
    state = loading.there.state
    assert (state.days, state.ledger, state.deleted) == (set(), [], [])


def test_an_empty_snapshot_empties_the_table(loading: Loading) -> None:
    """No rows are all that the table is to have; a batch without the table changes nothing."""
    loading.apply(loading.entry("copy", [row(1)], snapshot=True))
    loading.apply()
    assert loading.ids("copy") == [1]

    applied = loading.apply(loading.entry("copy", snapshot=True))

    assert (loading.ids("copy"), applied.rows) == ([], {"copy": Loaded(0, 0, 0, deleted=1)})

    loading.apply(loading.entry("copy", [row(1)], snapshot=True))
    loading.there.refused = {2: "too long"}
    loading.apply(loading.entry("copy", snapshot=True), loading.entry("dim", [row(2)]))
    assert (loading.ids("copy"), loading.aside("dim")) == ([], [(2, 5, "too long")])


@pytest.mark.parametrize("name", ["dim", "fact", "first"])
def test_a_row_that_is_refused_stops_no_other(loading: Loading, name: str) -> None:
    """The batch is tried at once, then row by row; what is refused is kept with the reason."""
    loading.there.refused = {2: "too long"}

    applied = loading.apply(loading.entry(name, [row(1), row(2)], [row(3)]))

    assert (loading.ids(name), loading.aside(name)) == ([1, 3], [(2, 1, "too long")])
    assert applied.rows[name] == Loaded(3, 2, 0, refused=1)
    assert loading.there.attempts == [False, True]
    assert loading.there.state.ledger == [("shop", 1)]
    [entry] = applied.refused[name]
    assert entry.reasons == {"too long": 1}
    assert ("fact" in applied.evidence) == (name == "fact")


def test_refused_rows_of_a_replaced_table_are_found_in_their_parts(loading: Loading) -> None:
    """Places are counted through all parts, and each reason stays with its row."""
    loading.apply(loading.entry("copy", [row(7)], snapshot=True))
    loading.there.refused = {2: "two", 3: "three", 6: "six"}

    loading.apply(
        loading.entry("copy", [row(1), row(2)], [row(3), row(4)], [row(5), row(6)], snapshot=True)
    )

    assert loading.ids("copy") == [1, 4, 5]
    assert loading.before.rows["copy"] == Loaded(6, 3, 0, refused=3)
    assert loading.aside("copy") == [(2, 2, "two"), (3, 2, "three"), (6, 2, "six")]


@pytest.mark.parametrize("tables", [{"files": [5]}, {"deleted": [5]}, {"snapshot": True}])
def test_a_newer_batch_ends_what_was_refused(loading: Loading, tables: dict[str, Any]) -> None:
    """A refused row that comes again, is deleted, or is in no newer snapshot is not tried."""
    loading.there.refused = {4: "no", 5: "no"}
    loading.apply(loading.entry("dim", [row(4), row(5)]))
    loading.there.refused = {4: "no"}

    files = [[row(number) for number in tables.pop("files")]] if "files" in tables else []
    loading.apply(loading.entry("dim", *files, **tables))

    assert loading.aside("dim") == ([] if tables.get("snapshot") else [(4, 1, "no")])


def test_refused_rows_of_a_table_that_has_the_batch_stay(loading: Loading) -> None:
    """A batch ends what was refused only in the tables that get it."""
    loading.there.refused = {5: "no"}
    loading.apply(loading.entry("dim", [row(5)]))
    loading.there.refused = {}
    loading.apply(loading.entry("dim", [row(5, "b")]), lacking=("fact",))

    assert loading.aside("dim") == [(5, 1, "no")]


def test_rows_that_are_accepted_now_go_in(loading: Loading) -> None:
    """A row is tried again as it came; one with the same reason is not written again."""
    loading.there.refused = {1: "early", 2: "late"}
    loading.apply(
        loading.entry("fact", [row(1, day=date(2024, 3, 1)), row(2, day=date(2024, 3, 2))])
    )
    first = loading.before.refused["fact"]
    assert loading.there.state.days == {date(2024, 3, 1), date(2024, 3, 2)}

    assert loading.retry().refused["fact"] == first
    assert loading.before.rows == {"fact": Loaded(2, 0, 0, refused=2)}

    del loading.there.refused[1]
    applied = loading.retry()
    assert (loading.ids("fact"), loading.aside("fact")) == ([1], [(2, 1, "late")])
    assert applied.rows["fact"] == Loaded(2, 1, 0, refused=1)
    assert applied.evidence["fact"].columns == ["id", "value", "day"]

    loading.there.refused = {2: "other"}
    assert loading.retry().refused["fact"] != first
    assert loading.aside("fact") == [(2, 1, "other")]
    loading.there.refused = {}
    assert loading.retry().refused == {}
    assert loading.ids("fact") == [1, 2]


FILLED = [[row(1), row(2)], [row(1, "b"), row(1, "c")], [row(2)]]


def test_a_history_that_is_filled_gets_every_state(loading: Loading) -> None:
    """All states of a key, in the order in which they were true, in a table that had none."""
    loading.apply(loading.entry("fact", *FILLED, filled=True))

    states = [row(1), row(2), row(1, "b"), row(1, "c")]
    assert (loading.there.state.rows["fact"], loading.there.appended) == (states, "states")


def test_a_history_that_had_rows_gets_the_newest_states(loading: Loading) -> None:
    """Which states it has is not known, so none but the last of each key may be added."""
    loading.apply(loading.entry("fact", [row(1, "b"), row(2)]))
    loading.apply(loading.entry("fact", *FILLED, filled=True))

    assert loading.there.state.rows["fact"] == [row(1, "b"), row(2), row(1, "c")]
    assert loading.there.appended == "newest"


def test_a_sequence_continues_a_history_that_is_as_it_was_left(loading: Loading) -> None:
    """Its newest record is the one after the batch before: it can have none of the states."""
    loading.apply(loading.entry("fact", [row(1)]))
    loading.apply(loading.entry("fact", [row(1, "b"), row(1, "c")], sequence=True))
    assert (loading.ids("fact"), loading.there.appended) == ([1, 1, 1], "states")

    loading.there.state.rows["fact"].append(row(1, "d"))  # of a loader that died
    loading.apply(loading.entry("fact", [row(1, "d"), row(1, "e")], sequence=True))
    assert loading.there.appended == "newest"
    loading.there.state.rows["fact"].append(row(2))  # of another
    loading.apply(loading.entry("fact", [row(1, "f")]))
    assert loading.there.appended == "rows"


def test_a_sequence_leaves_the_newest_values(loading: Loading) -> None:
    """In a table that has no history, whether its key is there already or not."""
    loading.apply(loading.entry("dim", [row(1)]))
    loading.apply(loading.entry("dim", [row(1, "b"), row(2)], [row(1, "c")], sequence=True))

    assert loading.there.state.rows["dim"] == [row(1, "c"), row(2)]
    assert loading.there.appended == ""


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        ("fact", {"sequence": True}, ["a", "b", "c"]),
        ("dim", {"sequence": True}, ["c"]),
        ("dim", {"filled": True}, ["c"]),
        ("first", {}, ["a"]),
    ],
)
def test_states_of_a_key_are_tried_one_after_the_other(
    loading: Loading, name: str, options: Any, values: list[str]
) -> None:
    """Beside a refused row too each table gets the states that it would have got."""
    loading.there.refused = {9: "no"}
    parts = [row(1), row(9)], [row(1, "b"), row(1, "c")]

    loading.apply(loading.entry(name, *parts, **options))

    assert [each["value"] for each in loading.there.state.rows[name]] == values
    assert loading.aside(name) == [(9, 1, "no")]


@pytest.mark.parametrize("option", [{"sequence": True}, {"filled": True}])
def test_only_the_newest_refused_state_is_kept(loading: Loading, option: Any) -> None:
    """An earlier state of a key that is refused is ended by the next one."""
    loading.there.refused = {9: "no"}
    states = [row(9), row(8)], [row(9, "b"), row(9, "c")]
    loading.apply(loading.entry("fact", *states, **option))

    assert loading.aside("fact") == [(9, 1, "no")]
    loading.there.refused = {}
    loading.retry()
    assert loading.there.state.rows["fact"] == [row(8), row(9, "c")]


def test_models_are_run_and_tables_exported_with_their_batch(loading: Loading) -> None:
    """A model that is due is run, and what has changed is written as a file."""
    dim = latest(Table("dim", key="id", columns={"id": Integer()}))
    model = Model("model", [dim], "SELECT 1 AS id", {"id": Integer()}, key="id")
    loading.there.models = {"model": table("model", "latest")}
    loading.derived = Derived({"model": Select(model, Path(), {})}, frozenset({"dim", "model"}))

    applied = loading.apply(loading.entry("dim", [row(1)]), models=("model",))
    assert (loading.ids("model"), applied.rows["model"]) == ([1], Loaded(1, 1, 0))
    assert applied.exports == ["exports/dim", "exports/model"]

    assert loading.apply().exports == []


def test_models_are_run_when_a_refused_row_of_their_tables_goes_in(loading: Loading) -> None:
    """Inserted or updated; a row that is refused again, or one of another table, changes none."""
    dim = latest(Table("dim", key="id", columns={"id": Integer()}))
    model = Model("model", [dim], "SELECT 1 AS id", {"id": Integer()}, key="id")
    loading.there.models = {"model": table("model", "latest")}
    loading.derived = Derived({"model": Select(model, Path(), {})}, frozenset({"dim", "model"}))
    loading.apply(loading.entry("dim", [row(1)]))

    for rows in ([row(2)], [row(1, "b")]):
        loading.there.refused = {each["id"]: "no" for each in rows}
        loading.apply(loading.entry("dim", rows))
        assert loading.retry().exports == []
        loading.there.refused = {}
        assert loading.retry().exports == ["exports/dim", "exports/model"]
    assert loading.ids("model") == [2, 3]

    loading.there.refused = {7: "no"}
    loading.apply(loading.entry("first", [row(7)]))
    loading.there.refused = {}
    assert (loading.retry().rows["first"].inserted, loading.ids("model")) == (1, [2, 3])
