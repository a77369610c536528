"""The report: targets, then a table for each subject, as Markdown; made from results alone."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import end_to_end, extract, files, growth, load, mysql, package_sizes, usual_minute
from benchmarks.results import Record, Results, median
from benchmarks.targets import MEBIBYTE, MEGABYTE, Target, targets

# The contender that the others are compared with, by subject.
BASELINES = {
    "extract": extract.RAW,
    "load": load.RAW,
    "end-to-end": end_to_end.RAW,
    "files": files.RAW,
    "mysql": mysql.RAW,
}
INTRODUCTION = """\
Made by `make bench`. All contenders ran in the same call on the same data, in turn (A B A B),
each contender in its own process. Figures are medians, with the least and the most beside
them; compare ratios, not seconds. Seconds are those of the work itself, without starting Python
and importing, which has its own table. Ours includes the local AWS's S3, over HTTP on the same
cores, and all eleven tables; the peers and `psql` move one table and keep their files locally.
Targets of speed are for a million rows and more.
`CPU` is the contender's own processes', `database CPU` that of its sessions in PostgreSQL."""

COSTS = ("CPU s", "database CPU s", "peak MB")

Cells = Sequence[object]


def render(results: Results, plots: Iterable[Path]) -> str:
    """Return the whole page; `plots` are files beside it."""
    aims = list(targets(results))
    parts = ["# Benchmarks", INTRODUCTION, "## Targets", _targets(aims), *_reasons(aims)]
    for subject, baseline in BASELINES.items():
        parts += [f"## {subject}", *_compared(results, subject, baseline)]
    parts += ["## usual-minute", *_minute(results)]
    parts += ["## growth", *_growth(results)]
    parts += ["## packages", *_packages(results)]
    parts += ["## Plots", *(f"![{plot.stem}]({plot.name})" for plot in plots)]
    parts += ["## Measured on", *_machines(results)]
    return "\n\n".join(parts) + "\n"


def table(heads: Sequence[str], rows: Iterable[Cells]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    rows = list(rows)
    if not rows:
        return "Not measured."
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


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
    return table(("target", "limit", "measured", "met"), rows)


def _reasons(found: Iterable[Target]) -> Iterator[str]:
    for target in found:
        if target.met is False and target.why:
            yield f"Not met: {target.text}.\n{target.why}"


def _compared(results: Results, subject: str, baseline: str) -> Iterator[str]:
    times = f"times {baseline}".replace("|", "\\|")
    heads = ("", "seconds", "min–max (runs)", times, "rows/s", *COSTS)
    for case, rows in results.cases(subject):
        records = results.find(subject, case=case, rows=rows)
        raw = next((one for one in records if one["contender"] == baseline), None)
        yield f"{case}, {rows:,} rows"
        yield table(heads, [_compared_row(one, rows, raw) for one in records])


def _compared_row(one: Record, rows: int, raw: Record | None) -> Cells:
    seconds, limit = median(one, "seconds") or 0.0, median(raw, "seconds")
    return (
        one["contender"].replace("|", "\\|"),
        f"{seconds:.2f}",
        f"{one['seconds']['min']:.2f}–{one['seconds']['max']:.2f} ({one['seconds']['runs']})",
        f"{seconds / limit:.2f}" if limit else "",
        f"{rows / seconds:,.0f}",
        _number(one, "cpu"),
        _number(one, "database_cpu"),
        _peak(one),
    )


def _minute(results: Results) -> Iterator[str]:
    reading = ("rows the database read", "MB the database read", "KB of the batch")
    yield table(
        ("changed rows", "function", "seconds", *COSTS, *reading),
        [
            (
                one["rows"],
                one["contender"],
                _number(one, "seconds", 3),
                _number(one, "cpu", 3),
                _number(one, "database_cpu"),
                _peak(one),
                _count(one.get("database_rows_read")),
                _count(one.get("database_bytes_read"), MEGABYTE),
                _count(sum((one.get("batch_bytes") or {}).values()), 1000),
            )
            for one in results.find("usual-minute", case=usual_minute.WARM)
        ],
    )
    yield "Cold: a new process, its first call with nothing to do; CPU seconds since its start."
    columns = ("import_cpu", "first_query_cpu", "first_call_cpu", "import_seconds", "seconds")
    heads = ("function", "after imports", "at the first query", "after the first call")
    yield table(
        (*heads, "seconds of importing", "seconds of the call", "peak MB"),
        [
            (one["contender"], *(_number(one, column) for column in columns), _peak(one))
            for one in results.find("usual-minute", case=usual_minute.COLD)
        ],
    )


def _growth(results: Results) -> Iterator[str]:
    heads = ("function", "seconds", *COSTS)
    yield "Rows of the large table, all functions over the whole database, no foreign keys."
    yield _grown(results.find("growth", case=growth.ROWS), ("rows", *heads))
    yield "Records of each order in the fact table."
    yield _grown(results.find("growth", case=growth.HISTORY), ("records", *heads))
    yield "Batches in the log, with nothing to do; the first call of a process, then the others."
    for case in dict.fromkeys(case for case, _ in results.cases("growth-of-log")):
        yield _grown(results.find("growth-of-log", case=case), (case, *heads))


def _grown(records: Iterable[Record], heads: Sequence[str]) -> str:
    rows = [
        (
            f"{one['rows']:,}",
            one["contender"],
            _number(one, "seconds"),
            _number(one, "cpu"),
            _number(one, "database_cpu"),
            _peak(one),
        )
        for one in records
    ]
    return table(heads, rows)


def _packages(results: Results) -> Iterator[str]:
    yield table(
        ("package", "zipped MB", "unzipped MB", "bytecode"),
        [
            (
                one["contender"],
                f"{one['zipped'] / MEGABYTE:.2f}",
                f"{one['unzipped'] / MEGABYTE:.2f}",
                "yes" if one["compiled"] else "no",
            )
            for one in results.find("packages", case=package_sizes.SIZE)
        ],
    )
    yield table(
        ("building", "seconds"),
        [
            (one["contender"], _number(one, "seconds"))
            for one in results.find("packages", case=package_sizes.BUILD)
        ],
    )


def _machines(results: Results) -> Iterator[str]:
    for number, run in results.runs.items():
        subjects = [
            name
            for name, records in results.records.items()
            if any(one["run"] == number for one in records)
        ]
        yield f"{', '.join(subjects)}:"
        yield table(("", ""), [(name.replace("_", " "), _text(v)) for name, v in run.items()])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)


def _number(one: Record, quantity: str, digits: int = 2) -> str:
    value = median(one, quantity)
    return "" if value is None else f"{value:.{digits}f}"


def _peak(one: Record) -> str:
    return f"{one['peak']['max'] / MEBIBYTE:.0f}" if one.get("peak") else ""


def _count(value: float | None, unit: int = 1) -> str:
    return f"{value / unit:,.0f}" if value else ""
