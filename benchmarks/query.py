"""`deploy.py query`: a count by month over a history in the lake, as a process that is started.

The rows are written to the lake as transform writes them; neither source nor warehouse takes part.
"""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from secrets import randbelow
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.measuring import ROOT, Measurement, Record, record, run_pipeline, say
from benchmarks.testbed import Testbed, create_bucket
from deployer.resources.names import Names
from functions.common.batchlog import BatchLog
from functions.common.manifests import ProcessedManifest, Source, StarTable
from functions.common.parquet import ROWS_PER_PART, PartWriter
from functions.common.storage import Bucket
from local.emulator import ACCOUNT, REGION

SIZES = (1_000_000, 10_000_000)
COUNT = "count by month"
FETCHED, AGAIN, CHANGED, BEFORE = (
    "first, objects are fetched",
    "again",
    "after a batch of 50 rows",
    "as of the batch before",
)
TABLE = "fact_sales_order"
BY_MONTH = (
    "SELECT year(created_date) AS year, month(created_date) AS month, count(*) AS orders"
    f" FROM {TABLE} GROUP BY ALL ORDER BY ALL"
)
CHANGES = 50
REPEAT = 3
START = datetime(2024, 1, 1, tzinfo=UTC)


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield records of one query: without a cache, with it, and after the log has grown."""
    for rows in testbed.plan.sizes(SIZES, quick=50_000):
        lake = _Lake(f"query-{rows}-{randbelow(10**6)}", rows)
        lake.add(_orders(0, rows))
        yield lake.asked(FETCHED, 1)
        yield lake.asked(AGAIN, testbed.plan.repeat or REPEAT)
        lake.add(_orders(rows // 2, rows // 2 + CHANGES, units=1_001))
        yield lake.asked(CHANGED, 1)
        yield lake.asked(BEFORE, testbed.plan.repeat or REPEAT, "--as-of", "1")


class _Lake:
    """The processed bucket of a project that is not deployed, with one table."""

    def __init__(self, project: str, rows: int) -> None:
        self._rows = rows
        self._environment = {
            **os.environ,
            "PIPELINE": "totesys",
            "PROJECT": project,
            "WAREHOUSE_SCHEMA": "public",
        }
        name = create_bucket(Names(project, "dev", ACCOUNT, REGION).bucket("processed"))
        self._s3: Any = boto3.client("s3")
        self._bucket = Bucket(self._s3, name)
        self._log = BatchLog(self._bucket, "source", ProcessedManifest)

    def add(self, parts: Iterator[pa.Table]) -> None:
        """Add a batch and its marker."""
        batch = self._log.newest() + 1
        at = START + timedelta(minutes=batch)
        writer = PartWriter(self._bucket, TABLE, batch, date(2024, 1, 1))
        for part in parts:
            writer.write(part)
        files = writer.close()
        table = StarTable(sum(file.rows for file in files), files)
        source = Source("1", 1, "benchmark", at)
        self._log.claim(
            ProcessedManifest(
                batch=batch,
                written_at=at,
                run=str(batch),
                source=source,
                tables={TABLE: table},
                balance={},
                quarantine={},
                absent={},
            )
        )
        marker = {"batch": batch, "written_at": at.isoformat(), "has": {TABLE: batch}}
        body = json.dumps(marker).encode()
        self._bucket.put_new(f"loaded/source/{batch:010d}.json", body)

    def asked(self, contender: str, repeat: int, *options: str) -> Record:
        """Return the record of asking so often."""
        runs = [self._ask(*options) for _ in range(repeat)]
        say(f"query: {self._rows:,} rows, {contender}: {runs[-1].seconds:.2f} s")
        return record(COUNT, self._rows, contender, runs)

    def _ask(self, *options: str) -> Measurement:
        command = [sys.executable, str(ROOT / "deploy.py"), "query", BY_MONTH, "--json", *options]
        return run_pipeline((command, self._environment))


def _orders(first: int, end: int, units: int = 1) -> Iterator[pa.Table]:
    """Yield orders with these ids, in parts, spread over four years."""
    for start in range(first, end, ROWS_PER_PART):
        ids = np.arange(start, min(end, start + ROWS_PER_PART), dtype=np.int32)
        days = pa.array((19_000 + ids % 1_461).astype(np.int32)).cast(pa.date32())
        times = pa.array(ids.astype(np.int64) * 997_000 % 86_400_000_000).cast(pa.time64("us"))
        small = {
            name: pa.array(ids % modulus)
            for name, modulus in (
                ("sales_staff_id", 20),
                ("counterparty_id", 50),
                ("currency_id", 4),
                ("design_id", 300),
                ("agreed_delivery_location_id", 90),
            )
        }
        price = pc.divide(pa.array(ids % 99_999).cast(pa.decimal128(12, 2)), 100)
        yield pa.table(
            {
                "sales_order_id": pa.array(ids),
                "created_date": days,
                "created_time": times,
                "last_updated_date": days,
                "last_updated_time": times,
                "units_sold": pa.array(ids % 1_000 + units),
                "unit_price": price.cast(pa.decimal128(10, 2), safe=False),
                "agreed_payment_date": days,
                "agreed_delivery_date": days,
                **small,
            }
        )
