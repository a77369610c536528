"""What a warehouse is found to have, whatever became of it since its newest marker."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from functions.common.loaded import Evidence, RefusedRows, TableFile
from functions.common.objects import DataFile
from functions.targets import Standing
from functions.targets.own_tables import DELETIONS, LEDGER
from functions.targets.standing import newest_marked
from tests.unit.marked_warehouse import NOW, RESTARTED, TRIED, Place, table

REFUSED = {
    "dim": [RefusedRows(DataFile("refused/dim/2024-11-16/0000000001-1.parquet", 1, "0a" * 32), {})]
}


@pytest.fixture
def place() -> Place:
    """A warehouse that was left with five batches."""
    place = Place()
    place.load(1, 2, 3, 4, 5)
    return place


def test_a_warehouse_that_is_as_it_was_left_is_not_looked_through(place: Place) -> None:
    """All of it stands as its newest marker says."""
    place.refused = REFUSED
    place.load(6)

    found = place.standing()

    assert found == Standing(
        {"fact": 6, "dim": 6},
        {"fact": Evidence(6, ["id"], f"{6:064x}")},
        1,
        is_recorded=True,
        refused=REFUSED,
        tried_at=TRIED,
        definitions="definitions",
        settled=6,
    )
    assert (found.loaded, place.loaded(), newest_marked(place.markers)) == (6, 6, 6)


def test_a_warehouse_without_a_marker_has_nothing() -> None:
    """Whatever rows it has, all batches are applied to it."""
    place = Place()

    assert place.standing() == Standing({"fact": 0, "dim": 0}, {}, 1, is_recorded=True)
    assert (place.loaded(), newest_marked(place.markers)) == (0, 0)


def test_a_restart_that_lost_nothing_repeats_nothing(place: Place) -> None:
    """The newest record proves the history, and the history the other tables."""
    place.restart()

    found = place.standing()

    assert (found.has, found.since, found.is_recorded) == ({"fact": 5, "dim": 5}, 1, False)
    assert (found.evidence["fact"].record, found.settled) == (5, 0)


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_warehouse_that_was_restored_has_what_its_history_shows(place: Place, kept: int) -> None:
    """Batches after the copy are applied again, and none before it; the loss is remembered."""
    place.restart()
    place.lose(*range(kept + 1, 6))

    found = place.standing()

    assert (found.has, found.since) == ({"fact": kept, "dim": kept}, 6)
    assert found.evidence["fact"] == Evidence(kept, ["id"], f"{kept:064x}")
    assert place.loaded() == kept


def test_an_older_copy_that_went_on_is_found_in_its_own_stretch(place: Place) -> None:
    """Records after a loss have the numbers of lost ones: markers before it prove them no more."""
    place.restart()
    place.lose(3, 4, 5)
    place.since = 6
    place.load(3, 4)
    place.identity = structs.replace(place.identity, started_at=RESTARTED + timedelta(hours=1))

    assert place.standing().has == {"fact": 4, "dim": 4}
    place.lose(3, 4)
    assert place.standing().has == {"fact": 2, "dim": 2}


@pytest.mark.parametrize("removed", [[5], [4, 5], [3, 4, 5], [2, 3, 4, 5], [3, 4]])
def test_records_that_were_changed_by_hand_are_stepped_over(
    place: Place, removed: list[int]
) -> None:
    """The newest batch whose record is there counts, however many after it are not."""
    place.restart()
    for record in removed:
        place.records["fact"][record] = "changed"

    left = max(set(range(1, 6)) - set(removed))
    assert place.standing().has["fact"] == left


def test_a_history_of_which_nothing_is_left_has_nothing(place: Place) -> None:
    """No record that any marker knows: all batches come again."""
    place.restart()
    place.records["fact"] = {9: "somebody's"}

    assert place.standing().has == {"fact": 0, "dim": 0}


def test_a_history_whose_only_record_was_changed_has_nothing() -> None:
    """There is no marker before the first."""
    place = Place()
    place.load(1)
    place.restart()
    place.records["fact"][1] = "changed"

    assert place.standing().has == {"fact": 0, "dim": 0}


def test_a_table_has_what_the_best_of_the_histories_shows() -> None:
    """A record that was changed by hand in one of them costs the others no batch."""
    place = Place()
    place.tables["orders"] = table("orders", "history")
    place.files["orders"] = TableFile(30, 30)
    place.records["orders"] = {}
    place.load(1, 2, 3)
    place.restart()
    place.records["orders"][3] = "changed"

    assert place.standing().has == {"fact": 3, "orders": 2, "dim": 3}


def test_a_record_that_was_changed_on_a_running_server_does_not_change_what_is_loaded(
    place: Place,
) -> None:
    """Reconcile shows it: load applies that batch again, and nobody takes it for a restore."""
    place.records["fact"][5] = "changed"

    assert place.loaded() == 5
    assert place.standing().has["fact"] == 4


@pytest.mark.parametrize(
    ("change", "has"),
    [
        ({"empty": {"dim"}}, {"fact": 5, "dim": 0}),
        ({"files": {"fact": TableFile(10, 10), "dim": TableFile(21, 21)}}, {"fact": 5, "dim": 0}),
        ({"files": {"fact": TableFile(10, 10), "dim": TableFile(20, 21)}}, {"fact": 5, "dim": 5}),
    ],
    ids=["empty", "created again", "rewritten"],
)
def test_a_table_that_was_lost_gets_all_batches_again(
    place: Place, change: dict[str, Any], has: dict[str, int]
) -> None:
    """The others get none again."""
    for name, value in change.items():
        setattr(place, name, value)
    if "empty" in change:
        place.restart()

    assert place.standing().has == has


def test_a_copy_on_another_server_has_what_it_shows(place: Place) -> None:
    """All tables of a copy are new ones; their rows are proof enough."""
    place.identity = structs.replace(place.identity, system_identifier="2")
    place.files = {"fact": TableFile(110, 1), "dim": TableFile(120, 1)}

    assert place.standing().has == {"fact": 5, "dim": 5}


@pytest.mark.parametrize(("server", "facts"), [("2", 10), ("1", 110)], ids=["server", "dump"])
def test_a_copy_is_known_by_its_server_or_by_all_of_its_tables(
    place: Place, server: str, facts: int
) -> None:
    """Only where others stayed was one of them created again."""
    place.identity = structs.replace(place.identity, system_identifier=server)
    place.files = {"fact": TableFile(facts, 1), "dim": TableFile(120, 1)}

    assert place.standing().has == {"fact": 5, "dim": 5}


def test_a_table_that_is_gone_says_nothing_of_the_others(place: Place) -> None:
    """It was optional, and dropped while the server was down."""
    place.tables["gone"] = table("gone")
    place.files["gone"] = TableFile(30, 30)
    place.load(6)
    del place.tables["gone"], place.files["gone"]
    place.restart()

    assert place.standing().has == {"fact": 6, "dim": 6}


def test_a_warehouse_without_tables_has_no_batch(place: Place) -> None:
    """All of them are optional, and were left out."""
    place.tables.clear()
    place.records.clear()

    assert place.loaded() == 0


def test_a_table_that_is_new_in_the_declaration_has_nothing(place: Place) -> None:
    """It is filled while the others stay as they are."""
    place.tables["new"] = table("new")
    place.tables["facts too"] = table("facts too", "history")
    place.files |= {"new": TableFile(30, 30), "facts too": TableFile(40, 40)}

    found = place.standing()

    assert found.has == {"fact": 5, "dim": 5, "new": 0, "facts too": 0}
    assert (found.is_recorded, found.since, found.loaded) == (True, 1, 0)
    assert place.loaded() == 0


def test_a_history_that_is_left_out_ends_a_stretch(place: Place) -> None:
    """Markers without it have no record of it: what comes after is searched apart."""
    del place.tables["fact"]
    place.records.clear()

    found = place.standing()

    assert (found.has, found.since, found.is_recorded) == ({"dim": 5}, 6, True)


def test_a_history_that_is_declared_again_has_what_it_had(place: Place) -> None:
    """Markers from before it was left out prove it, while the others stay as they are."""
    fact, records = place.tables.pop("fact"), place.records.copy()
    place.records.clear()
    place.since = 6
    place.load(6, 7)
    place.tables["fact"], place.records = fact, records

    assert place.standing().has == {"dim": 7, "fact": 5}


def test_servers_that_round_their_start_are_the_same(place: Place) -> None:
    """A start that differs by no more than the server's own precision is one start."""
    place.identity = structs.replace(place.identity, started_at=NOW - timedelta(seconds=1))
    assert not place.standing().is_recorded
    place.start_precision = timedelta(seconds=1)
    assert place.standing().is_recorded


