"""What changes cost, by the rows that lie beside them: a quiet minute, and a few changed rows.

Beside ours are the ways in which others find changes: a query for newer time stamps, by psql and by
dlt, and the stream of the source's log, which Debezium reads. The queries look at one table, ours
at all; what a stream sends are messages, of which somebody has yet to make the rows of a moment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.databases import FACT, UNCONSTRAINED, Database
from benchmarks.measuring import (
    Measurement,
    Peer,
    Record,
    record,
    run_pipeline,
    say,
    spread,
    together,
)
from benchmarks.minute import change
from benchmarks.testbed import FUNCTIONS, NO_EVENT, FunctionProcess, Lake, Testbed
from etl import Postgres
from etl.loading import load
from etl.sources import CAPTURES
from local.connection import connect
from local.databases import publish_source

SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
QUIET, CHANGED = "quiet", "changed"
BY_SCHEDULE = {"detail-type": "Scheduled Event"}
SCHEDULED, ASKED = "extract, by schedule", "extract, asked for"
POLLER, DLT, STREAM = "psql, newer stamps", "dlt, newer stamps", "stream of the log"
CHANGES = 50
TURNS = 3
QUIET_CALLS, LONG_SECONDS = 10, 1.0
"""The server counts its CPU in hundredths of a second, more than a quiet minute takes.

A call that takes long is measured alone."""

TABLE = "sales_order"
_SLOT = "streamed"
_STREAM = (
    "COPY (SELECT data FROM pg_logical_slot_get_binary_changes("
    "'{slot}', NULL, NULL, 'proto_version', '1', 'publication_names', '{publication}')) TO STDOUT"
)
_NEWER = f"COPY (SELECT * FROM {TABLE} WHERE last_updated > '{{since}}') TO STDOUT"
# Of a message's bytes as COPY writes them: its kind comes first, and these are about a row.
_MESSAGE, _OF_ROWS = rb"\\x", {b"%02x" % kind for kind in b"IUD"}

Look = Callable[[datetime], Measurement]
"""What looks once for changes; of those by stamps, for stamps after a time."""


def with_capture(use: str, capture: str) -> str:
    """Return the name of functions that find changes in one of two ways."""
    return f"{use}, {capture}"


ALL = "all three"


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield a record for each way to find changes, at each size of the table.

    The warehouse has no foreign keys, and an index on the orders' key, as a managed one has.
    """
    databases = testbed.databases
    for rows in testbed.plan.sizes(SIZES):
        source = databases.source(rows)
        publish_source(databases.server, "totesys", database=source.name)
        with (
            databases.warehouse(databases.template(UNCONSTRAINED)) as warehouse,
            testbed.lake(source) as lake,
        ):
            lake.call_each(warehouse)
            databases.run(
                warehouse.name, f"CREATE INDEX by_key ON {FACT} (sales_order_id)", f"ANALYZE {FACT}"
            )
            for capture in CAPTURES:
                yield from _ours(testbed, lake, (source, warehouse), rows, capture)
        with _others(testbed, source) as looks:
            for contender, look in looks.items():
                yield _quiet(testbed, source, rows, contender, look)
                yield _changed(testbed, source, rows, contender, look)


def _ours(
    testbed: Testbed, lake: Lake, ends: tuple[Database, Database], rows: int, capture: str
) -> Iterator[Record]:
    """Call warm functions when nothing has changed, and when a few rows have."""
    source, warehouse = ends
    with ExitStack() as processes:
        functions = {
            use: processes.enter_context(lake.function(use, warehouse, SOURCE_CAPTURE=capture))
            for use in FUNCTIONS
        }
        for function in functions.values():
            function.call()
        extract = functions["extract"]
        for name, event in ((SCHEDULED, BY_SCHEDULE), (ASKED, NO_EVENT)):
            contender = with_capture(name, capture)
            yield _quiet(testbed, source, rows, contender, partial(_call, extract, event))
        runs: dict[str, list[Measurement]] = {use: [] for use in (*FUNCTIONS, ALL)}
        read = []
        for _ in range(TURNS):
            _change(source)
            taken, size = _reading(testbed, source, partial(_call, extract, BY_SCHEDULE))
            read.append(size)
            turn = {"extract": taken} | {
                use: functions[use].call().measurement for use in FUNCTIONS if use != "extract"
            }
            for use, one in (turn | {ALL: together(list(turn.values()))}).items():
                runs[use].append(one)
        extract.call({"release": True})
    for use, taken_by in runs.items():
        say(f"changed: {rows:,} rows, {use}, {capture}: {taken_by[-1].seconds:.2f} s")
        sizes = read if use == "extract" else []
        yield _record(CHANGED, rows, with_capture(use, capture), taken_by, sizes)


