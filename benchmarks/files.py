"""Files: a CSV file in a bucket, into a table that equals it; about 100 bytes a row.

Ours extracts, transforms and loads it, with buckets and a log between, and dlt through its files.
`psql` and pyarrow read the file from the disk.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.databases import Database, Databases
from benchmarks.measuring import Measurement, Peer, Record, record, run_pipeline, say, together
from benchmarks.pipelines.orders_file.pipeline import PIPELINE, orders
from benchmarks.testbed import Testbed
from etl import ddl
from local.connection import connect
from local.databases import create_managed_warehouse

SIZES = (1_000_000, 10_000_000)
CASE = "replaced"
OURS, RAW = "ours, three functions", "psql \\copy"
DOCUMENTED = "dlt, filesystem and read_csv"
NAME = "orders.csv"
PEERS = {
    "pyarrow, adbc": Peer("files.pyarrow_adbc"),
    "dlt, filesystem and pyarrow, CSV": Peer("files.dlt_arrow_csv"),
    "dlt, filesystem and pyarrow, Parquet": Peer("files.dlt_arrow_parquet"),
    DOCUMENTED: Peer("files.dlt_read_csv", 1_000_000),
}

ROWS_AT_A_TIME = 1_000_000
STATUSES = ("ordered", "shipped", "delivered", "returned")
NOTES = (None, "leave it at the door", 'says "ring twice"', "gift, with a card", "as last time")
PLACES = ("Manchester", "Leeds", "York", "São Paulo", "Kraków", "Lagos", "Abuja", "Ibadan")


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each contender at each size, and for each function of ours."""
    template = _template(testbed.databases)
    for rows in testbed.plan.sizes(SIZES):
        with testbed.folder() as folder:
            file = folder / NAME
            say(f"files: {rows:,} rows, {write_orders(file, rows) / 1e6:,.0f} MB")
            with testbed.drop_bucket(file) as bucket:
                parts: dict[str, list[Measurement]] = defaultdict(list)
                runs: dict[str, Callable[[Database], Measurement]] = {
                    RAW: partial(_copy, testbed, file),
                    OURS: partial(_ours, testbed, bucket, parts),
                }
                drop = {**testbed.aws.environment, "BUCKET": bucket}
                for name, peer in testbed.peers(PEERS, rows).items():
                    arguments = {"table": orders.name, "file": str(file), "drop": drop}
                    runs[name] = partial(_peer, peer, arguments)
                into = partial(testbed.databases.into, template, rows, table=orders.name)
                contenders = {name: partial(into, run) for name, run in runs.items()}
                yield from testbed.plan.compare(CASE, rows, contenders)
                for use, taken in parts.items():
                    yield record(CASE, rows, f"{OURS}: {use}", taken)


def write_orders(path: Path, rows: int) -> int:
    """Write a CSV file of so many orders, always the same; return its bytes."""
    random = np.random.default_rng(1)
    with csv.CSVWriter(path, _orders(random, 0, 0).schema) as writer:
        for start in range(0, rows, ROWS_AT_A_TIME):
            writer.write(_orders(random, start, min(ROWS_AT_A_TIME, rows - start)))
    return path.stat().st_size


def _template(databases: Databases) -> str:
    """Return a warehouse with an empty table for the file, to be copied."""
    name = "warehouse_files"
    url = create_managed_warehouse(databases.server, database=name)
    with connect(url) as connection:
        connection.run(ddl.postgres(PIPELINE.targets[0], "public")[orders.name])
    return name


def _copy(testbed: Testbed, file: Path, warehouse: Database) -> Measurement:
    statement = f"\\copy {orders.name} FROM '{file}' (FORMAT csv, HEADER)"
    psql = testbed.databases.psql(warehouse, statement)
    return testbed.databases.charged(lambda: run_pipeline(psql))


def _ours(
    testbed: Testbed, bucket: str, parts: dict[str, list[Measurement]], warehouse: Database
) -> Measurement:
    """Run the functions, and add to `parts` what each took."""
    settings = {"PIPELINE": "orders_file", "DROP_BUCKET": bucket, "WAREHOUSE_MANAGED": "true"}
    with testbed.lake(None, **settings) as lake:
        taken = lake.call_each(warehouse)
    for use, measurement in taken.items():
        parts[use].append(measurement)
    return together(list(taken.values()))


def _peer(
    run: Callable[..., Measurement], arguments: Mapping[str, object], warehouse: Database
) -> Measurement:
    return run(**arguments, warehouse=warehouse.superuser_url)


def _orders(random: np.random.Generator, start: int, rows: int) -> pa.Table:
    def numbers(low: int, high: int) -> pa.Array:
        return pa.array(random.integers(low, high, rows))

    days = numbers(18_000, 20_500)
    quantity, cents = numbers(1, 20), numbers(99, 99_999)
    delivered = pc.if_else(pc.less(numbers(0, 10), 7), pc.add(days, numbers(1, 30)), None)
    place = pa.array(PLACES).take(numbers(0, len(PLACES)))
    note = pc.binary_join_element_wise(
        pa.array(NOTES, pa.string()).take(numbers(0, len(NOTES))), place, " / "
    )
    return pa.table(
        {
            "order_id": pa.array(np.arange(start, start + rows) + 100_000_000),
            "customer_id": numbers(1, 2_000_000),
            "product_id": numbers(1, 50_000),
            "ordered_on": days.cast(pa.int32()).cast(pa.date32()),
            "delivered_on": delivered.cast(pa.int32()).cast(pa.date32()),
            "quantity": quantity,
            "unit_price": _money(cents),
            "total": _money(pc.multiply(quantity, cents)),
            "status": pa.array(STATUSES).take(numbers(0, len(STATUSES))),
            "note": note,
        }
    )


def _money(cents: pa.Array) -> pa.Array:
    whole = cents.cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(pa.decimal128(19, 2), len(whole), whole.buffers())
