"""Several sources: each has its log, its markers and its share of the time."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.batchlog import BatchLog
from functions.common.loaded import Loaded, Warehouse
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.load import handler as load_handler
from functions.load.handler import Lake
from functions.targets import Applied, Feed, Place, Standing
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2024, 11, 16, tzinfo=UTC)
MINUTES = 60_000


class FakeLoader:
    """A target in memory: a batch takes `minutes`, and one that is not there yet fails."""

    identity = Warehouse("1", "warehouse", 1, "public", NOW, {})

    def __init__(self, clock: "Clock", table: str, *, fails: bool) -> None:
        self.standing = Standing({table: 0}, {}, 1, is_recorded=True)
        self.models: dict[str, frozenset[str]] = {}
        self._clock = clock
        self._table = table
        self._fails = fails

    def apply(
        self,
        manifest: ProcessedManifest,
        lacking: Collection[str],
        models: Collection[str],
        before: Applied,
    ) -> Applied:
        if self._fails:
            raise OSError(f"{self._table} cannot be loaded")
        self._clock.left -= 2 * MINUTES
        return Applied({self._table: Loaded(1, 1, 0)}, {}, {})

    def may_accept(self, applied: Applied) -> bool:
        return False


class Clock:
    """A Lambda context that knows the time that is left."""

    function_name = memory_limit_in_mb = aws_request_id = invoked_function_arn = "test"

    def __init__(self, minutes: int) -> None:
        self.left = minutes * MINUTES

    def get_remaining_time_in_millis(self) -> int:
        return self.left


class Run:
    """Load with two sources of some batches each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bucket = FakeBucket()
        self._monkeypatch = monkeypatch
        tables = [Table(name, key="id", columns={"id": Integer()}) for name in ("one", "two")]
        target = PostgresWarehouse("warehouse", tuple(map(latest, tables)))
        sources = [Postgres(f"source_{table.name}", (table,)) for table in tables]
        self._pipeline = Pipeline(sources=sources, targets=[target])
        self._logs = {
            each.name: BatchLog(self._bucket, each.name, ProcessedManifest) for each in sources
        }

    def write(self, source: str, batches: int) -> None:
        for number in range(1, batches + 1):
            table = source.removeprefix("source_")
            manifest = ProcessedManifest(
                batch=number,
                written_at=NOW,
                run=str(number),
                source=Source("1", 1, source, NOW),
                tables={table: StarTable(0, [])},
                balance={},
                quarantine={},
                absent={},
            )
            assert self._logs[source].claim(manifest)

    def load(
        self, *, fails: str | None = None, busy: str | None = None, minutes: int = 15
    ) -> dict[str, Any]:
        clock = Clock(minutes)

        @contextmanager
        def loader(place: Place, feed: Feed, seconds: float) -> Iterator[FakeLoader | None]:
            [mapping] = feed.mappings
            found = FakeLoader(clock, mapping.target.id, fails=feed.log.source == fails)
            yield None if feed.log.source == busy else found

        secrets: Any = None
        lake = Lake(self._pipeline, Path(), secrets, self._bucket, self._logs)
        self._monkeypatch.setattr(load_handler, "_lake", lambda: lake)
        self._monkeypatch.setattr(
            load_handler, "kind_of", lambda target: SimpleNamespace(loader=loader)
        )
        context: Any = clock
        result: dict[str, Any] = load_handler.handler({}, context)
        return result

    def markers(self) -> list[str]:
        return [key for key in sorted(self._bucket.objects) if key.startswith("loaded/")]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


def test_each_source_has_its_batches_and_markers(run: Run) -> None:
    """Numbers of one source's batches say nothing of another's."""
    run.write("source_one", 2)
    run.write("source_two", 1)

    result = run.load()

    assert {name: part["batches"] for name, part in result["sources"].items()} == {
        "source_one": [1, 2],
        "source_two": [1],
    }
    assert (result["batches"], result["rows"]) == ([1, 2, 1], {"one": 2, "two": 1})
    assert run.markers() == [
        "loaded/source_one/0000000001.json",
        "loaded/source_one/0000000002.json",
        "loaded/source_two/0000000001.json",
    ]


def test_a_source_that_fails_stops_no_other(run: Run) -> None:
    """Its error is raised once all were tried."""
    run.write("source_one", 1)
    run.write("source_two", 1)

    with pytest.raises(OSError, match="one cannot be loaded"):
        run.load(fails="source_one")

    assert run.markers() == ["loaded/source_two/0000000001.json"]


def test_a_source_that_is_behind_leaves_time_to_the_others(run: Run) -> None:
    """The batches of the first take their share of the time, and the second gets the rest.

    The last minute is not enough for a batch of two.
    """
    run.write("source_one", 100)
    run.write("source_two", 100)

    result = run.load(minutes=15)

    assert {name: len(part["batches"]) for name, part in result["sources"].items()} == {
        "source_one": 4,
        "source_two": 3,
    }


def test_another_loader_at_work_is_reported(run: Run) -> None:
    """The result shows that a run has to wait."""
    run.write("source_one", 1)

    result = run.load(busy="source_one")

    assert (result["busy"], result["sources"]["source_two"]["busy"]) == (True, False)
    assert run.markers() == []
