"""MySQL: rows into a table with a key, ours beside LOAD DATA LOCAL INFILE and dlt.

LOAD DATA reads the rows as CSV; ours and dlt have them as Parquet, ours from the local AWS.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.databases import Database
from benchmarks.files import NAME, write_orders
from benchmarks.measuring import (
    BenchmarkError,
    Measurement,
    Peer,
    Record,
    charged,
    cpu_of_process,
    say,
)
from benchmarks.pipelines.orders_mysql.pipeline import PIPELINE, orders
from benchmarks.testbed import Lake, Testbed
from etl import mysqlddl
from etl.mysqlddl import quoted
from local.mysql import MysqlServer, run_sql

SIZES = (1_000_000,)
OURS, RAW = "ours, load", "LOAD DATA LOCAL INFILE"
PEERS = {
    "dlt, sqlalchemy, Parquet": Peer("mysql.dlt_parquet"),
    "dlt, sqlalchemy, as by default": Peer("mysql.dlt_default"),
}
# What a small server for such a table has; the sandbox's has 64 MB.
SETTINGS = {"local-infile": "ON", "innodb-buffer-pool-size": "512M"}

_numbers = count(1)


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each contender at each size; the case names the server."""
    with testbed.folder() as folder:
        folder.chmod(0o711)  # as root the server runs as nobody, who has to get in
        with MysqlServer(folder / "mysql", settings=SETTINGS) as server:
            installed = server.installation
            case = f"{installed.product} {'.'.join(map(str, installed.version))}, with a key"
            for rows in testbed.plan.sizes(SIZES):
                with testbed.folder() as forms, _lake(testbed, forms, rows) as lake:
                    runs = _contenders(testbed, forms, rows, lake)
                    into = partial(_into, server, rows)
                    contenders = {name: partial(into, run) for name, run in runs.items()}
                    yield from testbed.plan.compare(case, rows, contenders)


@contextmanager
def _lake(testbed: Testbed, folder: Path, rows: int) -> Iterator[Lake]:
    """Write rows to a folder as CSV and as Parquet, and yield a lake that has them."""
    file = folder / NAME
    say(f"mysql: {rows:,} rows, {write_orders(file, rows) / 1e6:,.0f} MB")
    with testbed.drop_bucket(file) as bucket:
        settings = {"PIPELINE": "orders_mysql", "DROP_BUCKET": bucket, "WAREHOUSE_SCHEMA": ""}
        with testbed.lake(None, **settings) as lake:
            lake.fill()
            lake.write_parquet(orders.name, folder / "parquet")
            yield lake


def _contenders(
    testbed: Testbed, folder: Path, rows: int, lake: Lake
) -> dict[str, Callable[[Database], Measurement]]:
    # Ours has the driver: no other environment is needed.
    load_data = partial(testbed.run_peer, Path(sys.executable), "mysql.load_data")
    return {
        RAW: partial(_peer, load_data, folder / NAME),
        OURS: lake.load,
        **{
            name: partial(_peer, run, folder / "parquet")
            for name, run in testbed.peers(PEERS, rows).items()
        },
    }


def _peer(run: Callable[..., Measurement], rows: Path, warehouse: Database) -> Measurement:
    return run(warehouse=warehouse.url, table=orders.name, rows=str(rows))


def _into(server: MysqlServer, rows: int, run: Callable[[Database], Measurement]) -> Measurement:
    """Run a contender on an empty table, and check that it has so many rows then.

    Raises BenchmarkError when it has not: what does less is faster.
    """
    name = f"orders_{next(_numbers)}"
    url = server.superuser_url(name)
    statement = mysqlddl.mysql(PIPELINE.targets[0], name, collation=server.collation)[orders.name]
    run_sql(server.superuser_url(), f"CREATE DATABASE {quoted(name)}", statement)
    process = (server.data / "server.pid").read_text().strip()
    try:
        measurement = charged(
            lambda: run(Database(name, url, url)), lambda: cpu_of_process(process, children=False)
        )
        [[found]] = run_sql(url, f"SELECT count(*) FROM {quoted(orders.name)}")
    finally:
        run_sql(server.superuser_url(), f"DROP DATABASE {quoted(name)}")
    if found != rows:
        raise BenchmarkError(f"{orders.name} should have {rows} rows and has {found}")
    return measurement
