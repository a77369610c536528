"""End to end: a large table from the source to the warehouse's fact table.

Ours does all that it does, for all eleven tables, through two buckets and a log; `COPY | COPY` and
the peers carry one view to one table.
"""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.databases import CONSTRAINED, UNCONSTRAINED, Database
from benchmarks.measuring import Measurement, alternate, run_peer, run_pipe, say, together
from benchmarks.plan import Peer, Plan
from benchmarks.results import Record, record
from benchmarks.sample import FACT, FACT_COLUMNS
from benchmarks.workshop import Workshop

SIZES = (100_000, 1_000_000)
OURS, RAW = "ours, three functions", "psql COPY | psql COPY"
OWN_TABLE = "its own table"  # instead of the prepared one, whose columns it cannot fill
PEERS = {
    "dlt, connectorx, CSV": Peer("end_to_end.dlt_connectorx_csv"),
    "dlt, pyarrow, CSV": Peer("end_to_end.dlt_pyarrow_csv"),
    f"dlt, connectorx, Parquet, {OWN_TABLE}": Peer("end_to_end.dlt_connectorx_parquet", 0),
    "awswrangler, largest statements": Peer("end_to_end.awswrangler", unconstrained=1_000_000),
    "awswrangler, as by default": Peer("end_to_end.awswrangler_default", 0, 100_000),
}


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size, with and without foreign keys."""
    for rows in plan.sizes(SIZES):
        source = workshop.databases.source(rows)
        for case in (UNCONSTRAINED, CONSTRAINED):
            say(f"end to end: {rows:,} rows, {case}")
            contenders = _contenders(workshop, plan, source, case, rows)
            runs = alternate(plan.chosen(contenders), plan.repetitions(rows))
            for name, measurements in runs.items():
                yield record(case, rows, name, measurements)


def _contenders(
    workshop: Workshop, plan: Plan, source: Database, case: str, rows: int
) -> dict[str, Callable[[], Measurement]]:
    into = partial(workshop.databases.into, workshop.databases.template(case), rows)
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(into, partial(_raw, workshop, source)),
        OURS: partial(into, partial(_ours, workshop, source)),
    }
    for name, peer in PEERS.items():
        if plan.peers and peer.takes(case, rows):
            contenders[name] = partial(into, partial(_peer, workshop, plan, source, peer.task))
    return contenders


def _raw(workshop: Workshop, source: Database, warehouse: Database) -> Measurement:
    databases = workshop.databases
    psql = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"]
    sending = [*psql, f"COPY (SELECT * FROM {FACT}) TO STDOUT"]
    receiving = [*psql, f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"]
    ends = [databases.psql_environment(database.name) for database in (source, warehouse)]
    return databases.charged(lambda: run_pipe(sending, receiving, *ends))


def _ours(workshop: Workshop, source: Database, warehouse: Database) -> Measurement:
    parts = []
    with workshop.lake(source) as lake:
        for use in ("extract", "transform", "load"):
            with lake.function(use, warehouse, ready=True) as function:
                parts.append(function.call().measurement)
    return together(parts)


def _peer(
    workshop: Workshop, plan: Plan, source: Database, task: str, warehouse: Database
) -> Measurement:
    with workshop.folder() as folder:
        arguments = {
            "source": source.superuser_url,
            "warehouse": warehouse.superuser_url,
            "table": FACT,
            "folder": str(folder),
        }
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
