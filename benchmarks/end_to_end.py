"""End to end: a large table from the source to the warehouse's fact table.

Ours does all that it does, for all eleven tables, through two buckets and a log; `COPY | COPY` and
the peers carry one view to one table.
"""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.databases import CONSTRAINED, UNCONSTRAINED, Database
from benchmarks.measuring import Measurement, alternate, run_peer, run_pipe, say, together
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.sample import FACT, FACT_COLUMNS
from benchmarks.workshop import Workshop

SIZES = (100_000, 1_000_000)
OURS, RAW = "ours, three functions", "psql COPY | psql COPY"
# By name: the task, and the most rows.
PREPARED: dict[str, tuple[str, int | None]] = {
    "dlt, connectorx, CSV": ("end_to_end.dlt_connectorx_csv", 100_000),
    "dlt, pyarrow, CSV": ("end_to_end.dlt_pyarrow_csv", 100_000),
    "awswrangler, largest statements": ("end_to_end.awswrangler", 100_000),
    "awswrangler, as by default": ("end_to_end.awswrangler_default", 100_000),
}
PEERS: dict[str, dict[str, tuple[str, int | None]]] = {
    CONSTRAINED: PREPARED,
    UNCONSTRAINED: {
        **PREPARED,
        "dlt, connectorx, CSV": ("end_to_end.dlt_connectorx_csv", None),
        "dlt, pyarrow, CSV": ("end_to_end.dlt_pyarrow_csv", None),
        "dlt, connectorx, Parquet, table of its own": ("end_to_end.dlt_connectorx_parquet", None),
    },
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
    template = workshop.databases.template(case)
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(_raw, workshop, source, template),
        OURS: partial(_ours, workshop, source, template),
    }
    for name, (task, most) in PEERS[case].items():
        if plan.peers and (most is None or rows <= most):
            contenders[name] = partial(_peer, workshop, plan, source, template, task)
    return contenders


def _raw(workshop: Workshop, source: Database, template: str) -> Measurement:
    databases = workshop.databases
    psql = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"]
    sending = [*psql, f"COPY (SELECT * FROM {FACT}) TO STDOUT"]
    receiving = [*psql, f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"]
    with databases.warehouse(template) as warehouse:
        ends = [databases.psql_environment(name) for name in (source.name, warehouse.name)]
        return databases.charged(lambda: run_pipe(sending, receiving, *ends))


def _ours(workshop: Workshop, source: Database, template: str) -> Measurement:
    parts = []
    with (
        workshop.databases.warehouse(template) as warehouse,
        workshop.lake(source) as lake,
    ):
        for use in ("extract", "transform", "load"):
            with lake.function(use, warehouse) as function:
                parts.append(function.call().measurement)
    return together(parts)


def _peer(
    workshop: Workshop, plan: Plan, source: Database, template: str, task: str
) -> Measurement:
    with workshop.databases.warehouse(template) as warehouse, workshop.folder() as folder:
        arguments = {
            "source": source.superuser_url,
            "warehouse": warehouse.superuser_url,
            "table": FACT,
            "folder": str(folder),
        }
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