def _call(
    function: FunctionProcess, event: Mapping[str, Any], _: datetime | None = None
) -> Measurement:
    return function.call(event).measurement


@contextmanager
def _others(testbed: Testbed, source: Database) -> Iterator[dict[str, Look]]:
    """Yield the ways of others; the slot of the stream is there meanwhile."""
    [publication] = (
        each.publication for each in load("totesys").sources if isinstance(each, Postgres)
    )

    def psql(statement: str) -> Measurement:
        with testbed.folder() as folder:
            with (folder / "rows").open("wb") as file:
                command = testbed.databases.psql(source, statement)
                taken = testbed.databases.charged(lambda: run_pipeline(command, stdout=file))
            lines = (folder / "rows").read_bytes().splitlines()
        found = [line for line in lines if not line.startswith(_MESSAGE) or line[3:5] in _OF_ROWS]
        return replace(taken, rows=len(found))

    def by_dlt(run: Callable[..., Measurement], since: datetime) -> Measurement:
        return run(url=source.superuser_url, table=TABLE, since=since.isoformat())

    looks: dict[str, Look] = {
        POLLER: lambda since: psql(_NEWER.format(since=since)),
        STREAM: lambda _: psql(_STREAM.format(slot=_SLOT, publication=publication)),
    }
    for name, run in testbed.peers({DLT: Peer("postgres.extract_dlt_newer")}, 0).items():
        looks[name] = partial(by_dlt, run)
    databases = testbed.databases
    databases.run(source.name, f"SELECT pg_create_logical_replication_slot('{_SLOT}', 'pgoutput')")
    try:
        yield looks
    finally:
        databases.run(source.name, f"SELECT pg_drop_replication_slot('{_SLOT}')")


def _quiet(testbed: Testbed, source: Database, rows: int, contender: str, look: Look) -> Record:
    """Look when nothing has changed; the figures are means of some calls, if these are short."""
    since = _newest_stamp(source)
    calls = 1 if contender == DLT or look(since).seconds > LONG_SECONDS else QUIET_CALLS
    taken, size = _reading(testbed, source, lambda: _mean([look(since) for _ in range(calls)]))
    say(f"quiet: {rows:,} rows, {contender}: {taken.seconds:.3f} s")
    return _record(QUIET, rows, contender, [taken], [size // calls])


def _changed(testbed: Testbed, source: Database, rows: int, contender: str, look: Look) -> Record:
    """Look after some rows have changed, a few times."""
    turns = []
    for _ in range(TURNS):
        since = _change(source)
        turns.append(_reading(testbed, source, partial(look, since)))
    taken, sizes = zip(*turns, strict=True)
    say(f"changed: {rows:,} rows, {contender}: {taken[-1].seconds:.2f} s")
    return _record(CHANGED, rows, contender, taken, sizes)


def _change(source: Database) -> datetime:
    """Change some rows; return the newest stamp that was there before."""
    newest = _newest_stamp(source)
    with connect(source.superuser_url) as shop:
        change(shop, CHANGES, newest + timedelta(minutes=1))
    return newest


def _newest_stamp(source: Database) -> datetime:
    with connect(source.superuser_url) as shop:
        [[newest]] = shop.run(f"SELECT max(last_updated) FROM {TABLE}")  # nosec B608
    return datetime.fromisoformat(str(newest))


def _reading(
    testbed: Testbed, source: Database, run: Callable[[], Measurement]
) -> tuple[Measurement, int]:
    """Run something; return its cost, and the bytes of blocks that it read in the source."""
    _, before = testbed.databases.reading(source.name)
    taken = run()
    _, after = testbed.databases.reading(source.name)
    return taken, after - before


def _mean(runs: Sequence[Measurement]) -> Measurement:
    total = together(runs)
    used = total.database_cpu
    return replace(
        total,
        seconds=total.seconds / len(runs),
        cpu=total.cpu / len(runs),
        database_cpu=used / len(runs) if used is not None else None,
    )


def _record(
    case: str, rows: int, contender: str, runs: Sequence[Measurement], sizes: Sequence[int]
) -> Record:
    found = record(case, rows, contender, runs)
    return found | {"read": spread(sizes)}
