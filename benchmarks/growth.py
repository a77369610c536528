"""Growth: time and peak memory against rows, and against the history that a fact table has."""

from collections.abc import Iterator

from benchmarks import fillings
from benchmarks.databases import UNCONSTRAINED, Database
from benchmarks.lake import Lake
from benchmarks.measuring import Measurement, say
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.sample import FACT, FACT_COLUMNS
from benchmarks.usual_minute import change
from benchmarks.workshop import Workshop
from local.connection import connect

SIZES = (100_000, 1_000_000, 2_000_000, 10_000_000)
HISTORY_ROWS = 100_000
DEPTHS = (1, 5, 10, 20)
ROWS, HISTORY = "rows", "history"
FUNCTIONS = ("extract", "transform", "load", "reconcile")
CHANGES = 50
"""Rows changed in the batch that comes after the whole table."""


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each function at each size, then for load at each depth of history.

    The warehouse has no foreign keys: checking them is linear, and most of the time.
    """
    for rows in plan.sizes(SIZES):
        runs: dict[str, list[Measurement]] = {use: [] for use in FUNCTIONS}
        for _ in range(plan.repeat or (1 if plan.quick or rows > 2_000_000 else 2)):
            for use, taken in _whole(workshop, rows).items():
                runs[use].append(taken)
        for use, measurements in runs.items():
            yield record(ROWS, rows, use, measurements)
    if not plan.rows:
        yield from _history(workshop, 10_000 if plan.quick else HISTORY_ROWS)


def _whole(workshop: Workshop, rows: int) -> dict[str, Measurement]:
    """Run each function once over a whole database, each in a new process."""
    taken = {}
    source = workshop.databases.source(rows)
    template = workshop.databases.template(UNCONSTRAINED)
    with workshop.databases.warehouse(template) as warehouse, workshop.lake(source) as lake:
        for use in FUNCTIONS:
            with lake.function(use, warehouse) as function:
                taken[use] = function.call().measurement
            say(f"growth: {rows:,} rows, {use}: {taken[use].seconds:.2f} s")
    return taken


def _history(workshop: Workshop, rows: int) -> Iterator[Record]:
    """Load the same rows, and then a small batch, into tables with ever longer histories."""
    databases = workshop.databases
    source = databases.source(rows)
    with workshop.folder() as folder:
        fillings.write_text(databases, source, folder / "rows")
        for depth in DEPTHS:
            with (
                databases.warehouse(databases.template(UNCONSTRAINED)) as warehouse,
                workshop.lake(source) as lake,
            ):
                fillings.fill(databases, warehouse, folder / "rows")
                _age(warehouse, depth)
                whole, small = _load_twice(lake, source, warehouse)
            # The changes that are made meanwhile are in the next lake's first batch.
            fillings.write_text(databases, source, folder / "rows")
            say(f"growth: {depth} records an order: {whole.seconds:.2f} s, {small.seconds:.2f} s")
            yield record(HISTORY, depth, "load, none new", [whole])
            yield record(HISTORY, depth, f"load, {CHANGES} changes", [small])


def _age(warehouse: Database, depth: int) -> None:
    """Give every order so many records, the newest of which is what it is now."""
    with connect(warehouse.superuser_url) as connection:
        connection.run(f"CREATE TEMPORARY TABLE now AS SELECT {FACT_COLUMNS} FROM {FACT}")
        older = FACT_COLUMNS.replace("units_sold", "units_sold + :back")
        connection.run(f"TRUNCATE {FACT}")
        for back in range(depth - 1, -1, -1):
            connection.run(
                f"INSERT INTO {FACT} ({FACT_COLUMNS}) SELECT {older} FROM now",  # nosec B608
                back=back,
            )


def _load_twice(
    lake: Lake, source: Database, warehouse: Database
) -> tuple[Measurement, Measurement]:
    """Load a batch without changes, and then one with a few."""
    lake.fill()
    with lake.function("load", warehouse) as function:
        whole = function.call().measurement
        with connect(source.superuser_url) as shop:
            change(shop, CHANGES)
        lake.fill()
        return whole, function.call().measurement
