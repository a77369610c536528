"""Transform of files on buckets that moto keeps, and a hand that plays extract."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas import DataFrame

from etl import (
    Calendar,
    Csv,
    Date,
    Feed,
    Files,
    Integer,
    JsonDocuments,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Table,
    TargetTable,
    Text,
    history,
    latest,
    replace,
)
from functions.common.accounts import FileRead, FileVersion, KnownFiles
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest, Source, TableCapture
from functions.common.parquet import PartWriter
from functions.common.storage import Bucket
from functions.transform import handler as transform

AT = datetime(2026, 11, 1, 9, 31, tzinfo=UTC)

order = Table("orders", key="id", columns={
    "id": Integer(), "day": Date(nullable=True), "price": Numeric(6, 2),
})  # fmt: skip
review = Table("reviews", key=(), columns={"review": Integer(), "words": Text(nullable=True)})
target = Table("targets", key=("staff", "month"), columns={
    "staff": Integer(), "month": Text(), "amount": Numeric(8, 2),
})  # fmt: skip


@history(key="id")
def fact_order(orders: DataFrame) -> DataFrame:
    """Orders, with the price in cents."""
    return orders.assign(cents=orders["price"] * 100)


staged, reviews, newest = replace(order, name="staged"), replace(review), latest(target)
FEEDS = (
    Feed(order, "orders*.csv"),
    Feed(review, "reviews.csv", Csv(delimiter=";", nulls=("-",))),
    Feed(target, "**/*.json", JsonDocuments()),
)
GOOD = ["1", "2026-11-01", "1.50"]
BAD = ["x", "today", "1.505"]


def declared(*targets: TargetTable, feeds: Any = FEEDS, **options: Any) -> Pipeline:
    warehouse = PostgresWarehouse("warehouse", targets, Calendar("days"))
    return Pipeline(sources=[Files("shop", feeds, **options)], targets=[warehouse])


Cells = Sequence[str | None]


@dataclass
class Dropped:
    """A file as extract has read it: good rows are cells, wrong ones are (why, as it came)."""

    table: Table
    key: str
    rows: Sequence[Cells | tuple[str, str]] = ()
    header: Sequence[str] = ()
    error: str | None = None
    json: bool = False
    copy: str | None = None


@dataclass
class FilesLake:
    """Two buckets with the logs of a source of files."""

    logs: Logs
    pipeline: Pipeline
    environment: dict[str, str] = field(default_factory=dict)

    def ingest(self, *files: Dropped, at: datetime = AT) -> IngestionManifest:
        """Put a batch of files in the ingestion log."""
        number, source = self.logs.ingested.newest() + 1, self.logs.ingested.source
        objects: dict[str, list[Any]] = {table.id: [] for table in self.source.tables}
        read = []
        for file in files:
            writer = PartWriter(
                self.logs.ingested.bucket, f"{source}/{file.table.id}", number, at.date()
            )
            for row in _in_the_lake(file):
                writer.write(row)
            written = writer.close()
            objects[file.table.id] += written
            version = hashlib.sha256(f"{number}{file.rows}".encode()).hexdigest()
            read.append(
                FileRead(
                    file.table.id,
                    FileVersion("drop", file.key, version, version[:32], 1, at),
                    list(file.header or file.table.columns),
                    len(file.rows),
                    [each.key for each in written],
                    file.error,
                    file.copy,
                )
            )
        captures = {
            name: TableCapture([], [], "", None, [], changed=0, files=written)
            for name, written in objects.items()
        }
        manifest = IngestionManifest(
            number,
            at,
            "extract",
            Source("", 0, "drop", at),
            captures,
            {},
            None,
            None,
            {},
            files=read,
            known=KnownFiles(1),
        )
        assert self.logs.ingested.claim(manifest)
        return manifest

    @property
    def source(self) -> Files:
        found = self.pipeline.source(self.logs.ingested.source)
        assert isinstance(found, Files)
        return found

    def transform(self) -> ProcessedManifest:
        """Work off what waits; return the newest manifest."""
        work = transform.work_off(
            self.pipeline, self.logs, "run", lambda: AT, lambda: True, environment=self.environment
        )
        for _ in work:
            pass
        return self.logs.processed.read(self.logs.processed.newest())

    def rows(self, manifest: ProcessedManifest, target: str) -> list[dict[str, Any]]:
        """Return the rows of a target table in a batch, in order."""
        bodies = [
            self.logs.processed.bucket.get(file.key) for file in manifest.tables[target].files
        ]
        return [row for body in bodies for row in pq.read_table(pa.BufferReader(body)).to_pylist()]

    def errors(self, key: str | None) -> list[list[str]]:
        """Return the lines of an object with refused rows, without its header."""
        assert key is not None
        body = self.logs.processed.bucket.get(key).decode()
        header, *lines = csv.reader(io.StringIO(body, newline=""))
        assert header == ["line", "reasons", "row"]
        return lines


def _in_the_lake(file: Dropped) -> list[pa.Table]:
    header = list(file.header or file.table.columns)
    rows = []
    for line, row in enumerate(file.rows, 2):
        is_wrong = isinstance(row, tuple)
        cells: Mapping[str, Any] = {} if is_wrong else dict(zip(header, row, strict=True))
        own = {
            "_line": line,
            "_wrong": row[0] if is_wrong else None,
            "_row": row[1] if is_wrong else str(dict(cells)) if file.json else None,
        }
        rows.append({name: cells.get(name) for name in header} | own)
    schema = pa.schema(
        [*((name, pa.string()) for name in header), ("_line", pa.int64())]
        + [(name, pa.string()) for name in ("_wrong", "_row")]
    )
    return [pa.Table.from_pylist(rows, schema)] if rows else []


def orders(*rows: Any, key: str = "orders.csv", **options: Any) -> Dropped:
    """Return a file of orders."""
    return Dropped(order, key, rows, **options)


@pytest.fixture
def files_lake(moto_s3: Any) -> FilesLake:
    """A shop that drops files: two staged tables, and one with the newest rows."""

    def bucket(side: str) -> Bucket:
        moto_s3.create_bucket(
            Bucket=f"shop-{side}",
            CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
        )
        return Bucket(moto_s3, f"shop-{side}")

    logs = Logs.of(bucket("ingestion"), bucket("processed"), "shop")
    return FilesLake(logs, declared(staged, reviews, newest))
