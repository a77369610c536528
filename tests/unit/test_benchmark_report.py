"""The report of the benchmarks: honest verdicts, and nothing compared across runs."""

from pathlib import Path
from typing import Any

from benchmarks import end_to_end, extract
from benchmarks.databases import UNCONSTRAINED
from benchmarks.measuring import Measurement
from benchmarks.report import render
from benchmarks.results import Record, Results, record
from benchmarks.targets import MANY, targets

RUN = {"cpu": "a processor", "cores": 2, "postgresql": {"version": "18.4", "fsync": "off"}}


def took(contender: str, *seconds: float, rows: int = MANY, peak: int | None = None) -> Record:
    runs = [Measurement(one, one / 2, rows, peak, 0.25) for one in seconds]
    return record(extract.CASE, rows, contender, runs)


def results(*records: Record) -> Results:
    made = Results()
    made.merge("extract", records, RUN)
    return made


def verdicts(made: Results) -> dict[str, bool | None]:
    return {target.text: target.met for target in targets(made)}


def test_a_ratio_is_that_of_the_medians() -> None:
    """One slow run of a noisy machine decides nothing."""
    made = results(took(extract.RAW, 1.0, 1.0, 9.0), took(extract.OURS, 1.4, 1.2, 8.0))

    [target] = [one for one in targets(made) if one.text == "extract, times raw COPY out"]

    assert target.values == {"1,000,000": 1.4}


def test_a_target_is_met_only_when_every_size_keeps_it() -> None:
    """A good figure at one size does not hide a bad one at another."""
    small = [took(extract.RAW, 1.0), took(extract.OURS, 1.4), took("dlt, pyarrow", 3.0)]
    large = [
        took(extract.RAW, 1.0, rows=2 * MANY),
        took(extract.OURS, 1.6, rows=2 * MANY),
        took("dlt, pyarrow", 3.0, rows=2 * MANY),
        took("dlt, connectorx", 1.7, rows=2 * MANY),
    ]

    said = verdicts(results(*small, *large))

    assert said["extract, times raw COPY out"] is False
    assert said["extract ahead of dlt at every size, times ours"] is True
    assert verdicts(results(*small))["extract, times raw COPY out"] is True


def test_small_sizes_are_for_the_tables() -> None:
    """A speed that is promised for many rows is neither kept nor broken by what a call costs."""
    few = [took(extract.RAW, 0.1, rows=1000), took(extract.OURS, 0.4, rows=1000)]

    assert verdicts(results(*few))["extract, times raw COPY out"] is None


def test_what_was_not_measured_is_not_met() -> None:
    """An empty file of results claims nothing."""
    assert set(verdicts(Results()).values()) == {None}


def test_a_new_run_replaces_all_contenders_of_its_size_and_no_other() -> None:
    """Figures side by side in a table were measured side by side."""
    made = results(took(extract.RAW, 1.0), took("adbc", 2.0), took(extract.RAW, 3.0, rows=2 * MANY))

    made.merge("extract", [took(extract.RAW, 5.0)], {**RUN, "cores": 4})

    found = [(one["contender"], one["rows"], one["run"]) for one in made.records["extract"]]
    assert found == [(extract.RAW, MANY, "2"), (extract.RAW, 2 * MANY, "1")]
    assert {number: run["cores"] for number, run in made.runs.items()} == {"1": 2, "2": 4}


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    """A report can be made again without measuring again."""
    made = results(took(extract.RAW, 1.0))

    made.write(tmp_path / "docs" / "benchmarks.json")

    assert Results.read(tmp_path / "docs" / "benchmarks.json") == made
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["benchmarks.json"]


def test_the_report_shows_targets_figures_and_the_machine() -> None:
    """A reader sees what was promised, what was measured, and on what."""
    made = results(took(extract.RAW, 1.0, 1.5, 2.0), took(extract.OURS, 3.0, peak=200 * 2**20))

    page = render(made, [Path("docs/benchmarks-extract.png")])

    assert lines_with(page, "| extract, times raw") == [
        "| extract, times raw COPY out | ≤ 1.5× | 2× (1,000,000) | **no** |"
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
        f"{way}, {end_to_end.OWN_TABLE}": 3.0,
        f"{way}, CSV": 9.0,
        end_to_end.OURS: 3.0,
    }
    made = Results()
    seconds = [[Measurement(one, 1.0, MANY, None, 0.25)] for one in cases.values()]
    records = [
        record(UNCONSTRAINED, MANY, name, runs) for name, runs in zip(cases, seconds, strict=True)
    ]
    made.merge("end-to-end", records, RUN)

    page = render(made, [])

    assert [line.rsplit("|", 2)[1] for line in lines_with(page, "| end to end, unconstrained, dlt")
            ] == [" yes ", " **no** "]  # fmt: skip
    assert (
        len(lines_with(page, "Not met: end to end, unconstrained, dlt's fastest way, into any"))
        == 1
    )


def lines_with(page: str, text: str) -> list[Any]:
    return [line for line in page.splitlines() if text in line]
