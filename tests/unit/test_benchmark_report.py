"""The report of the benchmarks: honest verdicts, and nothing compared across runs."""

from pathlib import Path
from typing import Any

from benchmarks import changes, postgres, side_by_side
from benchmarks.databases import UNCONSTRAINED
from benchmarks.measuring import ROOT, Measurement, Record, record, spread
from benchmarks.report import render
from benchmarks.results import Results, plot_files
from benchmarks.targets import MANY, targets
from etl.sources import WAL

RUN = {
    "began": "2026-11-21T10:49:39+00:00",
    "cpu": "a processor",
    "cores": 2,
    "postgresql": {"version": "18.4", "fsync": "off"},
}


def took(contender: str, *seconds: float, rows: int = MANY, peak: int | None = None) -> Record:
    runs = [Measurement(one, one / 2, rows, peak, 0.25) for one in seconds]
    return record(postgres.EXTRACT_CASE, rows, contender, runs)


def results(*records: Record) -> Results:
    made = Results()
    made.add("extract", records, RUN)
    return made


def verdicts(made: Results) -> dict[str, bool | None]:
    return {target.text: target.met for target in targets(made)}


def test_a_ratio_is_that_of_the_medians() -> None:
    """One slow run of a noisy machine decides nothing."""
    made = results(took(postgres.COPY_OUT, 1.0, 1.0, 9.0), took(postgres.EXTRACT, 1.4, 1.2, 8.0))

    [target] = [one for one in targets(made) if one.text == "extract ÷ COPY"]

    assert target.values == {"1,000,000": 1.4}


def test_a_target_is_met_only_when_every_size_keeps_it() -> None:
    """A good figure at one size does not hide a bad one at another."""
    small = [took(postgres.COPY_OUT, 1.0), took(postgres.EXTRACT, 1.4), took("dlt, pyarrow", 3.0)]
    large = [
        took(postgres.COPY_OUT, 1.0, rows=2 * MANY),
        took(postgres.EXTRACT, 1.6, rows=2 * MANY),
        took("dlt, pyarrow", 3.0, rows=2 * MANY),
        took("dlt, connectorx", 1.7, rows=2 * MANY),
    ]

    said = verdicts(results(*small, *large))

    assert said["extract ÷ COPY"] is False
    assert said["dlt ÷ extract, every size"] is True
    assert verdicts(results(*small))["extract ÷ COPY"] is True


def test_small_sizes_are_for_the_tables() -> None:
    """A speed that is promised for many rows is neither kept nor broken by what a call costs."""
    few = [took(postgres.COPY_OUT, 0.1, rows=1000), took(postgres.EXTRACT, 0.4, rows=1000)]

    assert verdicts(results(*few))["extract ÷ COPY"] is None


def test_sessions_side_by_side_are_compared_with_one_of_the_same_case() -> None:
    """Twice as fast is twice what one session did, not what another case did."""
    made = Results()
    for case, alone in (("read", 4.0), ("load", 9.0)):
        runs = {side_by_side.ALONE: alone, "2": 2.0}
        taken = [
            record(case, MANY, name, [Measurement(seconds, 0.5)]) for name, seconds in runs.items()
        ]
        made.records.setdefault("side-by-side", []).extend(taken)
    made.run = RUN

    page = render(made, [])

    assert "| read | 2 | 500,000 | 2.00 |" in page
    assert "| load | 2 | 500,000 | 4.50 |" in page


def test_what_was_not_measured_is_not_met() -> None:
    """An empty file of results claims nothing."""
    assert set(verdicts(Results()).values()) == {None}


def test_a_subject_measured_again_replaces_all_its_figures() -> None:
    """Figures side by side in a table were measured side by side."""
    made = results(took(postgres.COPY_OUT, 1.0), took("adbc", 2.0))

    made.add("extract", [took(postgres.COPY_OUT, 5.0)], RUN)

    assert [one["contender"] for one in made.records["extract"]] == [postgres.COPY_OUT]


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    """A report can be made again without measuring again."""
    made = results(took(postgres.COPY_OUT, 1.0))

    made.write(tmp_path / "docs")

    assert Results.read(tmp_path / "docs") == made
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["benchmarks.json"]


