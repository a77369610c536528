"""A target table that is declared over a long log of files: what transform takes to fill it.

    python -m benchmarks.filling_files FILES

The log is in memory, with a batch for each file of one row. The CPU and the requests to S3 are
printed: these go out one after the other, so their time is to be added.
"""

import sys
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from etl import Feed, Files, Integer, Pipeline, PostgresWarehouse, Table, TargetTable, Text, latest
from functions.common.accounts import FileRead, FileVersion, KnownFiles
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, Source, TableCapture
from functions.common.parquet import PartWriter
from functions.common.storage import NO_METADATA, OBJECT_BYTES, Bucket
from functions.transform import handler as transform

if TYPE_CHECKING:
    from pandas import DataFrame

NO_CLIENT: Any = None
AT = datetime(2026, 11, 1, tzinfo=UTC)

thing = Table("thing", key="id", columns={"id": Integer(), "word": Text()})
known, copied = latest(thing, name="known"), latest(thing, name="copied")


@latest(key="id")
def made(thing: "DataFrame") -> "DataFrame":
    """Things, with the length of their words."""
    return thing.assign(length=thing["word"].str.len())


class Memory(Bucket):
    """A bucket in memory that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__(NO_CLIENT, "lake")
        self.requests: Counter[str] = Counter()
        self._objects: dict[str, bytes] = {}
        self._keys: list[str] = []

    def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:  # noqa: ARG002
        """Write an object unless it is there."""
        self.requests["put"] += 1
        if key in self._objects:
            return False
        self._objects[key] = body
        insort(self._keys, key)
        return True

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:  # noqa: ARG002
        """Read an object."""
        self.requests["get"] += 1
        return self._objects[key]

    def keys_after(self, prefix: str, start_after: str, limit: int) -> list[str]:
        """List keys."""
        self.requests["list"] += 1
        first = bisect_right(self._keys, start_after)
        return [key for key in self._keys[first : first + limit] if key.startswith(prefix)]


def measure(files: int, target: TargetTable) -> dict[str, Any]:
    """Return what it takes to fill a table from some files."""
    logs = Logs.of(ingested := Memory(), processed := Memory(), "shop")
    for number in range(1, files + 1):
        _ingest(logs, number)
    _transform(logs, known)
    _ingest(logs, files + 1)
    ingested.requests.clear()
    processed.requests.clear()
    started = time.process_time()
    _transform(logs, known, target)
    requests = ingested.requests + processed.requests
    return {"target": target.name, "cpu": round(time.process_time() - started, 1), **requests}


def _ingest(logs: Logs, number: int) -> None:
    """Write the batch of a file with one row, as extract does."""
    writer = PartWriter(logs.ingested.bucket, "shop/thing", number, AT.date())
    row = {"id": str(number), "word": "word", "_line": 2, "_wrong": None, "_row": None}
    texts = [(name, pa.string()) for name in ("_wrong", "_row")]
    schema = pa.schema([("id", pa.string()), ("word", pa.string()), ("_line", pa.int64()), *texts])
    writer.write(pa.Table.from_pylist([row], schema))
    objects = writer.close()
    version = FileVersion("drop", f"things-{number}.csv", f"v{number}", "etag", 20, AT)
    read = FileRead("thing", version, ["id", "word"], 1, [each.key for each in objects])
    manifest = IngestionManifest(
        number,
        AT,
        "extract",
        Source("", 0, "drop", AT),
        {"thing": TableCapture(["id"], [], "", None, [], changed=1, files=objects)},
        {},
        None,
        None,
        {},
        files=[read],
        known=KnownFiles(1),
    )
    if not logs.ingested.claim(manifest):
        raise RuntimeError(f"batch {number} is there")


def _transform(logs: Logs, *targets: TargetTable) -> None:
    pipeline = Pipeline(
        sources=[Files("shop", (Feed(thing, "things-*.csv"),))],
        targets=[PostgresWarehouse("warehouse", targets)],
    )
    work = transform.work_off(pipeline, logs, "run", lambda: AT, lambda: True, environment={})
    for _ in work:
        pass


if __name__ == "__main__":
    [asked] = sys.argv[1:]
    for each in (copied, made):
        sys.stdout.write(f"{measure(int(asked), each)}\n")
