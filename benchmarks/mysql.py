"""MySQL: a million rows into a table with a key, ours beside LOAD DATA LOCAL INFILE and dlt.

LOAD DATA reads the rows as CSV; ours and dlt have them as Parquet, ours from the local AWS.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks import orders_file
from benchmarks.databases import LINUX, TICKS_PER_SECOND, Database
from benchmarks.files import KEY, dropped, remove
from benchmarks.lake import Lake
from benchmarks.measuring import BenchmarkError, Measurement, alternate, run_peer, say
from benchmarks.pipelines.orders_mysql.pipeline import PIPELINE, orders
from benchmarks.plan import Peer, Plan
from benchmarks.results import Record, record
from benchmarks.workshop import Workshop
from etl import mysqlddl
from etl.mysqlddl import quoted
from local.mysql import MysqlServer, run_sql

SIZES = (1_000_000,)
CASE = "with a key"
RAW, OURS = "LOAD DATA LOCAL INFILE", "ours, load"
PEERS = {
    "dlt, sqlalchemy, Parquet": Peer("mysql.dlt_parquet"),
    "dlt, sqlalchemy, as by default": Peer("mysql.dlt_default"),
}
# What a small server for such a table has; the sandbox's has 64 MB.
SETTINGS = {"local-infile": "ON", "innodb-buffer-pool-size": "512M"}

_numbers = count(1)


@dataclass(frozen=True)
class Rows:
    """The rows to load: in the lake, as Parquet files in a folder, and as CSV."""

    count: int
    lake: Lake
    parquet: Path
    text: Path


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size."""
    with workshop.folder() as folder:
        folder.chmod(0o711)  # as root the server runs as nobody, who has to get in
        with MysqlServer(folder / "mysql", settings=SETTINGS) as server:
            for rows in plan.sizes(SIZES):
                with _rows(workshop, rows) as material:
                    each = _contenders(workshop, plan, server, material)
                    runs = alternate(plan.chosen(each), plan.repetitions(rows))
                for name, measurements in runs.items():
                    yield record(CASE, rows, name, measurements)


@contextmanager
def _rows(workshop: Workshop, rows: int) -> Iterator[Rows]:
    """Lend the rows in all the forms in which they are loaded."""
    with workshop.folder() as folder:
        text, parquet = folder / KEY, folder / "parquet"
        say(f"mysql: {rows:,} rows, {orders_file.write(text, rows) / 1e6:,.0f} MB")
        drop = dropped(text)
        settings = {"PIPELINE": "orders_mysql", "DROP_BUCKET": drop, "WAREHOUSE_SCHEMA": ""}
        with workshop.lake(None, **settings) as lake:
            lake.fill()
            parquet.mkdir()
            for number, body in enumerate(lake.star_files(orders.name)):
                (parquet / f"{number}.parquet").write_bytes(body)
            yield Rows(rows, lake, parquet, text)
        remove(drop)


def _contenders(
    workshop: Workshop, plan: Plan, server: MysqlServer, material: Rows
) -> dict[str, Callable[[], Measurement]]:
    into = partial(_into, server, material.count)
    # Ours has the driver: no other environment is needed.
    raw = partial(_peer, workshop, Path(sys.executable), "mysql.load_data", str(material.text))
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(into, raw),
        OURS: partial(into, partial(_ours, material)),
    }
    if plan.peers:
        for name, peer in PEERS.items():
            run = partial(_peer, workshop, plan.peers, peer.task, str(material.parquet))
            contenders[name] = partial(into, run)
    return contenders


def _into(server: MysqlServer, rows: int, run: Callable[[Database], Measurement]) -> Measurement:
    """Run a contender on an empty table, and see that some table has so many rows then.

    Raises BenchmarkError when it has not: what does less is faster.
    """
    name = f"orders_{next(_numbers)}"
    url = server.superuser_url(name)
    statement = mysqlddl.mysql(PIPELINE.targets[0], name, collation=server.collation)["orders"]
    run_sql(server.superuser_url(), f"CREATE DATABASE {quoted(name)}", statement)
    try:
        before = _cpu_seconds(server)
        measurement = run(Database(name, url, url))
        after = _cpu_seconds(server)
        [[found]] = run_sql(url, f"SELECT count(*) FROM {quoted(orders.name)}")
    finally:
        run_sql(server.superuser_url(), f"DROP DATABASE {quoted(name)}")
    if found != rows:
        raise BenchmarkError(f"{orders.name} was to have {rows} rows and has {found}")
    used = None if before is None or after is None else round(after - before, 2)
    return replace(measurement, database_cpu=used)


def _cpu_seconds(server: MysqlServer) -> float | None:
    """Return the CPU seconds of the server so far; None where /proc is not there."""
    if not LINUX:
        return None
    process = (server.data / "server.pid").read_text().strip()
    # After the name, which may hold anything: utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _ours(material: Rows, warehouse: Database) -> Measurement:
    material.lake.forget_loads()
    with material.lake.function("load", warehouse, ready=True) as function:
        return function.call().measurement


def _peer(
    workshop: Workshop, python: Path, task: str, rows: str, warehouse: Database
) -> Measurement:
    with workshop.folder() as scratch:
        arguments = {"url": warehouse.url, "table": orders.name, "rows": rows}
        return run_peer(python, task, {**arguments, "scratch": str(scratch)}, scratch)
