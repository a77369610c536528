"""Iceberg tables stay equal to what was loaded, whatever happens to a commit."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from random import Random

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException

from etl.targets import Way
from functions.common.errors import CorruptLogError, OutdatedBatchError
from functions.common.parquet import packed
from functions.lake import commits, upkeep
from functions.targets.refused import REASON, store, with_batch
from tests.lake.scene import Entry, Lake, Row, Scene

WAYS: dict[str, Way] = {
    "history": "history", "latest": "latest", "once": "once", "replace": "replace",
}  # fmt: skip
PRICES = [Decimal("0.00"), Decimal("1.50")]
FAULTS = ["", "killed before", "killed after", "answer lost and repeated", "two at once"]
ONE, TWO = (1, "a", PRICES[1]), (2, "b", PRICES[0])


@pytest.fixture
def scene() -> Scene:
    return Scene(WAYS)


@pytest.fixture
def lake(scene: Scene) -> Lake:
    return Lake(scene)


class Warehouse:
    """What a warehouse makes of the same batches, row by row."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in WAYS}

    def load(self, entries: dict[str, Entry]) -> None:
        for name, entry in entries.items():
            if entry.snapshot:
                self.rows[name] = []
            arriving = [row for rows in entry.objects for row in rows]
            if entry.filled and name == "history" and self.rows[name]:
                arriving = list({row[0]: row for row in arriving}.values())
            for row in arriving:
                self.arrive(name, row)
            if name == "replace":
                self.rows[name] = [each for each in self.rows[name] if each[0] not in entry.gone]

    def arrive(self, name: str, row: Row) -> None:
        rows = self.rows[name]
        of_key = [each for each in rows if each[0] == row[0]]
        match WAYS[name]:
            case "history" if not of_key or of_key[-1] != row:
                rows.append(row)
            case "once" if not of_key:
                rows.append(row)
            case "latest" | "replace":
                self.rows[name] = [*(each for each in rows if each[0] != row[0]), row]

    def sorted(self, name: str) -> list[Row]:
        return sorted(self.rows[name], key=repr)


def random_entry(random: Random, name: str) -> Entry:
    """Return rows of few keys with few values, so that states repeat."""
    objects: list[list[Row]] = [
        [
            (random.randrange(40), random.choice(["a", "b", None]), random.choice(PRICES))
            for _ in range(random.randrange(1, 8))
        ]
        for _ in range(random.randrange(3))
    ]
    gone = random.sample(range(40), random.randrange(4)) if name == "replace" else []
    is_snapshot = name == "replace" and random.random() < 0.1
    is_filled = name == "history" and random.random() < 0.2
    return Entry(objects, gone, is_snapshot, is_filled)


def test_tables_equal_the_warehouse_after_every_commit_of_a_storm(scene: Scene, lake: Lake) -> None:
    """Commits that are killed, lost, repeated or made twice at once neither lose nor add a row."""
    random, warehouse = Random(1), Warehouse()
    for number in range(10):
        for _ in range(random.randrange(1, 4)):
            entries = {name: random_entry(random, name) for name in WAYS}
            scene.load(entries)
            warehouse.load(entries)
        for place, name in enumerate(WAYS):
            commit_with(FAULTS[(number + place) % len(FAULTS)], lake, name)
            lake.keep_up(name)
            assert lake.rows(name) == warehouse.sorted(name)


def commit_with(fault: str, lake: Lake, name: str) -> None:
    """Keep a table up while a commit fails in some way."""
    if fault == "two at once":
        one, other = (commits.Making.of(lake.catalog, lake.feed(name)) for _ in range(2))
        one.commit()
        if one.draft:
            with pytest.raises(CommitFailedException):
                other.commit()
        return
    lake.scene.glue.faults = [fault]
    with suppress(KeyboardInterrupt):
        lake.keep_up(name)
    lake.scene.glue.faults.clear()


def test_objects_are_part_of_a_history_as_they_are(scene: Scene, lake: Lake) -> None:
    """Nothing is copied but rows of an object that repeats some; a commit names its batches."""
    scene.load({"history": Entry([[ONE, TWO]])})
    scene.load({"history": Entry([[(1, "b", PRICES[0])]])})
    lake.keep_up("history")
    files = [task.file.file_path for task in lake.table("history").scan().plan_files()]
    [snapshot] = lake.table("history").metadata.snapshots

    objects = [key for key in scene.s3.objects if key.startswith("history/")]
    assert sorted(files) == [f"s3://lake/{key}" for key in sorted(objects)]
    assert snapshot.summary["loaded.source"] == "shop"
    assert snapshot.summary["loaded.batches"] == "1-2"
    assert not [key for key in scene.s3.objects if "/data/" in key]