def test_the_report_shows_targets_figures_and_the_machine() -> None:
    """A reader sees what was promised, what was measured, and on what."""
    made = results(
        took(postgres.COPY_OUT, 1.0, 1.5, 2.0), took(postgres.EXTRACT, 3.0, peak=200 * 2**20)
    )

    page = render(made, [Path("docs/benchmarks-extract.png")])

    assert lines_with(page, "| extract ÷ COPY") == [
        "| extract ÷ COPY | ≤ 1.5× | 2× (1,000,000) | **no** |"
    ]
    assert lines_with(page, "| ours |") == [
        "| ours | 3.00 | 3.00–3.00 (1) | 2.00 | 333,333 | 1.50 | 0.25 | 200 |"
    ]
    assert lines_with(page, "| psql COPY to /dev/null |") == [
        "| psql COPY to /dev/null | 1.50 | 1.00–2.00 (3) | 1.00 | 666,667 | 0.75 | 0.25 |  |"
    ]
    assert lines_with(page, "a processor") == ["| cpu | a processor |"]
    assert lines_with(page, "png") == ["![benchmarks-extract](benchmarks-extract.png)"]


def test_the_report_says_why_a_target_is_not_met() -> None:
    """A peer that fills another table than the prepared one is compared, and marked."""
    way = "dlt, connectorx"
    cases = {
        f"{way}, {postgres.OWN_TABLE}": 3.0,
        f"{way}, CSV": 9.0,
        postgres.END_TO_END: 3.0,
    }
    made = Results()
    seconds = [[Measurement(one, 1.0, MANY, None, 0.25)] for one in cases.values()]
    records = [
        record(UNCONSTRAINED, MANY, name, runs) for name, runs in zip(cases, seconds, strict=True)
    ]
    made.add("end-to-end", records, RUN)

    page = render(made, [])

    assert [
        line.rsplit("|", 2)[1] for line in lines_with(page, "÷ end to end, unconstrained |")
    ] == [
        " yes ",
        " **no** ",
        " not measured ",
    ]
    assert len(lines_with(page, "Not met: dlt, any table ÷ end to end")) == 1


def test_growth_is_that_of_the_largest_table() -> None:
    """What costs the same beside few and many rows is promised of the most that was measured."""
    idle = changes.with_capture(changes.SCHEDULED, WAL)
    made = Results()
    figures = [
        record(changes.QUIET, rows, idle, [Measurement(1.0, 1.0, database_cpu=cpu)])
        | {"read": spread([size])}
        for rows, cpu, size in ((10, 0.01, 100), (1_000, 0.09, 900), (100_000, 0.01, 140))
    ]
    made.add("changes", figures, RUN)

    said = {one.text: one.values for one in targets(made) if one.text.startswith("quiet")}

    assert said[f"quiet minute, {WAL}, bytes read, most ÷ fewest rows"] == {"100,000": 1.4}
    assert said[f"quiet minute, {WAL}, DB CPU, most ÷ fewest rows"] == {"100,000": 1.0}
    assert lines_with(render(made, []), f"| 1,000 | {idle} |") == [
        f"| 1,000 | {idle} |  | 1.000 | 1.000 | 0.090 | 0.0 |"
    ]


def test_the_published_page_shows_the_published_figures() -> None:
    """The page in docs/ is what `make bench BENCH=report` makes of the results beside it."""
    docs = ROOT / "docs"

    page = render(Results.read(docs), plot_files(docs))

    assert (docs / "benchmarks.md").read_text() == page


def test_a_trial_says_so_on_its_page() -> None:
    """Figures of small sizes are not taken for those that count."""
    made = results(took(postgres.COPY_OUT, 1.0))
    made.run["trial"] = True

    assert len(lines_with(render(made, []), "A trial")) == 1


def lines_with(page: str, text: str) -> list[Any]:
    return [line for line in page.splitlines() if text in line]
