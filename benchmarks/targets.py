"""The targets of the figures, and whether they are met."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks import changes, files, growth, minute, mysql, packages, postgres, query
from benchmarks.databases import CONSTRAINED, UNCONSTRAINED
from benchmarks.measuring import Record
from benchmarks.results import Results, median
from etl.sources import CAPTURES, SCAN, WAL

MEBIBYTE, MEGABYTE = 2**20, 10**6
LARGEST, SECOND = 10_000_000, 2_000_000
# Below that, what is measured is what a call costs: connections, catalogues, requests to S3.
MANY = 1_000_000
IDLE, FIFTY = 0, 50
PIPELINE = ("extract", "transform", "load")

PORTIONS_COST_MORE = """\
A table of more than 2,500,000 rows is read in portions, so that no function runs out of time. For
each the source is asked where it ends, and for the first it reads all keys, which is over twice
the CPU of COPY (`DB CPU`). Smaller tables are read at once, as all were before: a million rows took
the code of then 1.82 times as long as COPY on this machine, and 1.48 times on an earlier one."""

OWN_TABLE_IS_FASTER = """\
dlt's fastest way makes its own table, without key, serial number and history, and transforms
nothing; the prepared one refuses the integers of its Parquet. To be half as fast again as that,
ours would have little more time than PostgreSQL's sessions alone need of CPU to read the rows and
to write them into a table with a key (`DB CPU` below), and the rest is not idle: less CPU in all
than dlt's (`CPU`), but one function after the other. The next step would be to transform and load
a part while the next is extracted, which one manifest for a whole batch rules out today."""

COPY_CHECKS_NOTHING = """\
COPY takes the file as it is, and one bad cell ends it. Ours separates it into cells of text,
converts each by its declared type, and keeps both forms in S3, from where a batch can be replayed
and compared: all rows are written and read twice more, and a function begins when the one before it
has ended. PostgreSQL's part (`DB CPU`) is the same."""

WITHOUT_CHECKS = """\
The reader is not dlt's but a few lines of pyarrow, with the types of all columns given by hand: one
bad cell fails the file, and no row is refused, counted or compared. dlt then hands the same Arrow
rows from file to file. Its own `read_csv` is the documented way."""

INSERTS_COST_MORE = """\
LOAD DATA LOCAL needs `local_infile`, which MySQL's servers have off by default,
so load sends INSERT statements. The server takes more CPU for their literals than for a CSV file
(`DB CPU`), and ours compares the rows with what is there."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """A limit, and the values that it is for, by size or by name; none was measured if empty.

    `why` says what keeps the values from it, for as long as it is not met.
    """

    text: str
    limit: float
    values: Values
    unit: str = "×"
    at_least: bool = False
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether all values are within the limit; None when there are none."""
        if not self.values:
            return None
        if self.at_least:
            return min(self.values.values()) >= self.limit
        return max(self.values.values()) <= self.limit


def targets(results: Results) -> list[Target]:
    """Return every target with what was measured."""
    return [
        *(*_extract(results), *_load(results), *_end_to_end(results)),
        *(*_files(results), *_mysql(results)),
        *(
            *_memory(results),
            *_minute(results),
            *_changes(results),
            *_query(results),
            *_packages(results),
        ),
    ]


def _extract(results: Results) -> Iterator[Target]:
    raw, ours = _is(postgres.COPY_OUT), _is(postgres.EXTRACT)
    found = ratios(results, "extract", ours, raw)
    yield Target("extract ÷ COPY", 1.5, found, why=PORTIONS_COST_MORE)
    dlt = ratios(results, "extract", _starts("dlt"), ours, least=0)
    yield Target("dlt ÷ extract, every size", 1.0, dlt, at_least=True)