def test_a_row_that_the_warehouse_refuses_is_left_out_until_it_is_accepted(
    scene: Scene, lake: Lake
) -> None:
    """One that a newer row of its key has superseded never comes; of equal ones as many as were."""
    three = (3, "c", PRICES[0])
    for name in ("history", "latest"):
        scene.load(
            {name: Entry([[ONE, TWO, three]])},
            {name: [(scene.batch + 1, ONE), (scene.batch + 1, TWO)]},
        )
        lake.keep_up(name)
        assert lake.rows(name) == [three]

        newer = (2, "z", PRICES[0])
        first = scene.batch
        scene.load({name: Entry([[newer]])}, {name: [(first, ONE)]})
        scene.mark({name: []}, is_retry=True)
        lake.keep_up(name)
        assert lake.rows(name) == sorted([ONE, newer, three], key=repr)


@pytest.mark.parametrize("in_one_commit", [True, False])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_row_that_a_restored_warehouse_accepts_is_there(
    scene: Scene, lake: Lake, *, in_one_commit: bool, is_last: bool
) -> None:
    """Its batch comes again, the last one of the table or not, and a later one has its key."""

    def commit() -> None:
        if not in_one_commit:
            lake.keep_up("history")

    newer, three = (1, "newer", PRICES[0]), (3, "c", PRICES[0])
    scene.load({"history": Entry([[(4, "d", PRICES[0])]])})
    scene.load({"history": Entry([[ONE, TWO, three]])}, {"history": [(2, ONE), (2, TWO)]})
    if not is_last:
        scene.load({})
    commit()
    scene.mark({"history": []}, has=1)
    commit()
    scene.mark({"history": [(2, TWO)]}, has=2)
    commit()
    scene.load({"history": Entry([[newer, (2, "newer", PRICES[0])]])}, {"history": []})
    commit()
    scene.load({"history": Entry([[newer]])})  # as it is
    lake.keep_up("history")

    assert lake.rows("history") == [
        ONE, newer, (2, "newer", PRICES[0]), three, (4, "d", PRICES[0]),
    ]  # fmt: skip


def test_lines_that_the_warehouse_refuses_are_left_out_as_often_as_they_are() -> None:
    """Lines have no key, and equal ones may be refused in several objects of a snapshot."""
    scene = Scene({"replace": "replace"}, key=())
    lake = Lake(scene)
    first = scene.batch + 1
    both = {"replace": Entry([[ONE, TWO], [ONE, TWO]], snapshot=True)}
    scene.load(both, {"replace": [(first, TWO)]})
    scene.refused["replace"] *= 2  # objects
    scene.marker -= 1
    scene.mark()
    lake.keep_up("replace")
    assert lake.rows("replace") == [ONE, ONE]

    scene.mark({"replace": [(first, TWO)]}, is_retry=True)
    lake.keep_up("replace")
    assert lake.rows("replace") == [ONE, ONE, TWO]


def test_a_refused_row_with_nan_is_left_out_too(scene: Scene, lake: Lake) -> None:
    """MySQL refuses it, and in Python it does not equal itself."""
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), "rate": [float("nan"), 0.5]})
    refused = with_batch(rows.slice(0, 1), 1).append_column(REASON, [["NaN"]])
    scene.refused["latest"] = store(scene.bucket, "latest", 1, refused)
    put(scene, rows)
    lake.keep_up("latest")

    assert lake.table("latest").scan().to_arrow().to_pydict() == {"id": [2], "rate": [0.5]}


