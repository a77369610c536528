"""How a target agrees with the files that are in a bucket, and with those that are gone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    Csv,
    EventFeed,
    Events,
    Feed,
    Files,
    Integer,
    Pipeline,
    PostgresWarehouse,
    StampedSignature,
    Table,
    Text,
    latest,
    replace,
)
from etl.mapping import Mapping as TableMapping
from functions.common.accounts import FileAccount, FileRead, FileVersion, KnownFiles
from functions.common.keys import Key
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest, Source, StarTable
from functions.reconcile import files as reconcile_files
from functions.reconcile.comparison import Comparison
from functions.reconcile.files import compare_files
from functions.targets import Counted
from functions.transform.trial import as_cells
from tests.unit.agreeing import FakeDisagreements, Rows
from tests.unit.fake_bucket import FakeBucket
from tests.unit.test_reconcile_tables import numbers

AT = datetime(2026, 11, 1, tzinfo=UTC)
COLUMNS = {"id": Integer(), "name": Text(nullable=True)}
STAFF = Table("staff", key="id", columns=COLUMNS)
LINES = Table("lines", key=(), columns=COLUMNS)
FEEDS = (Feed(STAFF, "staff*.csv", Csv()), Feed(LINES, "lines*.csv", Csv()))
SOURCE = Files("shop", FEEDS)


def version(name: str) -> FileVersion:
    return FileVersion("drop", name, "1", "", 1, AT)


class Bucket:
    """The files in a bucket: their rows by name, and which of them came after the batch."""

    def __init__(self) -> None:
        self.files: dict[str, Rows] = {}
        self.later: list[str] = []
        self.unusable: dict[FileVersion, str] = {}

    def newer(self, table: Table) -> Sequence[FileVersion]:
        return [version(name) for name in self.later if name.startswith(table.name)]

    def has(self, file: FileVersion) -> bool:
        return file.key in self.files

    def rows(self, table: Table, file: FileVersion, *, was_accepted: bool) -> Iterator[pa.Table]:
        assert was_accepted == (file.key not in self.later)
        for row in self.files[file.key]:
            yield as_cells(table, [row], ())


class Target:
    """The rows of tables, at a batch."""

    def __init__(self) -> None:
        self.batch = 0
        self.tables: dict[str, Rows] = {}

    def has(self, mapping: TableMapping) -> bool:
        return mapping.target.id in self.tables

    @contextmanager
    def disagreements(
        self,
        mapping: TableMapping,
        rows: Iterable[pa.Table],
        unfit: Sequence[Key],
        *,
        last_of_key: bool,
    ) -> Iterator[FakeDisagreements]:
        assert last_of_key == (mapping.target.way != "replace")
        there = self.tables[mapping.target.id]
        yield FakeDisagreements(mapping.target.key, pa.concat_tables(list(rows)), unfit, there)

    def lines(self, mapping: TableMapping, rows: Iterable[pa.Table]) -> Counted:
        expected = pa.concat_tables(list(rows)).to_pylist()
        there = self.tables[mapping.target.id]
        missing = len([row for row in expected if row not in there])
        extra = len([row for row in there if row not in expected])
        return Counted(len(expected), len(there), missing=missing, extra=extra)


class Scene:
    """A bucket with files, the lake that they were read into, and a target."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs = Logs.of(FakeBucket(), FakeBucket(), "shop")
        self.bucket, self.target = Bucket(), Target()
        self.source: Any = SOURCE
        listable = SimpleNamespace(current=lambda *_: self.bucket)
        monkeypatch.setattr(reconcile_files, "listable", lambda _: listable)

    def read(self, *names: str, refused: Sequence[str] = (), replay_of: int | None = None) -> None:
        """Put files into the next batch, which the target then has."""
        self.target.batch += 1
        source = Source("1", 1, "drop", AT)
        known, batch = KnownFiles(since=1), self.target.batch
        reads = [FileRead(name[:5], version(name), [], 0, []) for name in names]
        assert self.logs.ingested.claim(
            IngestionManifest(
                batch, AT, "run", source, {}, {}, None, None, {}, replay_of, files=reads,
                known=known,
            )
        )  # fmt: skip
        accounts = [
            FileAccount(name[:5], version(name), 0, 0, 0, None, "no" if name in refused else None)
            for name in names
        ]
        tables: dict[str, StarTable] = {}
        assert self.logs.processed.claim(
            ProcessedManifest(batch, AT, "run", source, tables, {}, {}, {}, files=accounts)
        )

    def compared(self, table: Table = STAFF, way: Any = latest) -> Comparison:
        warehouse = PostgresWarehouse("warehouse", (way(table),))
        pipeline = Pipeline(sources=[SOURCE], targets=[warehouse])
        target: Any = self.target
        found = compare_files(pipeline, self.source, self.logs, target)
        return found[table.name]


