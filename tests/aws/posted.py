"""Events that wait in a queue, and the buckets that they are collected into."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from etl import (
    WHOLE,
    BigInteger,
    EventFeed,
    Events,
    Json,
    Pipeline,
    PostgresWarehouse,
    StampedSignature,
    Table,
    Text,
    once,
)
from functions.collect import handler as collect
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.parquet import read_rows
from functions.common.received import Received
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.transform import handler as transform
from tests.pipeline.conftest import Context

AT = datetime(2026, 11, 1, 9, 31, tzinfo=UTC)
QUEUE = "arn:aws:sqs:eu-west-2:123456789012:shop-events"

COLUMNS = {
    "id": Text(),
    "sent": Text(nullable=True),
    "amount": BigInteger(nullable=True),
    "raw": Json(),
}
FIELDS = {"id": "id", "sent": "header:X-Sent", "amount": "data.amount", "raw": WHOLE}
CHARGES = Table("charges", key="id", columns=COLUMNS)
OTHERS = Table("others", key="id", columns=COLUMNS)
FEEDS = EventFeed(CHARGES, ("charge.*",), FIELDS), EventFeed(OTHERS, ("customer.*",), FIELDS)
SHOP = Events("shop", StampedSignature(), FEEDS, required=("data",))
SHIP = Events(
    "ship",
    StampedSignature(),
    (EventFeed(Table("parcels", key="id", columns=COLUMNS), ("*",), FIELDS),),
)
PIPELINE = Pipeline(
    sources=[SHOP, SHIP],
    targets=[
        PostgresWarehouse("warehouse", tuple(once(each) for each in (*SHOP.tables, *SHIP.tables)))
    ],
)


class Posted:
    """The function collect on buckets that moto keeps, and the records that the queue gives it."""

    def __init__(self) -> None:
        client: Any = boto3.client("s3", config=CLIENT_CONFIG, region_name="us-east-1")
        for name in ("lake", "processed"):
            client.create_bucket(Bucket=name)
        self.lake, self.processed = Bucket(client, "lake"), Bucket(client, "processed")
        self.logs = Logs.of(self.lake, self.processed, "shop")
        self._messages = 0

    def record(
        self,
        event: Mapping[str, Any] | bytes,
        *,
        after: float = 0,
        source: str = "shop",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the record of an event that came some seconds after AT."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        came = AT + timedelta(seconds=after)
        return self.as_sent(Received(source, came, headers or {}, body, signed=True).message())

    def as_sent(self, body: str) -> dict[str, Any]:
        """Return the record of a message."""
        self._messages += 1
        return {"messageId": f"m{self._messages}", "body": body, "eventSourceARN": QUEUE}

    def collect(self, *records: Mapping[str, Any]) -> list[str]:
        """Let the queue hand over messages; return which of them it keeps."""
        context: Any = Context("collect")
        answer = collect.handler({"Records": list(records)}, context)
        return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]

    def batch(self) -> IngestionManifest:
        """Return the newest batch."""
        return self.logs.ingested.read(self.logs.ingested.newest())

    def rows(self, manifest: IngestionManifest, table: Table = CHARGES) -> list[dict[str, Any]]:
        """Return the rows that a batch has of a table, in order."""
        files = manifest.tables[table.id].files
        return [row for rows in read_rows(self.lake, files) for row in rows.to_pylist()]

    def ids(self, table: Table = CHARGES) -> list[Any]:
        """Return the ids that the newest batch has of a table."""
        return [row["id"] for row in self.rows(self.batch(), table)]

    def transform(self) -> ProcessedManifest:
        """Work off what waits; return the newest manifest."""
        work = transform.work_off(
            PIPELINE, self.logs, "run", lambda: AT, lambda: True, environment={}
        )
        for _ in work:
            pass
        return self.logs.processed.read(self.logs.processed.newest())


def charge(number: int, **other: Any) -> dict[str, Any]:
    """Return an event of a charge."""
    return {"id": f"evt_{number}", "type": "charge.paid", "data": {"amount": number}, **other}


@pytest.fixture
def posted(aws: None, monkeypatch: pytest.MonkeyPatch) -> Posted:
    """An empty lake, with collect between it and a queue."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("INGESTION_BUCKET", "lake")
    monkeypatch.setattr(collect, "_pipeline", lambda: PIPELINE)
    collect._log.cache_clear()
    return Posted()
