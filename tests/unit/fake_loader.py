"""A target in memory, and the logs of the source that it is loaded from."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.loaded import Loaded, Warehouse
from functions.common.logs import MarkerLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.objects import DataFile
from functions.load import loading
from functions.load.loading import Step, load_pending
from functions.targets import Applied, Feed, Standing
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2024, 11, 16, 12, tzinfo=UTC)
FILE = DataFile("a/2024-11-16/0000000001-1.parquet", 1, "0a" * 32)
ALWAYS: Callable[[], bool] = lambda: True  # noqa: E731


class Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return NOW


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
        self.fails_retried: dict[str, str] = {}
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
        return Applied({}, before.evidence, {}, failed=self.fails_retried)

    def may_accept(self, applied: Applied) -> bool:
        return self.accepts

    def definitions(self) -> str:
        return self.digest

    def require_lock(self) -> None:
        if not self.holds_lock:
            raise CorruptLogError("another loader has the lock")


class Load:
    """The logs of a source, and the loader that its batches go to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(loading, "datetime", Clock)
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
