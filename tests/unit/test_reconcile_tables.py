"""How source and target agree, table by table: each difference is counted once, with its cause."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from functions.common.filling import Filling
from functions.common.manifests import IngestionManifest
from functions.common.parquet import PartWriter
from functions.reconcile import table as comparing
from functions.reconcile import tombstones
from functions.reconcile.comparison import Comparison
from functions.reconcile.notices import notice
from tests.aws.declared_lake import AT, customers, declared, dim_staff, everyone, orders, staff
from tests.unit.agreeing import Scene

ANN = "00000000-0000-0000-0000-00000000000a"
BOB = "00000000-0000-0000-0000-00000000000b"


def person(number: int, name: str = "Ann", boss: int | None = None) -> dict[str, Any]:
    return {"id": number, "name": name, "boss_id": boss}


@pytest.fixture
def scene() -> Scene:
    """Three people that source and target agree on, in batch 1."""
    scene = Scene(declared(everyone, dim_staff))
    people = [person(1), person(2), person(3)]
    scene.lake.ingest(staff=people)
    scene.lake.transform()
    scene.source.tables["staff"] = people
    scene.target.tables["everyone"] = people
    scene.target.batch = scene.target.latest = 1
    scene.had = {1: {"staff": [1, 2, 3]}}
    return scene


def numbers(found: Comparison) -> dict[str, int]:
    """Return the counts that are not 0, without those of all rows."""
    kinds = ("missing", "different", "extra", "pending", "deleted", "quarantined")
    return {kind: getattr(found, kind) for kind in kinds if getattr(found, kind)}


def test_equal_tables_agree(scene: Scene) -> None:
    """Nothing is reported of a table that equals its source but how many rows it has."""
    found = scene.compared(everyone)

    assert found == Comparison(source=3, warehouse=3)
    assert (found.agrees, scene.extra) == (True, {})


def test_a_table_of_which_rows_are_left_to_read_is_not_compared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are to come are neither an agreement nor missing; how many there are is said."""
    whole = IngestionManifest.capture
    filling = Filling(["2"], rows=2, of=3000)
    monkeypatch.setattr(
        IngestionManifest, "capture", lambda self, name: replace(whole(self, name), filling=filling)
    )
    scene.target.tables["everyone"] = [person(1), person(2)]

    found = scene.compared(everyone)

    why = "2 of about 3,000 rows are read: compare again when all are in the warehouse"
    assert found == Comparison(error=why)
    assert (found.agrees, scene.extra) == (False, {})


@pytest.mark.parametrize(
    ("here", "there", "kind", "warehouse"),
    [
        ([1, 2, 3, 4], [1, 2, 3], "missing", 3),
        ([1, 2], [1, 2, 9], "extra", 3),
        ([1, 2, -3], [1, 2, 3], "different", 3),
    ],
)
def test_a_difference_that_nothing_explains_is_no_agreement(
    scene: Scene, here: list[int], there: list[int], kind: str, warehouse: int
) -> None:
    """One row is enough, whether it is missing, other or too many; its key is shown."""
    scene.source.tables["staff"] = [person(abs(n), "Ann" if n > 0 else "Bob") for n in here]
    scene.target.tables["everyone"] = [person(number) for number in there]

    found = scene.compared(everyone)

    [key] = found.examples[kind]
    assert (numbers(found), found.agrees, found.note) == ({kind: 1}, False, None)
    assert (found.source, found.warehouse) == (len(here), warehouse)
    assert scene.extra == ({"staff": [key]} if kind == "extra" else {})