def test_many_batches_leave_a_bounded_number_of_snapshots_and_files(
    scene: Scene, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files are merged, snapshots expire, and nothing of the log itself is removed."""
    for name, value in {"SMALL_AT_MOST": 6, "SNAPSHOTS": 5, "SNAPSHOTS_MORE": 3}.items():
        monkeypatch.setattr(upkeep, name, value)
    warehouse, most = Warehouse(), {"files": 0, "snapshots": 0, "objects": 0}
    for number in range(36):
        entry = {"history": Entry([[(number % 7, str(number), PRICES[0])]])}
        scene.load(entry)
        warehouse.load(entry)
        scene.s3.now += timedelta(hours=12)
        monkeypatch.setattr(upkeep, "datetime", Clock(scene))
        lake.keep_up("history")
        lake.tidy("history")
        table = lake.table("history")
        found = {
            "files": len(list(table.scan().plan_files())),
            "snapshots": len(table.metadata.snapshots),
            "objects": sum(key.startswith("lake/") for key in scene.s3.objects),
        }
        most = {name: max(most[name], found[name]) for name in most}

    assert lake.rows("history") == warehouse.sorted("history")
    assert sum(key.startswith("history/") for key in scene.s3.objects) == 36
    assert most["files"] <= 6
    assert most["snapshots"] <= 9
    assert most["objects"] <= 100


class Clock:
    """The clock of what a scene has in memory."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def now(self, _: object) -> object:
        return self._scene.s3.now


def test_a_first_run_over_a_long_log_is_several_bounded_commits(
    scene: Scene, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And batches that say nothing about a table are no commits, but do not add up either."""
    monkeypatch.setattr(commits, "CHANGES_AT_MOST", 10)
    monkeypatch.setattr(commits, "IDLE_AT_MOST", 20)
    for number in range(25):
        scene.load({"once": Entry([[(number, "a", PRICES[0])]])})
    assert lake.keep_up("once").commits == 3
    assert len(lake.rows("once")) == 25

    for idle, expected in ((19, 0), (1, 1)):
        for _ in range(idle):
            scene.load({"latest": Entry([[ONE]])})
        assert lake.keep_up("once").commits == expected


def test_columns_are_added_and_widened_and_nothing_is_guessed(scene: Scene, lake: Lake) -> None:
    """A column of another kind stops its table, and says so; what was committed stays."""
    scene.load({"latest": Entry([[ONE]])})
    lake.keep_up("latest")
    wider = pa.table({"id": pa.array([2], pa.int64()), "name": ["b"], "note": ["new"]})
    put(scene, wider)
    narrow = pa.table({"id": pa.array([3], pa.int32()), "name": ["c"]})
    put(scene, narrow)
    lake.keep_up("latest")

    assert lake.table("latest").scan().to_arrow().sort_by("id").to_pydict() == {
        "id": [1, 2, 3], "name": ["a", "b", "c"],
        "price": [PRICES[1], None, None], "note": [None, "new", None],
    }  # fmt: skip
    put(scene, pa.table({"id": pa.array([4], pa.int64()), "name": pa.array([4], pa.int64())}))
    with pytest.raises(OutdatedBatchError, match="column name was string and is long"):
        lake.keep_up("latest")
    assert len(lake.rows("latest")) == 3


def put(scene: Scene, rows: pa.Table) -> None:
    """Load a batch with rows of any schema."""
    scene.load({"latest": Entry(tables=[rows])})


def test_a_dropped_table_is_made_again_and_an_emptied_log_is_reported(
    scene: Scene, lake: Lake
) -> None:
    """From the first batch on; a table that is ahead of its log is no guess."""
    scene.load({"history": Entry([[ONE]])})
    scene.load({"history": Entry([[TWO]])})
    lake.keep_up("history")
    scene.glue.tables.clear()
    lake.keep_up("history")
    assert lake.rows("history") == [ONE, TWO]

    markers = [{"Key": key} for key in scene.s3.objects if key.startswith("loaded/")]
    scene.s3.delete_objects(Delete={"Objects": markers})
    with pytest.raises(CorruptLogError, match="has marker 2 of shop, and the newest is 0"):
        lake.keep_up("history")


def test_a_log_that_began_again_is_reported_however_long_it_is(scene: Scene, lake: Lake) -> None:
    """Its markers have the numbers of earlier ones, and are recognised by their times."""
    feed = lake.feed("history")
    for row in (ONE, TWO):
        scene.load({"history": Entry([[row]])})
    commits.keep_up(lake.catalog, feed, lambda: True)
    scene.start_over()
    for number in range(4):
        scene.load({"history": Entry([[(number, "c", PRICES[0])]])})
        feed.markers.forget()  # as each run does
        if number:
            with pytest.raises(CorruptLogError, match="2 of shop, and that is another one now"):
                commits.keep_up(lake.catalog, feed, lambda: True)
    scene.glue.tables.clear()
    lake.keep_up("history")
    assert len(lake.rows("history")) == 4


def test_an_object_that_was_exchanged_is_not_committed(scene: Scene, lake: Lake) -> None:
    """Objects are read by the digests that their manifests name."""
    scene.load({"history": Entry([[ONE]])})
    [key] = [key for key in scene.s3.objects if key.startswith("history/")]
    scene.s3.objects[key] = packed(pa.table({"id": [9]}))
    with pytest.raises(CorruptLogError, match="is damaged"):
        lake.keep_up("history")
