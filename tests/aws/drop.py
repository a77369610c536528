"""A bucket that files are dropped into, and the runs of extract and transform that read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from etl import Feed, Files, Integer, JsonDocuments, Pipeline, PostgresWarehouse, Table, Text
from etl import latest as latest_of
from etl import replace as replacing
from functions.common.batchlog import BatchLog
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.parquet import read_rows
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.files.capture import Capture
from functions.sources.files.listing import Place
from functions.transform import handler as transform

ORDERS = Table("orders", key="id", columns={"id": Integer(), "note": Text()})
REVIEWS = Table("reviews", key=(), columns={"stars": Integer()})
NOTES = Table("notes", key="id", columns={"id": Integer(), "note": Text()})

FEEDS = (
    Feed(ORDERS, "orders*.csv"),
    Feed(REVIEWS, "reviews/*.csv"),
    Feed(NOTES, "notes.json", JsonDocuments(), optional=True),
)
VERSIONED_OR_NOT = pytest.mark.parametrize(
    "drop", [True, False], ids=["versioned", "unversioned"], indirect=True
)
"""For tests of which version of a file is read: not of what is in it."""

APART = Files("shop", FEEDS)
TOGETHER = Files("shop", FEEDS, together=True)


class Drop:
    """Files are `put` into a bucket, and a `run` makes a batch of them, all in one moment."""

    def __init__(
        self,
        source: Files = APART,
        *,
        versioned: bool = True,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.client: Any = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
        for name in ("drop", "lake", "processed"):
            self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(
                Bucket="drop", VersioningConfiguration={"Status": "Enabled"}
            )
        self.source = source
        self.pipeline = pipeline or Pipeline(
            sources=[source],
            targets=[
                PostgresWarehouse(
                    "warehouse", (latest_of(ORDERS), replacing(REVIEWS), latest_of(NOTES))
                )
            ],
        )
        self.lake = Bucket(self.client, "lake")
        self.log = BatchLog(self.lake, source.name, IngestionManifest)
        self.processed = BatchLog(Bucket(self.client, "processed"), source.name, ProcessedManifest)
        self.place = Place(self.client, "drop", "", "DROP_BUCKET", "DROP_REGION")
        self.later = timedelta(minutes=5)  # than the files came

    def put(self, key: str, body: bytes | str) -> None:
        """Write a file as others do."""
        text = body.encode() if isinstance(body, str) else body
        self.client.put_object(Bucket="drop", Key=key, Body=text)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket="drop", Key=key)

    def capture(self, *, lifted: bool = False, **other: Any) -> Capture:
        made = Capture(
            self.source,
            self.pipeline,
            self.place,
            self.log,
            self.processed,
            now=lambda: datetime.now(UTC) + self.later,
            has_time=lambda: True,
            lifted=lifted,
        )
        return replace(made, **other)

    def run(self, *, lifted: bool = False, repair: Repair = NO_REPAIR) -> Captured:
        return self.capture(lifted=lifted).run("run", repair)

    def batch(self, *, lifted: bool = False) -> IngestionManifest:
        """Return the batch that a run makes; fail if it makes none."""
        manifest = self.run(lifted=lifted).manifest
        assert manifest is not None
        return manifest

    def transform(self) -> ProcessedManifest:
        """Work off the batches that wait; return the newest manifest."""
        work = transform.work_off(
            self.pipeline,
            Logs(self.log, self.processed),
            "run",
            lambda: datetime.now(UTC),
            lambda: True,
            environment={},
        )
        for _ in work:
            pass
        return self.processed.read(self.processed.newest())

    def target_rows(self, manifest: ProcessedManifest, table: str) -> list[dict[str, Any]]:
        """Return the rows of a target table in a batch, in order."""
        files = manifest.tables[table].files
        return [row for rows in read_rows(self.processed.bucket, files) for row in rows.to_pylist()]

    def rows(self, manifest: IngestionManifest, table: Table = ORDERS) -> list[tuple[Any, ...]]:
        """Return the good rows that a batch has of a table, in order."""
        files = manifest.tables[table.id].files
        return [
            tuple(row[name] for name in table.columns)
            for rows in read_rows(self.lake, files)
            for row in rows.to_pylist()
            if not row["_wrong"]
        ]


def keys(manifest: IngestionManifest) -> list[str]:
    """Return the keys of the files of a batch."""
    return [read.file.key for read in manifest.files]