def person(number: int, name: str = "Ann") -> Mapping[str, Any]:
    return {"id": number, "name": name}


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two files, read in two batches; the later one has the newer name of person 2."""
    scene = Scene(monkeypatch)
    scene.bucket.files = {
        "staff1.csv": [person(1), person(2)],
        "staff2.csv": [person(2, "Bob"), person(3)],
    }
    scene.read("staff1.csv")
    scene.read("staff2.csv")
    scene.target.tables = {"staff": [person(1), person(2, "Bob"), person(3)]}
    return scene


def test_a_table_has_the_rows_of_all_files_the_later_ones_winning(scene: Scene) -> None:
    """Files count in the order in which they were read."""
    assert scene.compared() == Comparison(source=3, warehouse=3)

    scene.target.tables["staff"] = [person(1), person(2), person(4)]
    found = scene.compared()
    assert numbers(found) == {"missing": 1, "different": 1, "extra": 1}
    assert found.note == "no repair removes extra rows: files say nothing of them"


def test_a_file_that_is_read_again_counts_at_its_last_place(scene: Scene) -> None:
    """Except in a replay, whose rows change nothing that came in between."""
    scene.read("staff1.csv", replay_of=1)
    assert scene.compared().agrees

    scene.read("staff1.csv")
    assert numbers(scene.compared()) == {"different": 1}


def test_a_file_that_was_refused_whole_has_no_rows(scene: Scene) -> None:
    """Once it is accepted in a later batch it has the place of that one."""
    scene.bucket.files["staff0.csv"] = [person(2, "Carl")]
    scene.read("staff0.csv", refused=["staff0.csv"])
    assert scene.compared().agrees

    scene.read("staff0.csv")
    assert numbers(scene.compared()) == {"different": 1}


def test_a_file_after_the_batch_is_pending(scene: Scene) -> None:
    """Its rows are on their way; the note names it."""
    scene.bucket.files["staff3.csv"] = [person(1, "Dora"), person(4)]
    scene.bucket.later = ["staff3.csv"]

    found = scene.compared()

    assert (numbers(found), found.agrees) == ({"pending": 2}, True)
    assert found.note == "after batch 2 came staff3.csv"
    scene.target.tables["staff"] = []
    assert numbers(scene.compared()) == {"missing": 2, "pending": 2}


def test_rows_of_a_file_that_is_gone_are_deleted_and_not_extra(scene: Scene) -> None:
    """Nobody can say any more what it had: rows in the target only are no difference."""
    del scene.bucket.files["staff2.csv"]

    found = scene.compared()

    # Person 2 may have been in the file that is gone, and person 3 is nowhere else.
    assert (numbers(found), found.agrees) == ({"deleted": 2}, True)
    assert found.note == "not in the bucket any more: staff2.csv"
    scene.target.tables["staff"] = [person(1, "Eve")]
    assert numbers(scene.compared()) == {"deleted": 2}


def test_rows_after_a_file_that_is_gone_are_certain(scene: Scene) -> None:
    """A key that a later file has is compared, whatever the file that is gone had."""
    del scene.bucket.files["staff1.csv"]
    scene.target.tables["staff"] = [person(1), person(2, "Other"), person(3)]

    assert numbers(scene.compared()) == {"different": 1, "deleted": 1}


def test_a_gone_file_between_others_makes_only_earlier_rows_doubtful(scene: Scene) -> None:
    """What is before it may have changed in it, unless it comes again after it."""
    scene.bucket.files["staff0.csv"] = [person(1, "Newest"), person(9)]
    scene.read("staff0.csv")
    del scene.bucket.files["staff2.csv"]
    scene.target.tables["staff"] = [person(1), person(2, "Other"), person(9, "Other")]

    found = scene.compared()

    assert numbers(found) == {"different": 2, "deleted": 1}
    assert found.examples["different"] == [1, 9]


def test_a_replaced_table_equals_its_newest_file(scene: Scene) -> None:
    """Rows of earlier files are too many, and a newer file replaces all of them."""
    scene.target.tables["staff"] = [person(1), person(2, "Bob"), person(3)]
    found = scene.compared(way=replace)
    assert (numbers(found), found.note) == ({"extra": 1}, None)

    scene.bucket.files["staff3.csv"] = [person(4)]
    scene.bucket.later = ["staff3.csv"]
    assert numbers(scene.compared(way=replace)) == {"pending": 4}

    scene.bucket.later = []
    del scene.bucket.files["staff3.csv"], scene.bucket.files["staff2.csv"]
    assert numbers(scene.compared(way=replace)) == {"deleted": 3}


def test_rows_that_are_refused_are_not_expected(scene: Scene) -> None:
    """They are counted apart, those of files that were read alone."""
    wrong = {"id": "x", "name": "Ann"}
    scene.bucket.files["staff1.csv"] = [wrong, person(1), wrong]
    scene.bucket.files["staff3.csv"] = [wrong]
    scene.bucket.later = ["staff3.csv"]

    found = scene.compared()

    assert (numbers(found), found.agrees) == ({"quarantined": 2}, True)
    assert found.note is not None
    assert found.note.endswith("refused: 2 (errors/ has them: correct the file)")


def test_a_file_that_cannot_be_read_to_its_end_is_not_compared(scene: Scene) -> None:
    """Rows that were not read would look like extra ones."""
    scene.bucket.unusable[version("staff1.csv")] = "it was changed"

    found = scene.compared()

    assert found == Comparison(error="staff1.csv cannot be compared: it was changed")


def test_lines_without_a_key_are_counted(scene: Scene) -> None:
    """Of such a table only the newest file counts; one that is gone explains what is too much."""
    scene.bucket.files["lines1.csv"] = [person(1), person(2)]
    scene.read("lines1.csv")
    scene.target.tables["lines"] = [person(2), person(3), person(4)]
    assert numbers(scene.compared(LINES, replace)) == {"missing": 1, "extra": 2}

    del scene.bucket.files["lines1.csv"]
    assert numbers(scene.compared(LINES, replace)) == {"deleted": 3}

    scene.bucket.files["lines2.csv"] = [person(2)]
    scene.bucket.later = ["lines2.csv"]
    assert numbers(scene.compared(LINES, replace)) == {"pending": 2}


def test_an_empty_target_waits_for_its_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note says what fills it, and names no file."""
    scene = Scene(monkeypatch)
    scene.bucket.files = {f"staff{number}.csv": [person(number)] for number in range(5)}
    scene.bucket.later = list(scene.bucket.files)
    scene.target.tables["staff"] = []

    found = scene.compared()
    assert (numbers(found), found.note) == (
        {"pending": 5},
        "no batch is in this warehouse yet: load fills it",
    )

    scene.target.batch = 0
    scene.read("staff9.csv", refused=["staff9.csv"])
    named = "staff0.csv, staff1.csv, staff2.csv and 2 more"
    assert scene.compared().note == f"after batch 1 came {named}"
    scene.bucket.later = scene.bucket.later[:3]
    assert scene.compared().note == "after batch 1 came staff0.csv, staff1.csv, staff2.csv"


def test_of_events_the_note_says_what_can_be_done(scene: Scene) -> None:
    """Nobody can read an event again: its batch can be replayed."""
    fields = {name: name for name in COLUMNS}
    feed = EventFeed(STAFF, ("staff.*",), fields)
    scene.source = Events("shop", StampedSignature(), (feed,))
    scene.target.tables["staff"] = [person(1), person(2, "Bob"), person(8)]

    assert scene.compared().note == (
        "no repair removes extra rows: events say nothing of them; no repair reads events again:"
        " replay the batches of those that are missing"
    )
    scene.bucket.files["staff1.csv"] = [{"id": "x"}, person(1), person(2)]
    note = scene.compared().note
    assert note is not None
    assert note.endswith("refused: 1 (errors/ has them)")

    scene.target.tables["staff"] = [person(number) for number in range(1, 9)]
    assert scene.compared().note == (
        "no repair removes extra rows: events say nothing of them; refused: 1 (errors/ has them)"
    )
