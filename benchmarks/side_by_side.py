"""Side by side: what several sessions at a time gain in a source and in a warehouse.

The sessions are psql's, so the figures are the most that several readers of a first load, or
several loaders, could gain. Each has its share of the rows, by ranges of keys.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from pg8000.native import identifier

from benchmarks.databases import CONSTRAINED, FACT, FACT_COLUMNS, UNCONSTRAINED, Database
from benchmarks.measuring import Measurement, Record, run_pipeline
from benchmarks.testbed import Testbed
from local.connection import connect

ROWS = 400_000
SESSIONS = (1, 2, 4)
ALONE = "1"
READ = "read one table"
ONE_TABLE, OWN_TABLES = "load into one table", "load, each into its own table"


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each number of readers and of loaders."""
    for rows in testbed.plan.sizes((ROWS,)):
        source = testbed.databases.source(rows)
        readers = {str(many): partial(_read, testbed, source, rows, many) for many in SESSIONS}
        yield from testbed.plan.compare(READ, rows, readers)
        for case in (UNCONSTRAINED, CONSTRAINED):
            for where in (ONE_TABLE, OWN_TABLES):
                loaders = {
                    str(many): partial(_load, testbed, source, case, where, many)
                    for many in SESSIONS
                }
                yield from testbed.plan.compare(f"{where}, {case}", rows, loaders)


def _ranges(rows: int, parts: int) -> Iterator[str]:
    """Yield the conditions of ranges of keys that tile the table."""
    ends = [rows * part // parts for part in range(parts + 1)]
    for first, last in pairwise(ends):
        yield f"sales_order_id > {first} AND sales_order_id <= {last}"


def _read(testbed: Testbed, source: Database, rows: int, sessions: int) -> Measurement:
    programs = [
        testbed.databases.psql(
            source, f"COPY (SELECT * FROM sales_order WHERE {condition}) TO STDOUT"
        )
        for condition in _ranges(rows, sessions)
    ]
    runs = [partial(run_pipeline, program) for program in programs]
    return testbed.databases.charged(lambda: _together(runs, rows))


def _load(testbed: Testbed, source: Database, case: str, where: str, sessions: int) -> Measurement:
    databases, rows = testbed.databases, _count(source)
    with (
        databases.warehouse(databases.template(case)) as warehouse,
        testbed.folder() as folder,
        ExitStack() as stack,
    ):
        tables = [FACT] * sessions
        if where == OWN_TABLES:
            tables = [f"{FACT}_{number}" for number in range(sessions)]
            _copy_table(warehouse, tables)
        runs = []
        for number, condition in enumerate(_ranges(rows, sessions)):
            path = folder / str(number)
            _write(testbed, source, condition, path)
            statement = f"COPY {tables[number]} ({FACT_COLUMNS}) FROM STDIN"
            file = stack.enter_context(path.open("rb"))
            runs.append(partial(run_pipeline, databases.psql(warehouse, statement), stdin=file))
        return databases.charged(lambda: _together(runs, rows))


def _write(testbed: Testbed, source: Database, condition: str, path: Path) -> None:
    statement = f"COPY (SELECT * FROM {FACT} WHERE {condition}) TO STDOUT"
    with path.open("wb") as file:
        run_pipeline(testbed.databases.psql(source, statement), stdout=file)


def _count(source: Database) -> int:
    with connect(source.superuser_url) as connection:
        [[rows]] = connection.run("SELECT count(*) FROM sales_order")
    return int(rows)


def _copy_table(warehouse: Database, names: Sequence[str]) -> None:
    """Make tables like the fact, with its keys."""
    with connect(warehouse.superuser_url) as connection:
        keys = connection.run(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = CAST(:name AS regclass)",
            name=FACT,
        )
        for name in names:
            connection.run(f"CREATE TABLE {identifier(name)} (LIKE {FACT} INCLUDING ALL)")
            for [key] in keys:
                connection.run(f"ALTER TABLE {identifier(name)} ADD {key}")


def _together(runs: Sequence[Callable[[], Measurement]], rows: int) -> Measurement:
    """Run programs at the same time; return the seconds until the last one has ended."""
    began = perf_counter()
    with ThreadPoolExecutor(len(runs)) as threads:
        taken = [each.result() for each in [threads.submit(run) for run in runs]]
    return Measurement(perf_counter() - began, sum(each.cpu for each in taken), rows)
