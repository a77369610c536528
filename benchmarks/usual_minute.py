"""The usual minute: a database of real size in which little has changed, and a cold start."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from random import Random
from typing import Any

import pg8000.native

from benchmarks.databases import Database
from benchmarks.lake import Call, FunctionProcess, Lake
from benchmarks.measuring import say, spread
from benchmarks.plan import Plan
from benchmarks.results import Record, record
from benchmarks.sample import NOW
from benchmarks.workshop import Workshop
from local.connection import connect
from local.databases import create_source, create_warehouse
from pipelines.totesys.sample.business_day import place_order

FUNCTIONS = ("extract", "transform", "load")
CHANGES = (0, 1, 50, 1_000)
REPEAT = 7
ROWS_OF_AN_ORDER = 3  # with its transaction and its payment
WARM, COLD = "warm", "cold"
ALL = "all three"


def measure(workshop: Workshop, plan: Plan) -> Iterator[Record]:
    """Yield a record for each function and number of changes, and for the cold start of each.

    `rows` of a record is the number of rows that were changed in the source. The first call of each
    function, which moves the whole database, is not measured here.
    """
    source, warehouse = _live(workshop, 0.05 if plan.quick else 1.0)
    repeat = plan.repeat or (2 if plan.quick else REPEAT)
    with workshop.lake(source) as lake:
        with ExitStack() as processes:
            functions = {
                use: processes.enter_context(lake.function(use, warehouse)) for use in FUNCTIONS
            }
            for function in functions.values():
                function.call()
            for changes in plan.rows or CHANGES:
                yield from _warm(
                    workshop, lake, (source, warehouse), functions, changes, repeat=repeat
                )
        for use in FUNCTIONS:
            yield _cold(lake, warehouse, use, repeat)


def _live(workshop: Workshop, scale: float) -> tuple[Database, Database]:
    """Make a shop of real size and an empty warehouse."""
    server, made = workshop.databases.server, []
    for name, url in (
        ("totesys", create_source(server, "totesys", now=NOW, scale=scale)),
        ("warehouse", create_warehouse(server, "totesys")),
    ):
        made.append(Database(name, url, server.superuser_url(name)))
    return made[0], made[1]


def _warm(
    workshop: Workshop,
    lake: Lake,
    databases: tuple[Database, Database],
    functions: Mapping[str, FunctionProcess],
    changes: int,
    *,
    repeat: int,
) -> Iterator[Record]:
    """Measure warm functions on a minute with so many changed rows."""
    calls: dict[str, list[Call]] = {use: [] for use in functions}
    source, warehouse = databases
    reads = {"extract": source.name, "load": warehouse.name}
    read: dict[str, tuple[int, int]] = {}
    for _ in range(repeat):
        with connect(source.superuser_url) as shop:
            change(shop, changes)
        for use, function in functions.items():
            before = {name: workshop.databases.reading(name) for name in reads.values()}
            calls[use].append(function.call())
            if use in reads:
                rows, size = workshop.databases.reading(reads[use])
                read[use] = rows - before[reads[use]][0], size - before[reads[use]][1]
    say(f"usual minute: {changes} changes")
    batch = calls["extract"][-1].result["batch"]
    moved = lake.batch_bytes(batch) if batch else {}
    for use, made in calls.items():
        found = read.get(use)
        yield record(WARM, changes, use, [call.measurement for call in made]) | {
            "database_rows_read": found and found[0],
            "database_bytes_read": found and found[1],
            "batch_bytes": moved,
        }
    totals = [
        sum(call.measurement.seconds for call in turn) for turn in zip(*calls.values(), strict=True)
    ]
    yield {"case": WARM, "rows": changes, "contender": ALL, "seconds": spread(totals)}


def change(shop: pg8000.native.Connection, rows: int) -> None:
    """Change so many rows: about half by new orders, the others without a trace."""
    rng = Random(rows)  # noqa: S311  # nosec B311  # must repeat; nothing here is a secret
    orders = rows // (2 * ROWS_OF_AN_ORDER)
    for number in range(orders):
        place_order(shop, rng, NOW + timedelta(minutes=number))
    silent = rows - orders * ROWS_OF_AN_ORDER
    shop.run(
        "UPDATE sales_order SET design_id = CASE design_id WHEN 1 THEN 2 ELSE design_id - 1 END"
        " WHERE sales_order_id IN (SELECT sales_order_id FROM sales_order"
        " ORDER BY hashint4(sales_order_id) LIMIT :silent)",
        silent=silent,
    )


def _cold(lake: Lake, warehouse: Database, use: str, repeat: int) -> Record:
    """Measure the first call of new processes, with nothing to do: what a cold start costs."""
    calls: list[Call] = []
    for _ in range(repeat):
        with lake.function(use, warehouse) as function:
            calls.append(function.call())
    first = [call.first_query_cpu for call in calls if call.first_query_cpu is not None]
    more: dict[str, Any] = {
        "import_seconds": spread([call.import_seconds for call in calls]),
        "import_cpu": spread([call.import_cpu for call in calls]),
        "first_query_cpu": spread(first) if first else None,
        "first_call_cpu": spread([call.process_cpu for call in calls]),
    }
    say(f"cold start: {use}")
    return record(COLD, 0, use, [call.measurement for call in calls]) | more
