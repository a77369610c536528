"""PostgreSQL: a large table out, in, and end to end; ours beside raw COPY and the other tools.

Ours does all that it does, for all eleven tables, through buckets and a log; raw COPY and the
others carry one table. Every load goes into a copy of one warehouse, so that each run begins from
the same files on the disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.databases import CONSTRAINED, FACT, FACT_COLUMNS, UNCONSTRAINED, Database
from benchmarks.measuring import Measurement, Peer, Record, run_pipeline, say, together
from benchmarks.testbed import Lake, Testbed

EXTRACT_SIZES = (100_000, 1_000_000, 2_000_000, 10_000_000)
LOAD_SIZES = (100_000, 1_000_000)

EXTRACT_CASE = "sales_order to Parquet"
EXTRACT, COPY_OUT, COPY_TO_FILE = "ours", "psql COPY to /dev/null", "psql COPY to a file"
EXTRACT_PEERS = {
    "adbc": Peer("postgres.extract_adbc"),
    "connectorx, a stream": Peer("postgres.extract_connectorx"),
    "connectorx, two partitions": Peer("postgres.extract_connectorx_partitioned", 2_000_000),
    "dlt, connectorx": Peer("postgres.extract_dlt_connectorx"),
    "dlt, pyarrow": Peer("postgres.extract_dlt_pyarrow"),
    "pg8000, rows": Peer("postgres.extract_pg8000", 1_000_000),  # it takes 25 s for a million
}

LOAD, COPY_IN = "ours, all new", "psql COPY"
LOAD_PEERS = {
    "adbc": Peer("postgres.load_adbc"),
    "dlt, Parquet": Peer("postgres.load_dlt_parquet"),
    "dlt, CSV": Peer("postgres.load_dlt_csv", 100_000),
    "awswrangler, largest statements": Peer("postgres.load_awswrangler", 100_000),
    "awswrangler, as by default": Peer("postgres.load_awswrangler_default", 100_000, 0),
}
# Warehouses that have the rows already. Nobody but the owner of a table can ANALYZE it, so a loader
# meets whatever statistics are there.
NEVER_ANALYSED = "ours, none new, table never analysed"
ANALYSED_EMPTY = "ours, none new, table analysed when empty"
NONE_NEW = "ours, none new"
CHANGED = "ours, 1 % changed"

END_TO_END, COPY_COPY = "ours, three functions", "psql COPY | psql COPY"
OWN_TABLE = "its own table"  # instead of the prepared one, whose columns it cannot fill
END_TO_END_PEERS = {
    "dlt, connectorx, CSV": Peer("postgres.copy_dlt_connectorx_csv"),
    "dlt, pyarrow, CSV": Peer("postgres.copy_dlt_pyarrow_csv"),
    f"dlt, connectorx, Parquet, {OWN_TABLE}": Peer(
        "postgres.copy_dlt_connectorx_parquet", most_constrained=0
    ),
    "awswrangler, largest statements": Peer("postgres.copy_awswrangler", 1_000_000),
    "awswrangler, as by default": Peer("postgres.copy_awswrangler_default", 100_000, 0),
}


def extract(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each contender at each size.

    Ours copies all eleven tables, of which the others are small, to the local AWS's S3; the peers
    one table to a local file.
    """
    for rows in testbed.plan.sizes(EXTRACT_SIZES):
        say(f"extract: {rows:,} rows")
        source = testbed.databases.source(rows)
        contenders: dict[str, Callable[[], Measurement]] = {
            COPY_OUT: partial(_copy_out, testbed, source, to_file=False),
            EXTRACT: partial(_extract, testbed, source),
            COPY_TO_FILE: partial(_copy_out, testbed, source, to_file=True),
        }
        for name, run in testbed.peers(EXTRACT_PEERS, rows).items():
            contenders[name] = partial(run, url=source.superuser_url, table="sales_order")
        yield from testbed.plan.compare(EXTRACT_CASE, rows, contenders)


