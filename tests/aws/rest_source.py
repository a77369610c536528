"""An API on loopback, and the runs of extract that ask it, on buckets that moto keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3

from etl import Csv, Integer, Numeric, Pipeline, PostgresWarehouse, Resource, Rest, Table, Text
from etl import latest as latest_of
from functions.common.batchlog import BatchLog
from functions.common.httpclient import Api
from functions.common.manifests import IngestionManifest
from functions.common.parquet import read_rows
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.rest.capture import Capture
from functions.sources.rest.pace import Pace
from tests.rest_server import Reply, RestServer, serving

PRICES = Table("prices", key="id", columns={"id": Integer(), "price": Numeric(8, 4)})
NOTES = Table("notes", key="id", columns={"id": Integer(), "note": Text(nullable=True)})
CSV = Resource(PRICES, format=Csv())


def csv(*rows: str, header: str = "id,price") -> Reply:
    """Return an answer of CSV with some rows."""
    return Reply("\n".join([header, *rows, ""]).encode())


class Asking:
    """A source whose API answers by a script; `at` is the time of the runs."""

    def __init__(self, server: RestServer, *feeds: Resource, **options: Any) -> None:
        client: Any = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        self.server = server
        self.source = Rest("shop", feeds or (CSV,), **options)
        self.pipeline = Pipeline(
            sources=[self.source],
            targets=[PostgresWarehouse("warehouse", tuple(map(latest_of, self.source.tables)))],
        )
        self.lake = Bucket(client, "lake")
        self.log = BatchLog(self.lake, "shop", IngestionManifest)
        self.at = datetime(2026, 11, 20, 16, tzinfo=UTC)
        self.pace = Pace()

    def capture(self, **other: Any) -> Capture:
        api = Api(
            self.server.url,
            dict,
            setting="SHOP_URL",
            key_setting="SHOP_API_KEY",
            sleep=lambda _: None,
        )
        made = Capture(
            self.source,
            self.pipeline,
            api,
            self.log,
            now=lambda: self.at,
            pace=self.pace,
            at_most=self.source.at_most.value({}) if self.source.at_most else "",
        )
        return replace(made, **other)

    def run(self, *, lifted: bool = False, repair: Repair = NO_REPAIR) -> Captured:
        return self.capture(lifted=lifted).run("run", repair)

    def batch(self, **options: Any) -> IngestionManifest:
        """Return the batch that a run makes; fail if it makes none."""
        manifest = self.run(**options).manifest
        assert manifest is not None
        return manifest

    def rows(self, manifest: IngestionManifest, table: Table = PRICES) -> list[tuple[Any, ...]]:
        """Return the good rows that a batch has of a table, in order."""
        return [
            tuple(row[name] for name in table.columns)
            for rows in read_rows(self.lake, manifest.tables[table.id].files)
            for row in rows.to_pylist()
            if not row["_wrong"]
        ]

    def kept(self, manifest: IngestionManifest) -> list[bytes]:
        """Return the answers that a batch has kept, as they came."""
        return [self.lake.get(read.copy or "") for read in manifest.files]


@contextmanager
def asking(*feeds: Resource, **options: Any) -> Iterator[Asking]:
    with serving() as server:
        yield Asking(server, *feeds, **options)
