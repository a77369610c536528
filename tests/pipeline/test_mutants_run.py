"""The tool behind `make mutants` at work: what becomes of a mutant, and that nothing stays."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants import trials
from tests.mutants.operators import mutants_of
from tests.mutants.report import Result
from tests.mutants.tree import ROOT, Tree

MODULE = """from threading import Event

SIZES = {"small", "large"}

def count(rows):
    found = 0
    while found < len(rows):
        found += 1
    return found

def wait():
    done = Event()
    done.set()
    done.wait()
"""
TEST = """import pytest
from module import SIZES, count, wait

@pytest.mark.parametrize("size", sorted(SIZES))
def test_sizes(size):
    assert size

def test_wait():
    wait()

def test_count():
    assert count([7]) == 1
"""
RESULTS = {
    "{'small', 'large'} -> {'large'}": Result.LIVED,
    "0 -> 1": Result.LIVED,
    "found += 1 -> found -= 1": Result.TIMED_OUT,
    "return found -> return": Result.KILLED,
    "done.set() -> pass": Result.TIMED_OUT,
    "done.wait() -> pass": Result.LIVED,
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "test_module.py").write_text(TEST)
    # Where it cannot be imported, pytest says that it was used in a wrong way.
    (tmp_path / "conftest.py").write_text("from module import count\n\ncount([7]) + 0\n")
    return Tree(tmp_path)


def test_a_mutant_is_killed_by_a_test_that_fails_or_does_not_end(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by one that has other parameters; the time is the processor's, on a busy one too."""
    monkeypatch.setattr(trials, "TESTS", {"module.py": ["test_module.py"]})
    monkeypatch.setattr(trials, "_CPU_SECONDS", 2)
    monkeypatch.setattr(trials, "_IDLE_SECONDS", 5)
    mutants = [each for each in mutants_of("module.py", MODULE) if each.mutation in RESULTS]
    executed = {"test_sizes[small]": [3], "test_count": range(5, 10), "test_wait": range(11, 15)}
    covered = {
        ("module.py", line): frozenset({f"test_module.py::{test}"})
        for test, lines in executed.items()
        for line in lines
    }

    results = {each.mutation: result for each, result in trials.trials(mutants, [tree], covered)}

    assert results == RESULTS
    assert (tree.path / "module.py").read_text() == MODULE
    assert not list(tree.path.rglob("*.pyc"))


MEASURED = """import pytest
from module import count

FOUND = count([7])

@pytest.fixture
def found():
    return count([])

def test_found(found):
    assert FOUND

def test_count():
    assert count([7]) == 1
"""


def test_a_test_executes_what_its_file_and_its_fixtures_do(tree: Tree) -> None:
    """A line of a function is known for the file that calls it on import, and in a fixture."""
    (tree.path / "test_module.py").write_text(MEASURED)
    (tree.path / "conftest.py").unlink()

    with tree.measured(["module.py"], ["test_module.py"]) as measured:
        measured.join()

    assert measured.exitcode == 0
    file, test = "test_module.py", "test_module.py::test_count"
    assert tree.covering(["module.py"]) == {
        **{("module.py", line): {""} for line in (1, 3, 5, 11)},
        **{("module.py", line): {file, test} for line in (6, 7, 8, 9)},
    }


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Make a folder whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        yield Path(folder)


def test_nothing_stays_of_a_run_that_is_interrupted(temporary: Path) -> None:
    """Neither a process nor a file, as a job that is cancelled ends its processes."""
    command = (sys.executable, "-m", "tests.mutants", "deployer/receipt.py", "--jobs", "1")
    run = subprocess.Popen(
        [*command, "--sample", "all"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    with run.stdout as output:
        assert output.readline().endswith("The tests without them:\n")
        assert any("mutants" in each.name for each in temporary.iterdir())
        run.terminate()
        output.read()  # to its end: each process that has it open is gone

    assert run.wait() == 143
    assert list(temporary.iterdir()) == []
