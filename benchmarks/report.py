"""The report: targets, then a table for each subject, as Markdown; made from results alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    changes,
    files,
    growth,
    minute,
    mysql,
    packages,
    postgres,
    query,
    side_by_side,
)
from benchmarks.measuring import Record
from benchmarks.results import Results, median
from benchmarks.targets import MEBIBYTE, MEGABYTE, Target, targets

INTRODUCTION = """\
Read this to know how fast the pipeline is, and how much CPU and memory it takes. `make bench` makes
this page from one run on one machine, which is described [below](#environment); the figures are in
[benchmarks.json](benchmarks.json).

All contenders ran on the same data, in turn (A B A B), each in its own process. Figures are
medians; compare ratios, not seconds. Seconds are those of the work itself, without starting Python
and importing, which has its own table. Ours includes the local AWS's S3, over HTTP on the same
cores, and all tables; the other tools and `psql` move one table and keep their files locally.
`CPU` is the contender's own processes', `DB CPU` that of its sessions in the database."""

TRIAL = "**A trial, not with the usual sizes, repetitions and tools: its figures mean nothing.**"
UNMEASURED = "Not measured."
SPEED = "A ÷ B is the time of A in times that of B, for a million rows and more."

CHANGES = """\
`wal` and `scan` are the two ways of `SOURCE_CAPTURE`; ours reads all tables, `psql` and dlt look at
`sales_order` alone and find of its rows those with a newer `last_updated`. `found` of the stream
are messages. `MB read` are blocks of the source that PostgreSQL read, in memory or not."""

# The contender that the others are compared with, by subject.
BASELINES = {
    "extract": postgres.COPY_OUT,
    "load": postgres.COPY_IN,
    "end-to-end": postgres.COPY_COPY,
    "files": files.RAW,
    "mysql": mysql.RAW,
}
TITLES = {"end-to-end": "End to end", "files": "CSV files", "mysql": "MySQL"}

Column = tuple[str, Callable[[Record], str]]
"""The head of a column, and what it shows of a record."""


def render(results: Results, plots: Iterable[Path]) -> str:
    """Return the whole page; `plots` are files beside it."""
    aims = targets(results)
    parts = ["# Benchmarks", INTRODUCTION, *([TRIAL] if results.run.get("trial") else [])]
    parts += ["## Targets", SPEED, _targets(aims), *_reasons(aims)]
    for subject, baseline in BASELINES.items():
        parts += [f"## {TITLES.get(subject, subject.capitalize())}"]
        tables = list(_compared(results, subject, baseline))
        parts += [f"The ratio is to `{baseline}`.", *tables] if tables else [UNMEASURED]
    parts += ["## Typical minute", *_minute(results)]
    parts += ["## What changes cost", *_changes(results), "## Growth", *_growth(results)]
    if results.find("side-by-side"):
        parts += ["## Side by side", *_side_by_side(results)]
    parts += ["## Packages", *_packages(results)]
    parts += ["## Plots", *([f"![{plot.stem}]({plot.name})" for plot in plots] or ["None."])]
    parts += ["## Environment", _environment(results.run)]
    return "\n\n".join(parts) + "\n"


def _number(quantity: str, digits: int = 2) -> Callable[[Record], str]:
    """Return what shows the median of a quantity."""

    def shown(one: Record) -> str:
        value = median(one, quantity)
        return "" if value is None else f"{value:.{digits}f}"

    return shown


def _count(quantity: str, unit: int = 1) -> Callable[[Record], str]:
    """Return what shows a whole number, in a unit, and nothing of none."""
    return lambda one: f"{one[quantity] / unit:,.0f}" if one.get(quantity) else ""


def _contender(one: Record) -> str:
    return str(one["contender"]).replace("|", "\\|")


def _range(one: Record) -> str:
    seconds = one["seconds"]
    return f"{seconds['min']:.2f}–{seconds['max']:.2f} ({seconds['runs']})"


def _rate(one: Record) -> str:
    return f"{one['rows'] / one['seconds']['median']:,.0f}"


def _peak(one: Record) -> str:
    return f"{one['peak']['max'] / MEBIBYTE:.0f}" if one.get("peak") else ""


COSTS: tuple[Column, ...] = (
    ("CPU s", _number("cpu")),
    ("DB CPU s", _number("database_cpu")),
    ("peak MB", _peak),
)


def _table(columns: Sequence[Column], records: Iterable[Record]) -> str:
    rows = [[show(one) for _, show in columns] for one in records]
    return markdown([head for head, _ in columns], rows)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    if not rows:
        return UNMEASURED
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _targets(found: Iterable[Target]) -> str:
    verdicts = {True: "yes", False: "**no**", None: "not measured"}
    rows = []
    for target in found:
        sign = "≥" if target.at_least else "≤"
        values = ", ".join(
            f"{value:.3g}{target.unit} ({name})" for name, value in target.values.items()
        )
        limit = f"{sign} {target.limit:g}{target.unit}"
        rows.append((target.text, limit, values, verdicts[target.met]))
    return markdown(("target", "limit", "measured", "met"), rows)


def _reasons(found: Iterable[Target]) -> Iterator[str]:
    for target in found:
        if target.met is False and target.why:
            yield f"Not met: {target.text}.\n{target.why}"


def _compared(results: Results, subject: str, baseline: str) -> Iterator[str]:
    for case, rows in results.cases(subject):
        records = results.find(subject, case=case, rows=rows)
        raw = next((one for one in records if one["contender"] == baseline), None)
        limit = median(raw, "seconds")

        def ratio(one: Record, limit: float | None = limit) -> str:
            seconds = median(one, "seconds")
            return f"{seconds / limit:.2f}" if seconds and limit else ""

        columns = (
            ("contender", _contender),
            ("seconds", _number("seconds")),
            ("min–max (runs)", _range),
            ("ratio", ratio),
            ("rows/s", _rate),
            *COSTS,
        )
        yield f"{case}, {rows:,} rows"
        yield _table(columns, records)


def _minute(results: Results) -> Iterator[str]:
    columns = (
        ("changed rows", lambda one: str(one["rows"])),
        ("function", _contender),
        ("seconds", _number("seconds", 3)),
        ("CPU s", _number("cpu", 3)),
        *COSTS[1:],
        ("rows read", _count("database_rows_read")),
        ("MB read", _count("database_bytes_read", MEGABYTE)),
        ("batch KB", _batch_kilobytes),
    )
    yield "Warm; `read` is what PostgreSQL read for the function."
    yield _table(columns, results.find("minute", case=minute.WARM))
    columns = (
        ("function", _contender),
        ("imports", _number("import_cpu")),
        ("first query", _number("first_query_cpu")),
        ("first call", _number("first_call_cpu")),
        ("import seconds", _number("import_seconds")),
        ("call seconds", _number("seconds")),
        ("peak MB", _peak),
    )
    yield (
        "Cold: a new process and its first call, with nothing to do. The first three columns are"
        " CPU seconds from its start until after the imports, the first query and the first call."
    )
    yield _table(columns, results.find("minute", case=minute.COLD))


def _batch_kilobytes(one: Record) -> str:
    size = sum((one.get("batch_bytes") or {}).values())
    return f"{size / 1000:,.0f}" if size else ""


def _changes(results: Results) -> Iterator[str]:
    columns = (
        ("rows beside them", lambda one: f"{one['rows']:,}"),
        ("contender", _contender),
        ("found", _count("rows_moved")),
        ("seconds", _number("seconds", 3)),
        ("CPU s", _number("cpu", 3)),
        ("DB CPU s", _number("database_cpu", 3)),
        ("MB read", _megabytes_read),
    )
    for case, text in (
        (changes.QUIET, "A quiet minute: nothing has changed."),
        (changes.CHANGED, f"{changes.CHANGES} rows have changed, about half without a new stamp."),
    ):
        yield text
        yield _table(columns, results.find("changes", case=case))
    if results.find("changes"):
        yield CHANGES


def _megabytes_read(one: Record) -> str:
    read = median(one, "read")
    return "" if read is None else f"{read / MEGABYTE:,.1f}"


def _growth(results: Results) -> Iterator[str]:
    for subject, case, head, text in (
        ("growth", growth.ROWS, "rows", "Each function over the whole database, no foreign keys."),
        ("growth", growth.HISTORY, "records", "Records of each order in the fact table."),
        ("log", growth.COLD, "batches", "Batches in the log: the first call of a process."),
        ("log", growth.WARM, "batches", "Batches in the log: a later call, with nothing to do."),
        ("query", query.COUNT, "rows", "`deploy.py query`: a count by month over a history."),
    ):
        columns = (
            (head, lambda one: f"{one['rows']:,}"),
            ("function", _contender),
            ("seconds", _number("seconds")),
            *COSTS,
        )
        if found := results.find(subject, case=case):
            yield text
            yield _table(columns, found)


def _side_by_side(results: Results) -> Iterator[str]:
    yield "Sessions of psql at the same time, each with its share of the rows."
    compared = results.find("side-by-side")
    alone = {
        one["case"]: median(one, "seconds")
        for one in compared
        if one["contender"] == side_by_side.ALONE
    }

    def faster(one: Record) -> str:
        first, seconds = alone.get(one["case"]), median(one, "seconds")
        return f"{first / seconds:.2f}" if first and seconds else ""

    columns = (
        ("what", lambda one: str(one["case"])),
        ("sessions", _contender),
        ("rows/s", _rate),
        ("times one", faster),
        *COSTS[:2],
    )
    yield _table(columns, compared)


def _packages(results: Results) -> Iterator[str]:
    sizes: Sequence[Column] = (
        ("package", _contender),
        ("zipped MB", lambda one: f"{one['zipped'] / MEGABYTE:.2f}"),
        ("unzipped MB", lambda one: f"{one['unzipped'] / MEGABYTE:.2f}"),
        ("bytecode", lambda one: "yes" if one["compiled"] else "no"),
    )
    yield _table(sizes, results.find("packages", case=packages.SIZE))
    builds = (("build", _contender), ("seconds", _number("seconds")))
    yield _table(builds, results.find("packages", case=packages.BUILD))


def _environment(run: dict[str, Any]) -> str:
    facts = {name: value for name, value in run.items() if name != "trial"}
    rows = [(name.replace("_", " "), _text(value)) for name, value in facts.items()]
    return markdown(("", ""), rows)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return "unknown" if value is None else str(value)
