"""A source with many small batches of random keys, as the functions write them, in memory."""

import time
from datetime import UTC, datetime
from io import BytesIO
from random import Random
from typing import Any

import pyarrow as pa
from msgspec import UNSET, structs

from deployer.query.cache import Cache
from deployer.why.objects import Objects
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, Text, latest
from functions.common.batchlog import BatchLog
from functions.common.loaded import LoadedMarker, Warehouse
from functions.common.logs import Logs, MarkerLog
from functions.common.manifests import (
    IngestionManifest,
    ProcessedManifest,
    Source,
    StarTable,
    TableCapture,
)
from functions.common.objects import DataFile
from functions.common.parquet import digest, packed
from functions.load import marks
from functions.transform.batchkeys import BatchKeys, index_of
from tests.unit.client_of import ClientOf
from tests.unit.fake_bucket import FakeBucket

THING = Table("thing", key="id", columns={"id": Integer(), "word": Text()})
PIPELINE = Pipeline(
    sources=[Postgres("source", tables=(THING,))],
    targets=[PostgresWarehouse("warehouse", (latest(THING),))],
)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCE = Source("1", 1, "shop", NOW, end=1000)
WAREHOUSE = Warehouse("1", "warehouse", 5, "public", NOW, {})


class SlowClient(ClientOf):
    """S3's client, each of whose answers takes some seconds; `calls` counts them."""

    def __init__(self, bucket: FakeBucket, seconds: float) -> None:
        super().__init__(bucket)
        self.calls = 0
        self._seconds = seconds

    def get_object(self, **asked: str) -> dict[str, Any]:
        self._wait()
        return super().get_object(**asked)

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        self._wait()
        return super().list_objects_v2(**asked)

    def _wait(self) -> None:
        self.calls += 1
        time.sleep(self._seconds)


class LongLog:
    """The logs of a source whose batches have `rows` rows each, of keys up to `keys`.

    The first `old` batches are of an earlier version, without marks and without an index.
    """

    def __init__(self, batches: int, random: Random, *, keys: int, rows: int = 10, old: int = 0):
        self.ingestion, self.processed = FakeBucket(), FakeBucket()
        self.batches_of: dict[int, list[int]] = {}
        self._logs = Logs(
            BatchLog(self.ingestion, "source", IngestionManifest),
            BatchLog(self.processed, "source", ProcessedManifest),
        )
        self._markers = MarkerLog(self.processed, "source")
        for batch in range(1, batches + 1):
            some = random.sample(range(keys), rows)
            for key in some:
                self.batches_of.setdefault(key, []).append(batch)
            self._write(batch, some, is_old=batch <= old)

    def objects(self, cache: Cache, client: Any) -> Objects:
        """Return both buckets as `why` reads them: `client` makes a client of a bucket."""
        return Objects(
            _Both({"ingestion": client(self.ingestion), "processed": client(self.processed)}),  # type: ignore[arg-type]
            {"ingestion": "ingestion", "processed": "processed"},
            cache,
        )

    def _write(self, batch: int, keys: list[int], *, is_old: bool) -> None:
        body = packed(
            pa.table({"id": pa.array(keys, pa.int32()), "word": [str(batch)] * len(keys)})
        )
        name = f"2026-11-22/{batch:010d}-1.parquet"
        files = {
            prefix: DataFile(f"{prefix}/{name}", len(keys), digest(body))
            for prefix in ("source/thing", "thing")
        }
        self.ingestion.put_new(files["source/thing"].key, body)
        self.processed.put_new(files["thing"].key, body)
        found = BatchKeys()
        found.add("thing", pa.array(keys))
        capture = TableCapture(["id"], [], "", 1, [], files=[files["source/thing"]])
        ingested = IngestionManifest(
            batch, NOW, "run", SOURCE, {"thing": capture}, {},
            "keys/source/2026-11-22/0000000001-1.parquet", "0" * 64, {},
        )  # fmt: skip
        assert self._logs.ingested.claim(ingested)
        made = StarTable(len(keys), [files["thing"]])
        manifest = ProcessedManifest(
            batch, NOW, "run", SOURCE, {"thing": made}, {}, {}, {},
            keys=None if is_old else found.sets(),
        )  # fmt: skip
        index = UNSET if is_old else index_of(self._logs.processed, manifest) or UNSET
        assert self._logs.processed.claim(structs.replace(manifest, index=index))
        marker = LoadedMarker(
            batch, NOW, "run", batch, SOURCE, WAREHOUSE, 1, {"thing": batch}, {}, {}, 1.0, {},
            None, "",
        )  # fmt: skip
        index_of_markers = UNSET if is_old else marks.index_of(self._markers, marker)
        assert self._markers.claim(structs.replace(marker, index=index_of_markers))


class _Both:
    """Clients of several buckets as one."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self.meta = clients["processed"].meta
        self._clients = clients

    def get_object(self, **asked: Any) -> dict[str, BytesIO]:
        found: dict[str, BytesIO] = self._clients[asked["Bucket"]].get_object(**asked)
        return found

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._clients[asked["Bucket"]].list_objects_v2(**asked)
        return found
