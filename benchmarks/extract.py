"""Extract: one large table out of PostgreSQL into Parquet, ours against raw COPY and the peers."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.databases import Database
from benchmarks.measuring import Contenders, Measurement, alternate, run_peer, run_program, say
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.workshop import Workshop

SIZES = (100_000, 1_000_000, 2_000_000, 10_000_000)
CASE = "sales_order to Parquet"
OURS = "ours"
RAW, RAW_FILE = "psql COPY to /dev/null", "psql COPY to a file"
DLT = "dlt"
# The peers, by name: their task, and the most rows that they are asked for.
PEERS = {
    "adbc": ("extract.adbc", None),
    "connectorx, a stream": ("extract.connectorx", None),
    "connectorx, two partitions": ("extract.connectorx_partitioned", 2_000_000),  # in memory
    f"{DLT}, connectorx": ("extract.dlt_connectorx", None),
    f"{DLT}, pyarrow": ("extract.dlt_pyarrow", None),
    "pg8000, rows": ("extract.pg8000", 1_000_000),  # it takes 25 s for a million
}


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size.

    Ours copies all eleven tables, of which the others are small, to the local AWS's S3; the peers
    one table to a local file.
    """
    for rows in plan.sizes(SIZES):
        say(f"extract: {rows:,} rows")
        source = workshop.databases.source(rows)
        contenders = plan.chosen(_contenders(workshop, source, rows, plan))
        for name, runs in alternate(contenders, plan.repetitions(rows)).items():
            yield record(CASE, rows, name, runs)


def _contenders(workshop: Workshop, source: Database, rows: int, plan: Plan) -> Contenders:
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(_raw, workshop, source, to_file=False),
        OURS: partial(_ours, workshop, source),
        RAW_FILE: partial(_raw, workshop, source, to_file=True),
    }
    for name, (task, most) in PEERS.items():
        if plan.peers and (most is None or rows <= most):
            contenders[name] = partial(_peer, workshop, source, plan, task)
    return contenders


def _raw(workshop: Workshop, source: Database, *, to_file: bool) -> Measurement:
    databases = workshop.databases
    command = [databases.psql(), "-X", "-q", "-c", "COPY sales_order TO STDOUT"]
    environment = databases.psql_environment(source.name)
    with workshop.folder() as folder:
        if not to_file:
            return databases.charged(lambda: run_program(command, environment))
        with (folder / "rows").open("wb") as file:
            return databases.charged(lambda: run_program(command, environment, stdout=file))


def _ours(workshop: Workshop, source: Database) -> Measurement:
    with workshop.lake(source) as lake, lake.function("extract", ready=True) as function:
        return function.call().measurement


def _peer(workshop: Workshop, source: Database, plan: Plan, task: str) -> Measurement:
    with workshop.folder() as folder:
        arguments = {"url": source.superuser_url, "table": "sales_order", "folder": str(folder)}
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
