"""Whatever the input, a parser reads it or refuses it in its own words."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
# All of them at once, so that together they add little more than that to the tests.
SECONDS = os.environ.get("FUZZ_SECONDS") or "60"


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """Every target at work in its own process; none is left afterwards."""
    # Nicely: other tests may run beside them, and some of these have a clock.
    command = ["nice", sys.executable, "-m", "tests.fuzz", "--seconds", SECONDS]
    started = {
        name: subprocess.Popen(
            [*command, name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        for name in TARGETS
    }
    yield started
    for process in started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_holds_its_promise_for_any_input(
    name: str, running: dict[str, "subprocess.Popen[str]"]
) -> None:
    """The property that the target's check states holds for every input that is made up."""
    said, _ = running[name].communicate()

    assert running[name].returncode == 0, said
    assert said.splitlines()[-1].startswith(name)
