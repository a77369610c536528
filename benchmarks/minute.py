"""A typical minute: a database of real size in which little has changed, and a cold start."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from random import Random

import pg8000.native

from benchmarks.databases import NOW, Database, Databases
from benchmarks.measuring import Record, record, say, spread
from benchmarks.testbed import FUNCTIONS, Call, FunctionProcess, Lake, Testbed
from local.connection import connect
from local.databases import create_source, create_warehouse
from pipelines.totesys.sample.business_day import place_order

CHANGES = (0, 1, 50, 1_000)
REPEAT = 7
ROWS_OF_AN_ORDER = 3  # with its transaction and its payment
WARM, COLD = "warm", "cold"
ALL = "all three"


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each function and number of changes, and for the cold start of each.

    `rows` of a record is the number of rows that were changed in the source. The first call of each
    function, which moves the whole database, is not measured here.
    """
    plan, databases = testbed.plan, testbed.databases
    scale = 0.05 if plan.quick else 1.0
    source = databases.named(
        "totesys", create_source(databases.server, "totesys", now=NOW, scale=scale)
    )
    warehouse = databases.named("warehouse", create_warehouse(databases.server, "totesys"))
    repeat = plan.repeat or (2 if plan.quick else REPEAT)
    with testbed.lake(source) as lake:
        with ExitStack() as processes:
            functions = {
                use: processes.enter_context(lake.function(use, warehouse)) for use in FUNCTIONS
            }
            for function in functions.values():
                function.call()
            for changes in plan.rows or CHANGES:
                say(f"minute: {changes} changes")
                minutes = [
                    _minute(databases, (source, warehouse), functions, changes)
                    for _ in range(repeat)
                ]
                yield from _warm(lake, changes, minutes)
        for use in FUNCTIONS:
            yield _cold(lake, warehouse, use, repeat)


def _minute(
    databases: Databases,
    ends: tuple[Database, Database],
    functions: Mapping[str, FunctionProcess],
    changes: int,
) -> dict[str, tuple[Call, dict[str, int]]]:
    """Change rows and call the functions; return the calls, and what was read in a database."""
    source, warehouse = ends
    with connect(source.superuser_url) as shop:
        change(shop, changes)
    read_from = {"extract": source.name, "load": warehouse.name}
    minute: dict[str, tuple[Call, dict[str, int]]] = {}
    for use, function in functions.items():
        if use not in read_from:
            minute[use] = function.call(), {}
            continue
        before = databases.reading(read_from[use])
        call = function.call()
        rows, size = (
            now - then for now, then in zip(databases.reading(read_from[use]), before, strict=True)
        )
        minute[use] = call, {"database_rows_read": rows, "database_bytes_read": size}
    return minute


def _warm(
    lake: Lake, changes: int, minutes: list[dict[str, tuple[Call, dict[str, int]]]]
) -> Iterator[Record]:
    """Yield the records of warm functions, and that of all of them together."""
    last = minutes[-1]
    batch = last["extract"][0].result["batch"]
    moved = {"batch_bytes": lake.batch_bytes(batch) if batch else {}}
    for use, (_, read) in last.items():
        runs = [minute[use][0].measurement for minute in minutes]
        yield record(WARM, changes, use, runs) | read | moved
    totals = [sum(call.measurement.seconds for call, _ in minute.values()) for minute in minutes]
    yield {"case": WARM, "rows": changes, "contender": ALL, "seconds": spread(totals)}


def change(shop: pg8000.native.Connection, rows: int, now: datetime = NOW) -> None:
    """Change so many rows: about half by new orders from `now` on, the others without a trace."""
    rng = Random(rows)  # noqa: S311  # nosec B311  # must repeat; nothing here is a secret
    orders = rows // (2 * ROWS_OF_AN_ORDER)
    for number in range(orders):
        place_order(shop, rng, now + timedelta(minutes=number))
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
    more: Record = {
        "import_seconds": spread([call.import_seconds for call in calls]),
        "import_cpu": spread([call.import_cpu for call in calls]),
        "first_query_cpu": spread(first),
        "first_call_cpu": spread([call.process_cpu for call in calls]),
    }
    say(f"cold start: {use}")
    return record(COLD, 0, use, [call.measurement for call in calls]) | more
