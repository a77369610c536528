"""Many deletions from a table with sparse keys: what extract takes for each batch that has some.

    python -m benchmarks.deletions ROWS

A server on this machine gets a table with random keys of 64 bits, of which nine tenths are deleted
at once. Each batch is captured by a process of its own, whose peak memory is printed.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from deployer.configuration.databases import parse_database_url
from etl import BigInteger, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.common.batchlog import BatchLog
from functions.common.database import Database
from functions.common.manifests import IngestionManifest
from functions.common.postgres import connection
from functions.common.storage import NO_METADATA, OBJECT_BYTES, Bucket
from functions.sources.postgres.capture import capture
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.snapshot import SESSION_PARAMETERS
from local.connection import connect
from local.postgres import PostgresServer

NO_CLIENT: Any = None
CREATE = "CREATE TABLE thing (id bigint PRIMARY KEY)"
FILL = "INSERT INTO thing SELECT hashint8extended(n, 0) FROM generate_series(1, {}) AS n"
DELETE = "DELETE FROM thing WHERE id % 10 <> 0"

thing = Table("thing", key="id", columns={"id": BigInteger()})
PIPELINE = Pipeline(
    sources=[Postgres("house", (thing,))],
    targets=[PostgresWarehouse("warehouse", (latest(thing),))],
)


class Folder(Bucket):
    """A bucket in a folder, so that objects take none of the memory that is measured."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NO_CLIENT, "lake")
        self._folder = folder

    def put_new(self, key: str, body: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:  # noqa: ARG002
        """Write an object unless it is there."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(body)
        except FileExistsError:
            return False
        return True

    def get(self, key: str, at_most: int = OBJECT_BYTES) -> bytes:  # noqa: ARG002
        """Read an object."""
        return (self._folder / key).read_bytes()

    def keys_after(self, prefix: str, start_after: str, limit: int) -> list[str]:
        """List keys; of a prefix that is a folder."""
        found = sorted(path.name for path in (self._folder / prefix).glob("*.json"))
        return [key for name in found if (key := prefix + name) > start_after][:limit]


def captured(url: str, folder: Path) -> dict[str, Any]:
    """Capture one batch, and return what it took."""
    database = msgspec.convert(parse_database_url(url).secret(), Database)
    log = BatchLog(Folder(folder), "house", IngestionManifest)
    declared = Declared(PIPELINE.sources[0], PIPELINE)  # type: ignore[arg-type]
    started = time.process_time()
    with connection(database, **SESSION_PARAMETERS) as session:
        found = capture(session, log, declared, "run", lambda: datetime.now(UTC))
    table = found.manifest.tables[thing.id] if found.manifest else None
    return {
        "batch": found.manifest and found.manifest.batch,
        "rows": table and table.changed,
        "deleted": table and table.deleted,
        "cpu": round(time.process_time() - started, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "more": found.more,
    }


def measure(rows: int) -> None:
    """Print what each batch takes: of the table read whole, then of the deletions."""
    with tempfile.TemporaryDirectory() as home, PostgresServer(Path(home) / "server") as server:
        url, folder = server.superuser_url(), Path(home) / "lake"
        with closing(connect(url)) as session:
            session.run(CREATE)
            session.run(FILL.format(rows))
            for statement in (None, DELETE):
                if statement:
                    session.run(statement)
                has_more = True
                while has_more:
                    command = [sys.executable, "-m", "benchmarks.deletions", url, str(folder)]
                    answer = subprocess.run(command, check=True, capture_output=True).stdout
                    has_more = json.loads(answer)["more"]
                    sys.stdout.write(answer.decode())
                    sys.stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [number]:
            measure(int(number))
        case [url, folder]:
            sys.stdout.write(json.dumps(captured(url, Path(folder))) + "\n")
