"""A warehouse in memory, its histories record by record, and the markers of its batches."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from functions.common.loaded import Evidence, LoadedMarker, RefusedRows, TableFile, Warehouse
from functions.common.logs import MarkerLog
from functions.common.manifests import Source
from functions.targets import Standing
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.standing import loaded_batch, standing_of
from tests.unit.fake_bucket import FakeBucket

NOW = datetime(2024, 11, 16, tzinfo=UTC)
TRIED = datetime(2024, 11, 15, tzinfo=UTC)
RESTARTED = NOW + timedelta(hours=1)


def table(name: str, way: Any = "latest") -> WarehouseTable:
    return WarehouseTable(name, "public", name, {}, "record_id", ("id",), way)


class Place:
    """A warehouse with a history and a table without one, and its markers.

    `records` are those of histories: the digest of each, by its number.
    """

    start_precision = timedelta(0)

    def __init__(self) -> None:
        self.markers = MarkerLog(FakeBucket(), "shop")
        self.tables = {"fact": table("fact", "history"), "dim": table("dim")}
        self.records: dict[str, dict[int, str]] = {"fact": {}}
        self.empty: set[str] = set()
        self.options: dict[str, Any] = {}
        self.identity = Warehouse("1", "warehouse", 1, "public", NOW, {})
        self.files = {"fact": TableFile(10, 10), "dim": TableFile(20, 20)}
        self.since = 1
        self.refused: dict[str, list[RefusedRows]] = {}

    @property
    def layout(self) -> Layout[WarehouseTable]:
        identity = structs.replace(self.identity, tables=self.files)
        return Layout(identity, self.tables, **self.options)

    def has_rows(self, name: str) -> bool:
        return name not in self.empty

    def greatest_record(self, name: str) -> int | None:
        return max(self.records.get(name, ()), default=None)

    def holds(self, name: str, evidence: Evidence) -> bool:
        return self.records[name].get(evidence.record) == evidence.sha256

    def load(self, *batches: int, **has: int) -> None:
        """Apply batches, each of which adds a record to each history, and mark them."""
        for batch in batches:
            for name in self.records:
                number = (self.greatest_record(name) or 0) + 1
                self.records[name][number] = f"{batch:064x}"
            evidence = {
                name: Evidence(record, ["id"], self.records[name][record])
                for name in self.records
                if (record := self.greatest_record(name))
            }
            models = self.options.get("models", {})
            has_all = dict.fromkeys({**self.tables, **models}, batch) | has
            marker = LoadedMarker(
                batch, NOW, "run", self.markers.newest() + 1, Source("1", 1, "shop", NOW),
                self.layout.identity, self.since, has_all, evidence, {}, 1.0, self.refused, TRIED,
                "definitions", settled=batch,
            )  # fmt: skip
            assert self.markers.claim(marker)

    def restart(self) -> None:
        self.identity = structs.replace(self.identity, started_at=RESTARTED)

    def lose(self, *records: int) -> None:
        for record in records:
            del self.records["fact"][record]

    def standing(self) -> Standing:
        tables: Any = self
        return standing_of(tables, self.markers)

    def loaded(self) -> int:
        tables: Any = self
        return loaded_batch(tables, self.markers)
