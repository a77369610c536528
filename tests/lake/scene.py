"""A processed bucket whose batches a warehouse has loaded, and Iceberg tables beside it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow as pa

from etl.targets import TargetTable, Way
from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker, RefusedRows, Warehouse
from functions.common.logs import MarkerLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.objects import DataFile
from functions.common.parquet import digest, packed
from functions.common.storage import Bucket
from functions.lake import commits, files, tables, upkeep
from tests.lake.memory_aws import MemoryGlue, MemoryS3

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCE = Source("7000000000000000001", 1, "shop", AT)
WAREHOUSE = Warehouse("7000000000000000002", "warehouse", 1, "public", AT, {})

Row = tuple[int, str | None, Decimal]

SCHEMA = pa.schema([("id", pa.int32()), ("name", pa.string()), ("price", pa.decimal128(10, 2))])


def rows_of(rows: Iterable[Row]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)


@dataclass
class Entry:
    """What a batch has of a table: rows by object, and deleted keys."""

    objects: list[list[Row]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    snapshot: bool = False
    filled: bool = False
    tables: list[pa.Table] = field(default_factory=list)


@dataclass
class Scene:
    """Tables of one source, by name and way."""

    ways: dict[str, Way]
    s3: MemoryS3 = field(default_factory=MemoryS3)
    glue: MemoryGlue = field(default_factory=MemoryGlue)
    batch: int = 0
    marker: int = 0
    began_at: datetime = AT
    refused: dict[str, list[RefusedRows]] = field(default_factory=dict)
    key: tuple[str, ...] = ("id",)

    def __post_init__(self) -> None:
        self.bucket = Bucket(self.s3, "lake")  # type: ignore[arg-type]

    def load(
        self,
        entries: dict[str, Entry],
        refused: dict[str, list[tuple[int, Row]]] | None = None,
    ) -> None:
        """Write a batch, and the marker of its load; `refused` are all rows that are, by batch."""
        self.batch += 1
        tables = {name: self._entry(name, entry) for name, entry in entries.items()}
        manifest = ProcessedManifest(
            batch=self.batch, written_at=self._now, run="r", source=SOURCE, tables=tables,
            balance={}, quarantine={}, absent={},
        )  # fmt: skip
        self._put(f"batches/shop/{self.batch:010d}.json", manifest)
        self.mark(refused)

    def mark(
        self,
        refused: dict[str, list[tuple[int, Row]]] | None = None,
        *,
        is_retry: bool = False,
        has: int | None = None,
    ) -> None:
        """Write a marker; that of a retry says that rows no longer refused were accepted.

        `has` is the batch of a restored warehouse.
        """
        self.marker += 1
        if refused is not None:
            self.refused = {name: self._refused(name, rows) for name, rows in refused.items()}
        marker = LoadedMarker(
            batch=self.batch, written_at=self._now, run="r", number=self.marker, source=SOURCE,
            warehouse=WAREHOUSE, since=1, evidence={}, rows={},
            has=dict.fromkeys(self.ways, self.batch if has is None else has),
            age_seconds=1.0, refused={k: v for k, v in self.refused.items() if v},
            tried_at=self._now if is_retry else None, definitions="d",
        )  # fmt: skip
        self._put(f"loaded/shop/{self.marker:010d}.json", marker)

    @property
    def _now(self) -> datetime:
        return self.began_at + timedelta(minutes=self.marker)

    def start_over(self) -> None:
        """Empty the bucket of all logs and objects, but for what is the lake's."""
        keys = [{"Key": key} for key in self.s3.objects if not key.startswith("lake/")]
        self.s3.delete_objects(Delete={"Objects": keys})
        self.batch = self.marker = 0
        self.began_at += timedelta(days=1)

    def _put(self, key: str, document: Any) -> None:
        self.bucket.put(key, msgspec.json.encode(document))

    def _entry(self, name: str, entry: Entry) -> StarTable:
        parts = [*map(rows_of, entry.objects), *entry.tables]
        files = [self._object(name, number, rows) for number, rows in enumerate(parts)]
        keys = pa.table({"id": pa.array(entry.gone, pa.int32())})
        gone = [self._object(f"tombstones/{name}", 0, keys)] if entry.gone else []
        return StarTable(
            sum(file.rows for file in files), files, len(entry.gone), gone,
            filled=entry.filled, snapshot=entry.snapshot,
        )  # fmt: skip

    def _refused(self, name: str, rows: list[tuple[int, Row]]) -> list[RefusedRows]:
        if not rows:
            return []
        table = rows_of(row for _, row in rows)
        table = table.append_column("_batch", pa.array([batch for batch, _ in rows], pa.int64()))
        table = table.append_column("_reason", pa.array(["no"] * len(rows)))
        file = self._object(f"refused/{name}", self.marker, table)
        return [RefusedRows(file, {"no": len(rows)})]

    def _object(self, prefix: str, part: int, rows: pa.Table) -> DataFile:
        key = f"{prefix}/{date(2026, 11, 22)}/{self.batch:010d}-{part:013d}.parquet"
        body = packed(rows)
        self.bucket.put(key, body)
        return DataFile(key, rows.num_rows, digest(body))


class Lake:
    """The function's parts, on what a scene has in memory."""

    def __init__(self, scene: Scene) -> None:
        clients = {"s3": scene.s3, "glue": scene.glue}
        memory = SimpleNamespace(client=lambda name, **_: clients[name])
        for module in (files, tables):
            vars(module)["boto3"] = memory
        self.scene = scene
        self.catalog = tables.Catalog("lake", files.location(scene.bucket, "lake"))

    def feed(self, name: str) -> Any:
        way = self.scene.ways[name]
        log = BatchLog(self.scene.bucket, "shop", ProcessedManifest)
        target = TargetTable(name, self.scene.key, way, None, None, {}, None)
        markers = MarkerLog(self.scene.bucket, "shop")
        return commits.Feed(target, self.scene.bucket, log, markers)

    def keep_up(self, name: str) -> Any:
        return commits.keep_up(self.catalog, self.feed(name), lambda: True)

    def tidy(self, name: str) -> None:
        feed = self.feed(name)
        upkeep.tidy(self.catalog, feed.target, feed.bucket, lambda: True)

    def table(self, name: str) -> Any:
        return self.catalog.find(name)

    def rows(self, name: str) -> list[Row]:
        """Return the rows of a table, sorted, as pyiceberg reads them."""
        table = self.table(name)
        found = table.scan().to_arrow().to_pylist() if table else []
        return sorted((tuple(row.values()) for row in found), key=repr)
