"""Growth: time and memory against rows, against a fact's history, and against the log's length.

The manifests of a real run are multiplied on the disk of the local AWS while that is down, as links
to one file: of a log, only the newest manifest is ever read. Listing so many keys is work of the
local AWS, so CPU seconds say more there than elapsed ones.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.databases import CONSTRAINED, FACT, FACT_COLUMNS, UNCONSTRAINED, Database
from benchmarks.measuring import Measurement, Record, record, say
from benchmarks.minute import change
from benchmarks.testbed import FUNCTIONS, Call, Lake, Testbed, reach_only
from local.connection import connect
from local.emulator import Emulator

SIZES = (100_000, 1_000_000, 2_000_000, 10_000_000)
ROWS, HISTORY = "rows", "history"
ALL = (*FUNCTIONS, "reconcile")
HISTORY_ROWS = 100_000
DEPTHS = (1, 5, 10, 20)
CHANGES = 50
"""Rows changed in the batch that comes after the whole table."""

BATCHES = (1_000, 10_000, 100_000)
COLD, WARM = "cold", "warm"
LOG_ROWS = 10_000
WARM_CALLS = 3
LINKS = 30_000  # a file may have 65,000 names on ext4


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each function at each size, then for load at each depth of history.

    The warehouse has no foreign keys: checking them is linear, and most of the time.
    """
    plan = testbed.plan
    for rows in plan.sizes(SIZES):
        runs: dict[str, list[Measurement]] = {use: [] for use in ALL}
        for _ in range(plan.repeat or (1 if plan.quick or rows > 2_000_000 else 2)):
            for use, taken in _whole(testbed, rows).items():
                runs[use].append(taken)
        for use, measurements in runs.items():
            yield record(ROWS, rows, use, measurements)
    if not plan.rows:
        yield from _history(testbed, 10_000 if plan.quick else HISTORY_ROWS)


def measure_log(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each idle function at each length of the log; `rows` are batches."""
    databases = testbed.databases
    source = databases.source(LOG_ROWS)
    with (
        testbed.folder() as folder,
        databases.warehouse(databases.template(CONSTRAINED)) as warehouse,
    ):
        aws = Emulator(folder)
        with aws:
            reach_only(aws)
            lake = Lake(aws, databases, source)
            _call_repeatedly(lake, warehouse)
        for length in testbed.plan.sizes(BATCHES, quick=BATCHES[0]):
            for bucket, prefix in (
                (lake.ingestion, "batches/source"),
                (lake.processed, "batches/source"),
                (lake.processed, "loaded/source"),
            ):
                _lengthen(aws.bucket_folder(bucket) / prefix, length)
            with aws:
                calls = _call_repeatedly(lake, warehouse)
            for use, (first, *others) in calls.items():
                say(f"log: {length:,} batches, {use}: {first.measurement.seconds:.2f} s cold")
                yield record(COLD, length, use, [first.measurement])
                yield record(WARM, length, use, [call.measurement for call in others])
        reach_only(testbed.aws)


def _whole(testbed: Testbed, rows: int) -> dict[str, Measurement]:
    """Run each function once over a whole database, each in a new process."""
    taken = {}
    source = testbed.databases.source(rows)
    template = testbed.databases.template(UNCONSTRAINED)
    with testbed.databases.warehouse(template) as warehouse, testbed.lake(source) as lake:
        for use in ALL:
            with lake.function(use, warehouse) as function:
                taken[use] = function.call().measurement
            say(f"growth: {rows:,} rows, {use}: {taken[use].seconds:.2f} s")
    return taken


def _history(testbed: Testbed, rows: int) -> Iterator[Record]:
    """Load the same rows, and then a small batch, into tables with ever longer histories."""
    databases = testbed.databases
    source = databases.source(rows)
    template = databases.template(UNCONSTRAINED)
    with testbed.folder() as folder:
        for depth in DEPTHS:
            # Again each time: the changes that are made below are in the next lake's first batch.
            databases.write_rows(source, folder / "rows")
            with databases.warehouse(template) as warehouse, testbed.lake(source) as lake:
                databases.fill(warehouse, folder / "rows")
                _age(warehouse, depth)
                loads = _load_repeatedly(lake, source, warehouse)
            for contender, taken in loads.items():
                say(f"growth: {depth} records an order, {contender}: {taken.seconds:.2f} s")
                yield record(HISTORY, depth, contender, [taken])


def _age(warehouse: Database, depth: int) -> None:
    """Give every order so many records, the newest of which has its present values."""
    with connect(warehouse.superuser_url) as connection:
        connection.run(f"CREATE TEMPORARY TABLE now AS SELECT {FACT_COLUMNS} FROM {FACT}")
        older = FACT_COLUMNS.replace("units_sold", "units_sold + :back")
        connection.run(f"TRUNCATE {FACT}")
        for back in range(depth - 1, -1, -1):
            connection.run(
                f"INSERT INTO {FACT} ({FACT_COLUMNS}) SELECT {older} FROM now",  # nosec B608
                back=back,
            )


def _load_repeatedly(lake: Lake, source: Database, warehouse: Database) -> dict[str, Measurement]:
    """Load a batch without changes, one with a few, and the same with an index on the key."""
    lake.fill()
    with lake.function("load", warehouse) as function:
        loads = {"load, none new": function.call().measurement}
        for contender in (f"load, {CHANGES} changes", f"load, {CHANGES} changes, by index"):
            with connect(source.superuser_url) as shop:
                change(shop, CHANGES)
            lake.fill()
            loads[contender] = function.call().measurement
            with connect(warehouse.superuser_url) as connection:
                connection.run(f"CREATE INDEX IF NOT EXISTS by_key ON {FACT} (sales_order_id)")
    return loads


def _call_repeatedly(lake: Lake, warehouse: Database) -> dict[str, list[Call]]:
    """Call each function in a new process, and then again while it is warm."""
    calls = {}
    for use in FUNCTIONS:
        with lake.function(use, warehouse) as function:
            calls[use] = [function.call() for _ in range(1 + WARM_CALLS)]
    return calls


def _lengthen(log: Path, length: int) -> None:
    """Extend a log on disk to so many manifests, the last of which knows its number."""
    first = log / f"{1:010d}.json"
    manifest = json.loads(first.read_bytes())
    model = first
    for number in range(2, length):
        path = log / f"{number:010d}.json"
        if number % LINKS == 0:
            path.unlink(missing_ok=True)
            path.write_bytes(first.read_bytes())
            model = path
        elif not path.exists():
            os.link(model, path)
    last = log / f"{length:010d}.json"
    last.unlink(missing_ok=True)
    manifest["batch"] = length
    if "has" in manifest:  # a marker, which says what the warehouse has
        manifest |= {"number": length, "has": dict.fromkeys(manifest["has"], length)}
    last.write_text(json.dumps(manifest))