def test_the_ledger_proves_a_warehouse_without_histories() -> None:
    """It has a record for each batch, so nothing is applied twice after a restore."""
    place = Place()
    del place.tables["fact"]
    place.options["ledger"] = table(LEDGER, "history")
    place.records = {LEDGER: {}}
    place.load(1, 2, 3)
    place.restart()
    del place.records[LEDGER][3]

    assert place.standing().has == {"dim": 2}


@pytest.mark.parametrize(("is_same", "deletions"), [(True, 5), (False, 0)])
def test_deletions_are_recorded_again_in_a_new_table(is_same: bool, deletions: int) -> None:
    """The table of deleted rows has what the warehouse has, unless it was created since."""
    place = Place()
    place.files[DELETIONS] = TableFile(50, 50)
    place.load(1, 2, 3, 4, 5)
    if not is_same:
        place.files = {**place.files, DELETIONS: TableFile(51, 51)}

    assert place.standing().deletions == deletions
    place.restart()
    assert place.standing().deletions == deletions


def test_models_are_apart_from_tables(place: Place) -> None:
    """What a model was run for says nothing of the batches that tables have."""
    place.options["models"] = {"model": table("model")}
    place.files["model"] = TableFile(60, 60)
    place.load(6, model=4)

    found = place.standing()
    assert (found.has, found.models, found.loaded) == ({"fact": 6, "dim": 6}, {"model": 4}, 6)
    assert (found.is_ahead, newest_marked(place.markers)) == (False, 6)

    place.restart()
    found = place.standing()
    assert (found.settled, found.is_ahead) == (6, True)
    place.empty = {"dim"}
    assert place.standing().is_ahead
    place.empty = {"fact", "dim"}
    found = place.standing()
    assert (found.settled, found.is_ahead) == (0, False)


def test_models_of_a_warehouse_with_a_ledger_are_not_ahead() -> None:
    """Its records say exactly which batches the tables have."""
    place = Place()
    place.options = {
        "ledger": table(LEDGER, "history"),
        "models": {"model": SimpleNamespace(way="latest")},
    }
    place.records[LEDGER] = {}
    place.files["model"] = TableFile(60, 60)
    place.load(1)
    place.restart()

    assert not place.standing().is_ahead
