"""Transform on buckets that moto keeps in this process, and a hand that plays extract."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from functions.common.keys import Key
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest, Source, TableCapture
from functions.common.parquet import PartWriter
from functions.common.storage import Bucket
from functions.transform import handler as transform
from pipelines.totesys.pipeline import PIPELINE
from tests.source_rows import COLUMNS, source_rows

SNAPSHOT = datetime(2024, 3, 1, 9, 31, tzinfo=UTC)
NOW = datetime(2024, 3, 1, 9, 32, tzinfo=UTC)
SOURCE = Source("7000000000000000001", 1, "totesys", SNAPSHOT)

KEYS = "keys/source/2024-03-01/0000000001-1234567890001.parquet"


def now() -> datetime:
    return NOW


@dataclass
class Pipeline:
    """Two buckets with their logs, and a hand that plays extract."""

    logs: Logs
    runs: int = field(default=0)

    def ingest(
        self,
        tables: dict[str, pa.Table],
        *,
        deleted: dict[str, list[int]] | None = None,
        missing: Mapping[str, Sequence[Key]] | None = None,
        errors: dict[str, str] | None = None,
        at: datetime = SNAPSHOT,
    ) -> None:
        """Put a batch in the ingestion log."""
        number = self.logs.ingested.newest() + 1
        captures = {
            name: self._capture(number, name, tables.get(name), (deleted or {}).get(name, []))
            for name in COLUMNS
        }
        for name, error in (errors or {}).items():
            captures[name] = msgspec.structs.replace(captures[name], error=error)
        source = msgspec.structs.replace(SOURCE, snapshot_at=at)
        gone = {name: list(keys) for name, keys in (missing or {}).items()}
        manifest = IngestionManifest(
            number, NOW, "extract", source, captures, gone, KEYS, "0a" * 32, {}
        )
        assert self.logs.ingested.claim(manifest)

    def _capture(
        self, number: int, name: str, rows: pa.Table | None, deleted: list[int]
    ) -> TableCapture:
        key, lake, day = f"{name}_id", self.logs.ingested.bucket, SNAPSHOT.date()
        data = PartWriter(lake, f"source/{name}", number, day)
        if rows is not None:
            data.write(rows)
        gone = PartWriter(lake, f"tombstones/source/{name}", number, day)
        gone.write(pa.table({key: pa.array(deleted, pa.int64())}))
        return TableCapture(
            key=[key],
            columns=[],
            fingerprint="",
            horizon=1,
            seen=[],
            files=data.close(),
            deleted=len(deleted),
            tombstones=gone.close(),
        )

    def transform(self) -> ProcessedManifest:
        """Work off what waits; return the newest manifest."""
        self.runs += 1
        for _ in transform.work_off(PIPELINE, self.logs, f"run {self.runs}", now, lambda: True):
            pass
        return self.logs.processed.read(self.logs.processed.newest())

    def rows(self, manifest: ProcessedManifest, table: str) -> list[dict[str, Any]]:
        """Return the rows of a star table in a batch."""
        return [row for file in manifest.tables[table].files for row in self.stored(file.key)]

    def stored(self, key: str) -> list[dict[str, Any]]:
        body = self.logs.processed.bucket.get(key)
        return list(pq.read_table(pa.BufferReader(body)).to_pylist())

    def held(self, manifest: ProcessedManifest, table: str) -> list[tuple[int, int, str]]:
        """Return key, batch and reason of the open rows of a source table."""
        parts = manifest.quarantine[table].all_parts
        rows = [row for part in parts for row in self.stored(part.file)]
        return [(row[f"{table}_id"], row["_batch"], row["_reason"]) for row in rows]

    def objects(self) -> dict[str, bytes]:
        """Return all objects of the processed bucket."""
        bucket = self.logs.processed.bucket
        return {key: bucket.get(key) for key in bucket.keys_after("", "", 1000)}


@pytest.fixture
def moto_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    with mock_aws():
        yield boto3.client("s3")


@pytest.fixture
def new_pipeline(moto_s3: Any) -> Callable[[str], Pipeline]:
    def make(name: str) -> Pipeline:
        for side in ("ingestion", "processed"):
            moto_s3.create_bucket(
                Bucket=f"{name}-{side}",
                CreateBucketConfiguration={"LocationConstraint": "eu-west-2"},
            )
        lake, stars = Bucket(moto_s3, f"{name}-ingestion"), Bucket(moto_s3, f"{name}-processed")
        return Pipeline(Logs.of(lake, stars, "source"))

    return make


@pytest.fixture
def pipeline(new_pipeline: Callable[[str], Pipeline]) -> Pipeline:
    return new_pipeline("totesys")


def one_of_each(**others: pa.Table) -> dict[str, pa.Table]:
    return {name: source_rows(name, {}) for name in COLUMNS} | others