def load(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each contender at each size, with and without foreign keys."""
    for rows in testbed.plan.sizes(LOAD_SIZES):
        source = testbed.databases.source(rows)
        with testbed.lake(source) as lake, testbed.folder() as folder:
            lake.fill()
            lake.write_parquet(FACT, folder / "parquet")
            testbed.databases.write_rows(source, folder / "rows")
            say(f"load: {rows:,} rows")
            contenders = _all_new(testbed, UNCONSTRAINED, rows, lake, folder)
            yield from testbed.plan.compare(UNCONSTRAINED, rows, contenders)
            with _full_warehouses(testbed, lake, folder / "rows") as full:
                contenders = _all_new(testbed, CONSTRAINED, rows, lake, folder)
                contenders |= _again(testbed, rows, lake, full)
                yield from testbed.plan.compare(CONSTRAINED, rows, contenders)


def end_to_end(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each contender at each size, with and without foreign keys."""
    for rows in testbed.plan.sizes(LOAD_SIZES):
        source = testbed.databases.source(rows)
        for case in (UNCONSTRAINED, CONSTRAINED):
            say(f"end to end: {rows:,} rows, {case}")
            into = partial(testbed.databases.into, testbed.databases.template(case), rows)
            contenders: dict[str, Callable[[], Measurement]] = {
                COPY_COPY: partial(into, partial(_copy_copy, testbed, source)),
                END_TO_END: partial(into, partial(_three_functions, testbed, source)),
            }
            peers = testbed.peers(END_TO_END_PEERS, rows, is_constrained=case == CONSTRAINED)
            for name, run in peers.items():
                arguments = {"source": source.superuser_url, "table": FACT}
                contenders[name] = partial(into, partial(_into_warehouse, run, arguments))
            yield from testbed.plan.compare(case, rows, contenders)


def _copy_out(testbed: Testbed, source: Database, *, to_file: bool) -> Measurement:
    psql = testbed.databases.psql(source, "COPY sales_order TO STDOUT")
    if not to_file:
        return testbed.databases.charged(lambda: run_pipeline(psql))
    with testbed.folder() as folder, (folder / "rows").open("wb") as file:
        return testbed.databases.charged(lambda: run_pipeline(psql, stdout=file))


def _extract(testbed: Testbed, source: Database) -> Measurement:
    with testbed.lake(source) as lake, lake.function("extract", ready=True) as function:
        return function.call().measurement


def _all_new(
    testbed: Testbed, case: str, rows: int, lake: Lake, folder: Path
) -> dict[str, Callable[[], Measurement]]:
    """Return those that append all rows, of which there are three forms, to an empty table."""
    into = partial(testbed.databases.into, testbed.databases.template(case), rows)
    contenders: dict[str, Callable[[], Measurement]] = {
        COPY_IN: partial(into, partial(_copy_in, testbed, folder / "rows")),
        LOAD: partial(into, lake.load),
    }
    peers = testbed.peers(LOAD_PEERS, rows, is_constrained=case == CONSTRAINED)
    for name, run in peers.items():
        arguments = {"table": FACT, "folder": str(folder / "parquet")}
        contenders[name] = partial(into, partial(_into_warehouse, run, arguments))
    return contenders


def _again(
    testbed: Testbed, rows: int, lake: Lake, full: dict[str, Database]
) -> dict[str, Callable[[], Measurement]]:
    """Return our loads into warehouses that have the rows already."""
    return {
        name: partial(
            testbed.databases.into,
            database.name,
            rows + (rows // 100 if name == CHANGED else 0),
            lake.load,
        )
        for name, database in full.items()
    }


@contextmanager
def _full_warehouses(testbed: Testbed, lake: Lake, text: Path) -> Iterator[dict[str, Database]]:
    """Yield warehouses to be copied, by what a load of the same rows into them shows."""
    databases = testbed.databases
    names = (NEVER_ANALYSED, ANALYSED_EMPTY, NONE_NEW, CHANGED)
    made = {name: databases.copy(databases.template(CONSTRAINED)) for name in names}
    databases.run(made[ANALYSED_EMPTY].name, f"ANALYZE {FACT}")
    for database in made.values():
        databases.fill(database, text)
        lake.load(database)  # the few rows of the other tables
    databases.run(made[NONE_NEW].name, "VACUUM ANALYZE")
    changed = f"UPDATE {FACT} SET units_sold = units_sold + 1 WHERE sales_order_id % 100 = 0"
    databases.run(made[CHANGED].name, changed, "VACUUM ANALYZE")
    yield made
    for database in made.values():
        databases.drop(database.name)


def _copy_in(testbed: Testbed, text: Path, warehouse: Database) -> Measurement:
    psql = testbed.databases.psql(warehouse, f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN")
    with text.open("rb") as file:
        return testbed.databases.charged(lambda: run_pipeline(psql, stdin=file))


def _copy_copy(testbed: Testbed, source: Database, warehouse: Database) -> Measurement:
    programs = (
        testbed.databases.psql(source, f"COPY (SELECT * FROM {FACT}) TO STDOUT"),
        testbed.databases.psql(warehouse, f"COPY {FACT} ({FACT_COLUMNS}) FROM STDIN"),
    )
    return testbed.databases.charged(lambda: run_pipeline(*programs))


def _three_functions(testbed: Testbed, source: Database, warehouse: Database) -> Measurement:
    with testbed.lake(source) as lake:
        return together(list(lake.call_each(warehouse).values()))


def _into_warehouse(
    run: Callable[..., Measurement], arguments: dict[str, str], warehouse: Database
) -> Measurement:
    return run(**arguments, warehouse=warehouse.superuser_url)
