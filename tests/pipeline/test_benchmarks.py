"""The benchmarks run: the smallest of them, on this machine, without the other tools."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import ROOT


def test_a_benchmark_leaves_results_and_a_report(tmp_path: Path) -> None:
    """One command measures ours beside raw COPY, and reports in figures and in words."""
    results = tmp_path / "docs" / "benchmarks.json"

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "extract", "--rows", "1000", "--repeat", "2"),
            *("--no-peers", "--results", str(results)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    records = json.loads(results.read_text())["records"]["extract"]
    assert [(one["contender"], one["rows"], one["seconds"]["runs"]) for one in records] == [
        ("psql COPY to /dev/null", 1000, 2),
        ("ours", 1000, 2),
        ("psql COPY to a file", 1000, 2),
    ]
    [ours] = [one for one in records if one["contender"] == "ours"]
    assert ours["rows_moved"] > 1000  # the other tables are small, but there
    assert "| ours |" in results.with_suffix(".md").read_text()


def test_a_file_is_measured_by_function_beside_copy(tmp_path: Path) -> None:
    """Extract, transform and load have a line each beside the one for all three."""
    results = tmp_path / "benchmarks.json"

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "files", "--rows", "1000", "--repeat", "1"),
            *("--no-peers", "--results", str(results)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    records = json.loads(results.read_text())["records"]["files"]
    assert [one["contender"] for one in records] == [
        "psql \\copy",
        "ours, three functions",
        "ours, three functions: extract",
        "ours, three functions: transform",
        "ours, three functions: load",
    ]


def test_mysql_is_measured_beside_load_data(tmp_path: Path) -> None:
    """Both load the same rows into the same table, and the report has how many times longer."""
    results = tmp_path / "benchmarks.json"

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "mysql", "--rows", "1000", "--repeat", "1"),
            *("--no-peers", "--results", str(results)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    records = json.loads(results.read_text())["records"]["mysql"]
    assert [(one["contender"], one["rows_moved"]) for one in records] == [
        ("LOAD DATA LOCAL INFILE", 1000),
        ("ours, load", 1000),
    ]


def test_a_size_is_not_taken_for_all_subjects(tmp_path: Path) -> None:
    """`--rows` with all subjects is refused before anything is started: it would mean too much."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rows", "1000", "--results", str(tmp_path / "r")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "name one" in done.stderr
    assert list(tmp_path.iterdir()) == []
