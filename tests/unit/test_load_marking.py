"""Which batches load applies to which tables, and what its markers say afterwards."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError, PipelineCodeError
from functions.common.loaded import Evidence, Loaded, RefusedRows, Warehouse
from functions.common.logs import MarkerLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.objects import DataFile
from functions.load import loading
from functions.load.loading import Step, load_pending
from functions.targets import Applied, Feed, Standing
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2024, 11, 16, 12, tzinfo=UTC)
FILE = DataFile("a/2024-11-16/0000000001-1.parquet", 1, "0a" * 32)
REFUSED = {"a": [RefusedRows(FILE, {"no": 1})]}
ALWAYS: Callable[[], bool] = lambda: True  # noqa: E731


class Clock(datetime):
    """A clock that stands still."""

    at = NOW

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.at


class FakeLoader:
    """A target in memory, in which a table `a` or a model `m` may refuse or fail."""

    identity = Warehouse("1", "warehouse", 1, "public", NOW, {})

    def __init__(self) -> None:
        self.standing = Standing({"a": 0, "b": 0}, {}, 1, is_recorded=True)
        self.models: dict[str, frozenset[str]] = {}
        self.applied: list[tuple[int, list[str], list[str]]] = []
        self.retried: list[int] = []
        self.result = Applied({"a": Loaded(1, 1, 0)}, {}, {})
        self.results: list[Applied] = []
        self.digest = "definitions"
        self.accepts = False
        self.holds_lock = True

    def concerns(self, manifest: ProcessedManifest, lacking: Collection[str]) -> bool:
        return any(manifest.brings(name) for name in lacking)

    def apply(
        self,
        manifest: ProcessedManifest,
        lacking: Collection[str],
        models: Collection[str],
        before: Applied,
    ) -> Applied:
        self.applied.append((manifest.batch, sorted(lacking), sorted(models)))
        return self.results.pop(0) if self.results else self.result

    def retry(self, manifest: ProcessedManifest, before: Applied) -> Applied:
        self.retried.append(manifest.batch)
        return Applied({}, before.evidence, {})

    def may_accept(self, applied: Applied) -> bool:
        return self.accepts

    def definitions(self) -> str:
        return self.digest

    def require_lock(self) -> None:
        if not self.holds_lock:
            raise CorruptLogError("another loader has the lock")


class Load:
    """The logs of a source, and the loader that its batches go to."""

    def __init__(self) -> None:
        self.bucket = FakeBucket()
        self.loader = FakeLoader()
        self.log = BatchLog(self.bucket, "shop", ProcessedManifest)
        self.markers = MarkerLog(self.bucket, "shop")

    def write(self, *names: str) -> None:
        """Write the next batch, with a row of each of some tables."""
        batch = self.log.newest() + 1
        tables = {"a": StarTable(0, []), "b": StarTable(0, [])}
        tables |= {name: StarTable(1, [FILE]) for name in names if name in tables}
        if "new" in names:
            tables["new"] = StarTable(0, [])
        source = Source("1", 1, "shop", NOW - timedelta(seconds=90))
        tables = {
            name: StarTable(each.rows, [named(name)] if each.files else [])
            for name, each in tables.items()
        }
        manifest = ProcessedManifest(batch, NOW, "run", source, tables, {}, {}, {})
        assert self.log.claim(manifest)

    def run(self, has_time: Callable[[], bool] = ALWAYS) -> list[Step]:
        loader: Any = self.loader
        return list(load_pending(loader, self.feed, has_time))

    @property
    def feed(self) -> Feed:
        tables = [Table(name, key="id", columns={"id": Integer()}) for name in ("a", "b", "new")]
        target = PostgresWarehouse("warehouse", tuple(map(latest, tables)))
        pipeline = Pipeline(sources=[Postgres("shop", tuple(tables))], targets=[target])
        return Feed(pipeline.mappings("shop"), self.log, self.markers)

    def stands(self, **changes: Any) -> None:
        self.loader.standing = replace(self.loader.standing, **changes)


def named(name: str) -> DataFile:
    return DataFile(f"{name}/2024-11-16/0000000001-1.parquet", 1, "0a" * 32)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(loading, "datetime", Clock)
    monkeypatch.setattr(Clock, "at", NOW)
    return Load()


def test_batches_go_in_in_order_and_each_is_marked(load: Load) -> None:
    """A marker says what every table has, and how old its rows were."""
    load.loader.result = Applied({"a": Loaded(1, 1, 0)}, {"a": Evidence(1, ["id"], "0a" * 32)}, {})
    load.write("a")
    load.write("b")

    steps = load.run()

    assert load.loader.applied == [(1, ["a", "b"], []), (2, ["a", "b"], [])]
    assert [step.progress for step in steps] == ["new", "new"]
    marker = load.markers.read(2)
    assert marker == steps[1].marker
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
