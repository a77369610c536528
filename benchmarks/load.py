"""Load: Parquet into the prepared fact table, ours against raw COPY and the peers.

All of it into copies of one warehouse, so that each run begins from the same files on the disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import fillings
from benchmarks.databases import CONSTRAINED, UNCONSTRAINED
from benchmarks.lake import Lake
from benchmarks.measuring import Measurement, alternate, run_peer, run_program, say
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.sample import FACT, FACT_COLUMNS
from benchmarks.workshop import Workshop

SIZES = (100_000, 1_000_000)
ALL_NEW = "ours, all new"
RAW = "psql COPY"
# By name: the task, and the most rows, since with foreign keys a million take a minute each.
PEERS = {
    "adbc": ("load.adbc", 100_000),
    "dlt, Parquet": ("load.dlt_parquet", 100_000),
    "dlt, CSV": ("load.dlt_csv", 100_000),
    "awswrangler, largest statements": ("load.awswrangler", 100_000),
    "awswrangler, as by default": ("load.awswrangler_default", 100_000),
}
UNCONSTRAINED_PEERS = {**PEERS, **{name: (PEERS[name][0], None) for name in list(PEERS)[:3]}}


@dataclass(frozen=True)
class Rows:
    """The rows to load: in the lake, as Parquet files in `parquet`, and as COPY's own text."""

    lake: Lake
    parquet: Path
    text: Path


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size, with and without foreign keys."""
    for rows in plan.sizes(SIZES):
        with _rows(workshop, rows) as material:
            for case in (UNCONSTRAINED, CONSTRAINED):
                say(f"load: {rows:,} rows, {case}")
                contenders = _appending(workshop, plan, material, case, rows)
                full = _full(workshop, material) if case == CONSTRAINED else {}
                contenders |= {
                    name: partial(_ours, workshop, material, full[name]) for name in full
                }
                runs = alternate(plan.chosen(contenders), plan.repetitions(rows))
                for name, measurements in runs.items():
                    yield record(case, rows, name, measurements)
                for name in full.values():
                    workshop.databases.drop(name)


@contextmanager
def _rows(workshop: Workshop, rows: int) -> Iterator[Rows]:
    """Lend the rows of a source in all the forms in which they are loaded."""
    databases = workshop.databases
    source = databases.source(rows)
    with workshop.lake(source) as lake, workshop.folder() as folder:
        lake.fill()
        parquet, text = folder / "parquet", folder / "rows.txt"
        parquet.mkdir()
        for number, body in enumerate(lake.star_files(FACT)):
            (parquet / f"{number}.parquet").write_bytes(body)
        fillings.write_text(databases, source, text)
        yield Rows(lake, parquet, text)


def _appending(
    workshop: Workshop, plan: Plan, material: Rows, case: str, rows: int
) -> dict[str, Callable[[], Measurement]]:
    """Return those who append all rows to an empty table."""
    template = workshop.databases.template(case)
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(_raw, workshop, material, template),
        ALL_NEW: partial(_ours, workshop, material, template),
    }
    for name, (task, most) in (PEERS if case == CONSTRAINED else UNCONSTRAINED_PEERS).items():
        if plan.peers and (most is None or rows <= most):
            contenders[name] = partial(_peer, workshop, plan, material, template, task)
    return contenders


def _full(workshop: Workshop, material: Rows) -> dict[str, str]:
    """Return warehouses that have the rows already, by the name of our load into them."""
    return fillings.make(workshop.databases, material.lake, material.text)


def _raw(workshop: Workshop, material: Rows, template: str) -> Measurement:
    databases = workshop.databases
    query = f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"
    command = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", query]
    with databases.warehouse(template) as warehouse, material.text.open("rb") as file:
        environment = databases.psql_environment(warehouse.name)
        return databases.charged(lambda: run_program(command, environment, stdin=file))


def _ours(workshop: Workshop, material: Rows, template: str) -> Measurement:
    with (
        workshop.databases.warehouse(template) as warehouse,
        material.lake.function("load", warehouse) as function,
    ):
        return function.call().measurement


def _peer(workshop: Workshop, plan: Plan, material: Rows, template: str, task: str) -> Measurement:
    with workshop.databases.warehouse(template) as warehouse, workshop.folder() as folder:
        arguments = {
            "url": warehouse.superuser_url,
            "table": FACT,
            "folder": str(material.parquet),
            "scratch": str(folder),
        }
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
