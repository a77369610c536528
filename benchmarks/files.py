"""A CSV file in a bucket, into a table that equals it: about 100 bytes a row.

Ours extracts, transforms and loads it, with a lake and a log between; dlt has its own files.
`psql` and pyarrow read the file from the disk.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import boto3

from benchmarks import orders_file
from benchmarks.databases import Database
from benchmarks.measuring import (
    BenchmarkError,
    Measurement,
    alternate,
    run_peer,
    run_program,
    say,
    together,
)
from benchmarks.pipelines.orders_file.pipeline import PIPELINE, orders
from benchmarks.plan import Peer, Plan
from benchmarks.results import Record, record
from benchmarks.workshop import Workshop
from etl import ddl
from local.connection import connect
from local.databases import create_managed_warehouse
from local.emulator import REGION

SIZES = (1_000_000, 10_000_000)
CASE = "replaced"
OURS, RAW = "ours, three functions", "psql \\copy"
DOCUMENTED = "dlt, filesystem and read_csv"
FUNCTIONS = ("extract", "transform", "load")
KEY = "orders.csv"
PEERS = {
    "pyarrow, adbc": Peer("files.pyarrow_adbc"),
    "dlt, filesystem and pyarrow, CSV": Peer("files.dlt_arrow_csv"),
    "dlt, filesystem and pyarrow, Parquet": Peer("files.dlt_arrow_parquet"),
    DOCUMENTED: Peer("files.dlt_read_csv", unconstrained=1_000_000),
}

_numbers = count(1)


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size, and for each function of ours."""
    for rows in plan.sizes(SIZES):
        with workshop.folder() as folder:
            file = folder / KEY
            say(f"files: {rows:,} rows, {orders_file.write(file, rows) / 1e6:,.0f} MB")
            drop = dropped(file)
            parts: dict[str, list[Measurement]] = defaultdict(list)
            contenders: dict[str, Callable[[Database], Measurement]] = {
                RAW: partial(_raw, workshop, file),
                OURS: partial(_ours, workshop, drop, parts),
            }
            for name, peer in PEERS.items():
                if plan.peers and rows <= peer.unconstrained:
                    contenders[name] = partial(_peer, workshop, plan, peer.task, (file, drop))
            each = {name: partial(_into, workshop, rows, run) for name, run in contenders.items()}
            runs = alternate(plan.chosen(each), plan.repetitions(rows))
            remove(drop)
        parts_of_ours = {f"{OURS}: {use}": found for use, found in parts.items()}
        for name, measurements in (runs | parts_of_ours).items():
            yield record(CASE, rows, name, measurements)


def dropped(file: Path) -> str:
    """Drop the file into its own bucket; return the bucket."""
    s3, name = boto3.client("s3"), f"benchmark-drop-{next(_numbers)}"
    where: Any = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.upload_file(str(file), name, KEY)
    return name


def remove(bucket: str) -> None:
    """Remove a bucket of `dropped`."""
    s3 = boto3.client("s3")
    for version in s3.list_object_versions(Bucket=bucket)["Versions"]:
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def _into(workshop: Workshop, rows: int, run: Callable[[Database], Measurement]) -> Measurement:
    """Run a contender on an empty table, and see that some table has so many rows then.

    Raises BenchmarkError when it has not: what does less is faster.
    """
    databases, name = workshop.databases, f"files_{next(_numbers)}"
    url = create_managed_warehouse(databases.server, database=name)
    warehouse = Database(name, url, databases.server.superuser_url(name))
    with connect(url) as connection:
        connection.run(ddl.postgres(PIPELINE.targets[0], "public")["orders"])
    try:
        measurement = run(warehouse)
        with connect(warehouse.superuser_url) as connection:
            schemas = "SELECT table_schema FROM information_schema.tables WHERE table_name = :name"
            counts = [
                connection.run(f"SELECT count(*) FROM {schema}.{orders.name}")[0][0]
                for [schema] in connection.run(schemas, name=orders.name)
            ]
    finally:
        databases.drop(name)
    if sum(counts) != rows:
        raise BenchmarkError(f"{orders.name} was to have {rows} rows and has {counts}")
    return measurement


def _raw(workshop: Workshop, file: Path, warehouse: Database) -> Measurement:
    databases = workshop.databases
    copy = f"\\copy {orders.name} FROM '{file}' (FORMAT csv, HEADER)"
    command = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", copy]
    environment = databases.psql_environment(warehouse.name)
    return databases.charged(lambda: run_program(command, environment))


def _ours(
    workshop: Workshop, drop: str, parts: dict[str, list[Measurement]], warehouse: Database
) -> Measurement:
    """Run the functions, and add to `parts` what each took."""
    settings = {"PIPELINE": "orders_file", "DROP_BUCKET": drop, "WAREHOUSE_MANAGED": "true"}
    taken = []
    with workshop.lake(None, **settings) as lake:
        for use in FUNCTIONS:
            with lake.function(use, warehouse, ready=True) as function:
                taken.append(function.call().measurement)
                parts[use].append(taken[-1])
    return together(taken)


def _peer(
    workshop: Workshop, plan: Plan, task: str, dropped: tuple[Path, str], warehouse: Database
) -> Measurement:
    """Run a peer; the file is `dropped` on the disk and in a bucket."""
    file, drop = dropped
    with workshop.folder() as folder:
        arguments = {
            "warehouse": warehouse.superuser_url,
            "table": orders.name,
            "file": str(file),
            "drop": {**workshop.aws.environment, "BUCKET": drop},
            "folder": str(folder),
        }
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
