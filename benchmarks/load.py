"""Load: Parquet into the prepared fact table, ours against raw COPY and the peers.

All of it into copies of one warehouse, so that each run begins from the same files on the disk.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import fillings
from benchmarks.databases import CONSTRAINED, UNCONSTRAINED, Database
from benchmarks.lake import Lake
from benchmarks.measuring import Measurement, alternate, run_peer, run_program, say
from benchmarks.plan import Peer, Plan
from benchmarks.results import Record, record
from benchmarks.sample import FACT, FACT_COLUMNS
from benchmarks.workshop import Workshop

SIZES = (100_000, 1_000_000)
ALL_NEW = "ours, all new"
RAW = "psql COPY"
PEERS = {
    "adbc": Peer("load.adbc"),
    "dlt, Parquet": Peer("load.dlt_parquet"),
    "dlt, CSV": Peer("load.dlt_csv", unconstrained=100_000),
    "awswrangler, largest statements": Peer("load.awswrangler", unconstrained=100_000),
    "awswrangler, as by default": Peer("load.awswrangler_default", 0, unconstrained=100_000),
}


@dataclass(frozen=True)
class Rows:
    """The rows to load: in the lake, as Parquet files in `parquet`, and as COPY's own text."""

    count: int
    lake: Lake
    parquet: Path
    text: Path


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each contender at each size, with and without foreign keys."""
    for rows in plan.sizes(SIZES):
        with _rows(workshop, rows) as material:
            yield from _measure(workshop, plan, material, UNCONSTRAINED, {})
            with fillings.full(workshop.databases, material.lake, material.text) as full:
                yield from _measure(workshop, plan, material, CONSTRAINED, full)


def _measure(
    workshop: Workshop, plan: Plan, material: Rows, case: str, full: Mapping[str, str]
) -> Iterator[Record]:
    """Measure one size; `full` are warehouses that have the rows already."""
    say(f"load: {material.count:,} rows, {case}")
    contenders = _appending(workshop, plan, material, case)
    contenders |= _again(workshop, material, full)
    for name, runs in alternate(plan.chosen(contenders), plan.repetitions(material.count)).items():
        yield record(case, material.count, name, runs)


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
        yield Rows(rows, lake, parquet, text)


def _appending(
    workshop: Workshop, plan: Plan, material: Rows, case: str
) -> dict[str, Callable[[], Measurement]]:
    """Return those who append all rows to an empty table."""
    template = workshop.databases.template(case)
    into = partial(workshop.databases.into, template, material.count)
    contenders: dict[str, Callable[[], Measurement]] = {
        RAW: partial(into, partial(_raw, workshop, material)),
        ALL_NEW: partial(into, partial(_ours, material)),
    }
    for name, peer in PEERS.items():
        if plan.peers and peer.takes(case, material.count):
            contenders[name] = partial(into, partial(_peer, workshop, plan, material, peer.task))
    return contenders


def _again(
    workshop: Workshop, material: Rows, full: Mapping[str, str]
) -> dict[str, Callable[[], Measurement]]:
    """Return our loads into warehouses that have the rows already."""
    rows = material.count
    after = {name: rows + (rows // 100 if name == fillings.CHANGED else 0) for name in full}
    return {
        name: partial(workshop.databases.into, full[name], after[name], partial(_ours, material))
        for name in full
    }


def _raw(workshop: Workshop, material: Rows, warehouse: Database) -> Measurement:
    databases = workshop.databases
    query = f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"
    command = [databases.psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", query]
    with material.text.open("rb") as file:
        environment = databases.psql_environment(warehouse.name)
        return databases.charged(lambda: run_program(command, environment, stdin=file))


def _ours(material: Rows, warehouse: Database) -> Measurement:
    # Else load recognises a copy of a warehouse that has the rows, and compares none of them.
    material.lake.forget_loads()
    with material.lake.function("load", warehouse, ready=True) as function:
        return function.call().measurement


def _peer(
    workshop: Workshop, plan: Plan, material: Rows, task: str, warehouse: Database
) -> Measurement:
    with workshop.folder() as folder:
        arguments = {
            "url": warehouse.superuser_url,
            "table": FACT,
            "folder": str(material.parquet),
            "scratch": str(folder),
        }
        return workshop.databases.charged(lambda: run_peer(plan.peers, task, arguments, folder))