def _load(results: Results) -> Iterator[Target]:
    raw, new = _is(postgres.COPY_IN), _is(postgres.LOAD)
    for case, limit in ((CONSTRAINED, 1.15), (UNCONSTRAINED, 2.0)):
        found = ratios(results, "load", new, raw, case)
        yield Target(f"load, all new, {case} ÷ COPY", limit, found)
    for name in (postgres.NONE_NEW, postgres.NEVER_ANALYSED, postgres.ANALYSED_EMPTY):
        found = ratios(results, "load", _is(name), raw, CONSTRAINED)
        yield Target(f"load, {name.removeprefix('ours, ')} ÷ COPY", 0.1, found)


def _end_to_end(results: Results) -> Iterator[Target]:
    raw, ours = _is(postgres.COPY_COPY), _is(postgres.END_TO_END)
    for case, limit in ((CONSTRAINED, 1.15), (UNCONSTRAINED, 2.0)):
        found = ratios(results, "end-to-end", ours, raw, case)
        yield Target(f"end to end, {case} ÷ COPY", limit, found)
    for peer, chosen, limit, why in (
        ("dlt, prepared table", _into_the_prepared_table, 1.5, ""),
        ("dlt, any table", _starts("dlt"), 1.5, OWN_TABLE_IS_FASTER),
        ("awswrangler", _starts("awswrangler"), 20.0, ""),
    ):
        found = ratios(results, "end-to-end", chosen, ours, UNCONSTRAINED)
        text = f"{peer} ÷ end to end, {UNCONSTRAINED}"
        yield Target(text, limit, found, at_least=True, why=why)


def _files(results: Results) -> Iterator[Target]:
    raw, ours = _is(files.RAW), _is(files.OURS)
    found = ratios(results, "files", ours, raw)
    yield Target("CSV file ÷ COPY", 1.5, found, why=COPY_CHECKS_NOTHING)
    for how, chosen, why in (
        ("dlt as documented", _is(files.DOCUMENTED), ""),
        ("dlt with pyarrow", _starts("dlt"), WITHOUT_CHECKS),
    ):
        found = ratios(results, "files", chosen, ours)
        yield Target(f"{how} ÷ CSV file", 3.0, found, at_least=True, why=why)


def _mysql(results: Results) -> Iterator[Target]:
    ours = _is(mysql.OURS)
    found = ratios(results, "mysql", ours, _is(mysql.RAW))
    yield Target("MySQL load ÷ LOAD DATA", 1.5, found, why=INSERTS_COST_MORE)
    found = ratios(results, "mysql", _starts("dlt"), ours)
    yield Target("dlt ÷ MySQL load", 3.0, found, at_least=True)


def _memory(results: Results) -> Iterator[Target]:
    peaks = {
        (one["contender"], one["rows"]): one["peak"]["max"]
        for one in results.find("growth", case=growth.ROWS)
        if one["peak"]
    }
    large = {use: peak for (use, rows), peak in peaks.items() if rows == LARGEST}
    all_large = {use: large[use] / MEBIBYTE for use in PIPELINE if use in large}
    yield Target(f"peak memory, {LARGEST:,} rows", 512, all_large, " MB")
    grown = {
        use: large[use] / peaks[use, SECOND]
        for use in PIPELINE
        if use in large and (use, SECOND) in peaks
    }
    yield Target(f"peak memory, {LARGEST:,} ÷ {SECOND:,} rows", 1.15, grown)
    one = {use: peak / MEBIBYTE for use, peak in large.items() if use == "reconcile"}
    yield Target(f"peak memory of reconcile, {LARGEST:,} rows", 1024, one, " MB")


def _query(results: Results) -> Iterator[Target]:
    asked = results.find("query", case=query.COUNT, rows=LARGEST)
    seconds = _medians([one for one in asked if one["contender"] == query.AGAIN], "seconds")
    yield Target(f"count by month over {LARGEST:,} rows, from the cache", 5.0, seconds, " s")


