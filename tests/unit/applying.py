"""Batches of one source, applied to a warehouse in memory."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from functions.common.batchlog import BatchLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter, read_rows
from functions.targets import Applied
from functions.targets.batch import Warehouse, apply_batch, retry_refused
from functions.targets.derived import Derived
from tests.unit.fake_bucket import FakeBucket
from tests.unit.fake_warehouse import FakeWarehouse, Row

NOW = datetime(2024, 11, 16, tzinfo=UTC)
WAYS = {"dim": "latest", "fact": "history", "first": "once", "copy": "replace"}
NOTHING = Applied({}, {}, {})


class Loading:
    """The processed bucket, and the warehouse that its batches go into."""

    def __init__(self) -> None:
        self.bucket = FakeBucket()
        self.there = FakeWarehouse(WAYS)
        self.derived = Derived({}, frozenset())
        self.batch = 0
        self.before = NOTHING

    @property
    def warehouse(self) -> Warehouse:
        session: Any = self.there
        return Warehouse(session, BatchLog(self.bucket, "shop", ProcessedManifest), self.derived)

    def files(self, name: str, *parts: list[Row]) -> list[DataFile]:
        """Write rows, each part in a separate object."""
        return [file for rows in parts for file in self._written(name, rows)]

    def _written(self, name: str, rows: list[Row]) -> list[DataFile]:
        writer = PartWriter(self.bucket, name, self.batch, NOW.date())
        writer.write(pa.Table.from_pylist(rows))
        return writer.close()

    def entry(
        self, name: str, *parts: list[Row], deleted: list[int] | None = None, **options: bool
    ) -> dict[str, StarTable]:
        gone = [{"id": number} for number in deleted or []]
        tombstones = self.files(f"tombstones/{name}", gone) if gone else []
        rows = sum(map(len, parts))
        return {name: StarTable(rows, self.files(name, *parts), len(gone), tombstones, **options)}

    def manifest(self, tables: Mapping[str, StarTable]) -> ProcessedManifest:
        source = Source("1", 1, "shop", NOW)
        return ProcessedManifest(self.batch, NOW, "run", source, dict(tables), {}, {}, {})

    def apply(
        self,
        *entries: Mapping[str, StarTable],
        lacking: Collection[str] = (*WAYS, "days"),
        models: Collection[str] = (),
    ) -> Applied:
        """Apply the next batch, made of the entries of tables."""
        self.batch += 1
        tables = {name: table for entry in entries for name, table in entry.items()}
        self.before = apply_batch(
            self.warehouse, self.manifest(tables), lacking, self.before, models=models
        )
        return self.before

    def retry(self) -> Applied:
        self.before = retry_refused(self.warehouse, self.manifest({}), self.before)
        return self.before

    def aside(self, name: str) -> list[tuple[int, int, str]]:
        """Return id, batch and reason of the rows of a table that are put aside."""
        files = [each.file for each in self.before.refused.get(name, [])]
        rows = [row for each in read_rows(self.bucket, files) for row in each.to_pylist()]
        return [(row["id"], row["_batch"], row["_reason"]) for row in rows]

    def ids(self, name: str) -> list[int]:
        return [row["id"] for row in self.there.state.rows[name]]
