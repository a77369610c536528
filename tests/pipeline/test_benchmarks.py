"""The benchmarks run: with small sizes, on this machine, without the other tools."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring import ROOT


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure four subjects in one call, and return the folder of its report."""
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "extract", "files", "mysql", "side-by-side"]
    done = subprocess.run(
        [*command, "--quick", "--no-peers", "--into", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return folder


def records(report: Path, subject: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((report / "benchmarks.json").read_text())["records"][
        subject
    ]
    return found


def test_extract_is_measured_beside_copy(report: Path) -> None:
    """One command measures ours beside raw COPY, and reports in figures and in words."""
    found = records(report, "extract")

    assert [(one["contender"], one["rows"]) for one in found] == [
        ("psql COPY to /dev/null", 10_000),
        ("ours", 10_000),
        ("psql COPY to a file", 10_000),
    ]
    [ours] = [one for one in found if one["contender"] == "ours"]
    assert ours["rows_moved"] > 10_000  # the other tables are small, but there
    assert "| ours |" in (report / "benchmarks.md").read_text()


def test_a_file_is_measured_by_function_beside_copy(report: Path) -> None:
    """Extract, transform and load have a line each beside the one for all three."""
    assert [one["contender"] for one in records(report, "files")] == [
        "psql \\copy",
        "ours, three functions",
        "ours, three functions: extract",
        "ours, three functions: transform",
        "ours, three functions: load",
    ]


def test_mysql_is_measured_beside_load_data(report: Path) -> None:
    """Both load the same rows into the same table."""
    assert [(one["contender"], one["rows_moved"]) for one in records(report, "mysql")] == [
        ("LOAD DATA LOCAL INFILE", 10_000),
        ("ours, load", 10_000),
    ]


def test_sessions_are_measured_side_by_side(report: Path) -> None:
    """One, two and four of them read a table, and load it with and without foreign keys."""
    found = records(report, "side-by-side")

    assert [one["contender"] for one in found] == ["1", "2", "4"] * 5