def _minute(results: Results) -> Iterator[Target]:
    def warm(changes: int, contender: str, quantity: str) -> Values:
        wanted = {"case": minute.WARM, "rows": changes, "contender": contender}
        return _medians(results.find("minute", **wanted), quantity)

    yield Target("idle extract, warm, CPU", 0.15, warm(IDLE, "extract", "cpu"), " s")
    together = warm(FIFTY, minute.ALL, "seconds")
    yield Target("50 changed rows, all three functions, warm", 2.0, together, " s")
    cold = results.find("minute", case=minute.COLD)
    queries = _medians(cold, "first_query_cpu")
    yield Target("cold start to the first query, CPU", 1.0, queries, " s")
    calls = _medians([one for one in cold if one["contender"] == "transform"], "first_call_cpu")
    yield Target("cold start and first call, CPU", 2.0, calls, " s")


def _changes(results: Results) -> Iterator[Target]:
    """Compare the largest table with the smallest, and a scan with a plain query's."""
    sizes = {rows for _, rows in results.cases("changes")}
    fewest, most = min(sizes, default=0), max(sizes, default=0)

    def quotient(
        quantity: str, case: str, upper: tuple[str, int], lower: tuple[str, int]
    ) -> Values:
        values = [
            median(one, quantity)
            for contender, rows in (upper, lower)
            for one in results.find("changes", case=case, contender=contender, rows=rows)
        ]
        both = [value for value in values if value]
        return {f"{upper[1]:,}": both[0] / both[1]} if len(both) == 2 else {}

    def growth_of(quantity: str, case: str, contender: str) -> Values:
        return quotient(quantity, case, (contender, most), (contender, fewest))

    few = f"{changes.CHANGES} changed rows"
    for capture in CAPTURES:
        idle = changes.with_capture(changes.SCHEDULED, capture)
        for quantity, name in (("read", "bytes read"), ("database_cpu", "DB CPU")):
            found = growth_of(quantity, changes.QUIET, idle)
            yield Target(f"quiet minute, {capture}, {name}, most ÷ fewest rows", 1.5, found)
    found = growth_of("seconds", changes.CHANGED, changes.with_capture(changes.ALL, WAL))
    yield Target(f"{few}, all three, {WAL}, most ÷ fewest rows", 1.5, found)
    scans = [(name, most) for name in (changes.with_capture("extract", SCAN), changes.POLLER)]
    found = quotient("database_cpu", changes.CHANGED, *scans)
    yield Target(f"{few}, extract, {SCAN} ÷ psql's query, DB CPU", 1.0, found)


def _packages(results: Results) -> Iterator[Target]:
    sizes = {one["contender"]: one for one in results.find("packages", case=packages.SIZE)}
    uses = ("extract", "transform", "load", "reconcile")
    found = {
        use: one["unzipped"] / MEBIBYTE for use in uses if (one := sizes.get(packages.whole(use)))
    }
    # Lambda's own: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    yield Target("zip and layers of a function, unzipped", 250, found, " MiB")
    built = results.find("packages", case=packages.BUILD, contender=packages.UNCHANGED)
    yield Target("rebuild, nothing changed", 1.0, _medians(built, "seconds"), " s")


def ratios(
    results: Results,
    subject: str,
    upper: Callable[[str], bool],
    lower: Callable[[str], bool],
    case: str | None = None,
    *,
    least: int = MANY,
) -> Values:
    """Return how much longer the fastest of some contenders took than that of others.

    By size, for sizes of `least` rows and more.
    """
    found = {}
    for one, rows in results.cases(subject):
        if case in (None, one) and rows >= least:
            records = results.find(subject, case=one, rows=rows)
            times = [_fastest(records, chosen) for chosen in (upper, lower)]
            if times[0] and times[1]:
                found[f"{rows:,}"] = times[0] / times[1]
    return found


def _fastest(records: Iterable[Record], chosen: Callable[[str], bool]) -> float | None:
    times = [median(one, "seconds") for one in records if chosen(one["contender"])]
    return min((time for time in times if time is not None), default=None)


def _medians(records: Iterable[Record], quantity: str) -> Values:
    values = {one["contender"]: median(one, quantity) for one in records}
    return {name: value for name, value in values.items() if value is not None}


def _into_the_prepared_table(name: str) -> bool:
    return name.startswith("dlt") and postgres.OWN_TABLE not in name


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda name: name == wanted


def _starts(wanted: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(wanted)