def test_what_changed_after_the_batch_is_pending(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, changed and deleted rows that are on their way; no list of deleted rows is read."""
    monkeypatch.delattr(comparing, "deleted_keys")
    scene.source.tables["staff"] = [person(1), person(2, "Bob"), person(4)]
    scene.source.changed["staff"] = [2, 4]

    found = scene.compared(everyone)

    assert (numbers(found), found.agrees, found.examples) == ({"pending": 3}, True, {})


@pytest.mark.parametrize(
    ("batches", "latest", "gone", "kind"),
    [
        ({2: [9]}, 1, 9, "pending"),  # batch 2 was being loaded when the snapshot was taken
        ({3: [9]}, 1, 9, "extra"),
        ({3: [9]}, 2, 9, "pending"),
        ({4: [9]}, 2, 9, "extra"),
    ],
)
def test_a_key_of_a_batch_that_the_target_may_hold_is_pending(
    scene: Scene, batches: dict[int, list[int]], latest: int, gone: int, kind: str
) -> None:
    """The target may show one batch more than the newest that was marked; no further one."""
    for _ in range(3):
        scene.lake.ingest()
    scene.had |= {number: {"staff": keys} for number, keys in batches.items()}
    scene.target.tables["everyone"] = [*scene.source.tables["staff"], person(gone)]
    scene.target.latest = latest

    assert numbers(scene.compared(everyone)) == {kind: 1}


def test_a_key_that_a_batch_deleted_is_deleted_and_not_extra(scene: Scene) -> None:
    """Rows of a history stay; a tombstone says that the source deleted them."""
    scene.lake.ingest(deleted={staff: [{"id": 3}]})
    scene.lake.transform()
    scene.source.tables["staff"] = [person(1), person(2)]
    scene.target.batch = scene.target.latest = 2
    scene.had = {2: {"staff": [1, 2]}}

    found = scene.compared(everyone)

    assert (numbers(found), found.agrees, scene.extra) == ({"deleted": 1}, True, {})
    assert (found.source, found.warehouse, found.examples) == (2, 3, {})


def test_a_tombstone_of_a_later_batch_explains_nothing(scene: Scene) -> None:
    """What the target cannot hold yet does not say why it has a row."""
    scene.lake.ingest()
    scene.lake.transform()
    scene.lake.ingest(deleted={staff: [{"id": 9}]})
    scene.lake.transform()
    scene.target.tables["everyone"] = [*scene.source.tables["staff"], person(9)]

    assert numbers(scene.compared(everyone)) == {"extra": 1}
    scene.target.latest = 3
    assert numbers(scene.compared(everyone)) == {"deleted": 1}


def test_a_row_that_came_back_and_is_lost_is_missing(scene: Scene) -> None:
    """That its key was deleted once explains a row too many, never one too few."""
    scene.lake.ingest(deleted={staff: [{"id": 3}]})
    scene.lake.ingest(staff=[person(3)])
    scene.lake.transform()
    scene.target.batch = scene.target.latest = 3
    scene.target.tables["everyone"] = [person(1), person(2), person(9)]

    assert numbers(scene.compared(everyone)) == {"missing": 1, "extra": 1}


def test_where_changes_are_not_known_everything_counts(scene: Scene) -> None:
    """After a restart of the source rows on their way look like lost ones: the note says so."""
    scene.source.tables["staff"] = [person(1), person(2, "Bob"), person(4)]
    scene.source.changed["staff"] = [1, 2, 4]
    scene.source.unknown.add("staff")

    found = scene.compared(everyone)

    assert numbers(found) == {"missing": 1, "different": 1, "extra": 1}
    assert found.note is not None
    assert found.note.startswith("what has changed since batch 1 is not known")
    scene.source.tables["staff"] = scene.target.tables["everyone"]
    assert scene.compared(everyone).note is None


def test_an_empty_target_waits_for_its_first_batch(scene: Scene) -> None:
    """Before anything was loaded all rows are missing, and the note says what fills it."""
    scene.target.batch = scene.target.latest = 0
    scene.target.tables.clear()
    scene.source.unknown.add("staff")

    found = scene.compared(everyone)

    assert numbers(found) == {"missing": 3}
    assert found.note == "no batch is in this warehouse yet: load fills it"

    scene.source.tables["staff"], scene.source.changed["staff"] = [], []
    assert scene.compared(everyone) == Comparison()


def test_a_table_that_cannot_be_read_is_not_compared(scene: Scene) -> None:
    """An error is no agreement, whatever the numbers."""
    scene.source.errors["staff"] = "staff: permission denied"

    found = scene.compared(everyone)

    assert (found, found.agrees) == (Comparison(error="staff: permission denied"), False)


def test_a_row_changes_with_the_row_that_joins_in(scene: Scene) -> None:
    """Who has a boss that was renamed or deleted since is pending, and nobody else."""
    scene.source.tables["staff"] = [person(1, "Eve"), person(2, boss=1), person(3)]
    scene.source.changed["staff"] = [1]
    scene.target.tables["dim_staff"] = [
        {"id": 1, "name": "Ann", "boss": None},
        {"id": 2, "name": "Ann", "boss": "Ann"},
        {"id": 3, "name": "Other", "boss": None},
    ]

    assert numbers(scene.compared(dim_staff)) == {"pending": 2, "different": 1}

    scene.source.tables["staff"] = [person(2, boss=1), person(3, boss=8)]
    scene.source.changed.clear()
    found = scene.compared(dim_staff)
    # 1 was there at batch 1, so both it and 2 are pending; 8 never was.
    assert numbers(found) == {"pending": 2, "different": 1, "quarantined": 1}


def test_a_repair_gets_each_key_once_and_not_too_many(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that two target tables have too many are looked for once in their table."""
    monkeypatch.setattr(comparing, "REPAIRED_AT_ONCE", 2)
    scene.target.tables["everyone"] = [*scene.source.tables["staff"], person(7), person(8)]
    scene.target.tables["dim_staff"] = [
        {"id": number, "name": "Ann", "boss": None} for number in (1, 2, 3, 6, 7, 8)
    ]

    assert scene.compared(everyone).note is None
    assert scene.extra == {"staff": [7, 8]}

    found = scene.compared(everyone, dim_staff)

    assert scene.extra == {"staff": [7, 8, 6]}
    assert found.note == "a repair takes 2 extra rows: repeat it"


@pytest.fixture
def waiting() -> Scene:
    """Order B waits for a customer, in the quarantine of batch 1; order A is in the target."""
    scene = Scene(declared(customers, orders))
    kept = [{"id": "A", "customer_id": ANN}, {"id": "B", "customer_id": BOB}]
    scene.lake.ingest(
        customer=[{"id": ANN, "name": "Ann"}], order=kept, missing={"Kunde%25": [BOB]}
    )
    scene.lake.transform()
    scene.source.tables = {"Kunde%25": [{"id": ANN, "name": "Ann"}], "order": kept}
    scene.target.tables = {"customers": [{"id": ANN, "name": "Ann"}], "orders": kept[:1]}
    scene.target.batch = scene.target.latest = 1
    return scene


def test_a_row_in_quarantine_is_missing_with_a_reason(waiting: Scene) -> None:
    """No repair helps it, so it is counted apart."""
    found = waiting.compared(customers, orders)

    assert numbers(found) == {"missing": 1, "quarantined": 1}
    assert found.note == "in quarantine: 1 (no repair helps: correct them in the source)"


def test_a_row_in_quarantine_whose_parent_has_come_is_pending(waiting: Scene) -> None:
    """The batch with the parent will release it."""
    waiting.source.tables["Kunde%25"] = [
        {"id": ANN, "name": "Ann"},
        {"id": BOB, "name": "Bob"},
    ]
    waiting.source.changed["Kunde%25"] = [BOB]

    found = waiting.compared(customers, orders)

    assert (numbers(found), found.agrees) == ({"pending": 1}, True)


def test_a_row_that_another_table_put_aside_is_missing(scene: Scene) -> None:
    """Only the quarantine of the very target table explains that it lacks a row."""
    people = [*scene.source.tables["staff"], person(4, boss=8)]
    scene.lake.ingest(staff=people[3:])
    scene.lake.transform()
    scene.source.tables["staff"] = people
    scene.target.batch = scene.target.latest = 2

    assert numbers(scene.compared(everyone)) == {"missing": 1}
    scene.source.tables["staff"] = [person(4, boss=8)]
    assert numbers(scene.compared(dim_staff)) == {"missing": 1, "quarantined": 1}


def test_a_row_that_no_target_row_can_be_made_of_is_quarantined(scene: Scene) -> None:
    """It is in the source and cannot be in the target: corrected there, it comes."""
    scene.source.tables["staff"] = [*scene.source.tables["staff"], person(4, None)]  # type: ignore[arg-type]

    found = scene.compared(everyone)

    assert numbers(found) == {"missing": 1, "quarantined": 1}
    assert (found.source, found.warehouse) == (4, 3)


def test_deletions_are_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many batches have deletions, none is left out; other names say nothing."""
    monkeypatch.setattr(tombstones, "PAGE", 2)
    scene = Scene(declared(everyone))
    for number in range(1, 8):
        scene.lake.ingest(deleted={staff: [{"id": number}]})
        scene.lake.transform()
    bucket = scene.logs.processed.bucket
    bucket.put_new("tombstones/everyone/2024-03-01/other.parquet", b"")
    for batch in (0, 5):
        stray = PartWriter(bucket, "tombstones/everyone", batch, AT.date())
        stray.write(pa.table({"id": [99]}))
        stray.close()

    found = tombstones.deleted_keys(scene.logs.processed, "everyone", 6)

    assert [key for rows in found for key in rows["id"].to_pylist()] == [1, 2, 3, 4, 5, 6]


def test_the_notice_has_a_line_for_each_table() -> None:
    """What a person reads each day: rows, and each kind of difference that there is."""
    tables: Mapping[str, Comparison] = {
        "two": Comparison(error="cannot be read"),
        "one": Comparison(
            warehouse=1200, missing=1, different=2, extra=3, pending=4, deleted=5, quarantined=6
        ),
        "three": Comparison(warehouse=1, note="compare again"),
    }

    of_deleted = "5 deleted in the source, 6 in quarantine"

    assert notice(tables).splitlines() == [
        f"one{1200:26,} rows, 1 missing, 2 different, 3 extra, 4 pending, {of_deleted}",
        "three                   1 rows (compare again)",
        "two                     cannot be read",
    ]
