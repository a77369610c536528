"""Measurements of the benchmarks: contenders in turn, and programs whose failure is seen."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.measuring import (
    LONG_SECONDS,
    BenchmarkError,
    Measurement,
    Peer,
    Plan,
    run_pipeline,
)

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def contenders(order: list[str], **seconds: float) -> dict[str, Callable[[], Measurement]]:
    def runner(name: str) -> Callable[[], Measurement]:
        def run() -> Measurement:
            order.append(name)
            return Measurement(seconds[name], 0.0)

        return run

    return {name: runner(name) for name in seconds}


def test_contenders_run_in_turn() -> None:
    """A slow minute of the machine affects all contenders alike, and a long run has two turns."""
    order: list[str] = []

    found = list(
        Plan(repeat=3).compare("case", 1000, contenders(order, ours=1.0, raw=2 * LONG_SECONDS))
    )

    assert order == ["ours", "raw", "ours", "raw", "ours"]
    assert [(one["contender"], one["rows"], one["seconds"]["runs"]) for one in found] == [
        ("ours", 1000, 3),
        ("raw", 1000, 2),
    ]


def test_only_the_contenders_that_are_named_run() -> None:
    """Trying one tool needs no run of the others."""
    order: list[str] = []

    list(Plan(repeat=1, only=("dlt",)).compare("", 1, contenders(order, ours=1.0, dlt_csv=1.0)))

    assert order == ["dlt_csv"]


def test_a_tool_takes_part_up_to_its_most_rows() -> None:
    """No tool takes minutes, and fewer rows are enough where foreign keys are checked."""
    peer = Peer("task", most=1_000_000)

    assert (peer.takes(1_000_000), peer.takes(1_000_001)) == (True, False)
    assert peer.takes(100_000, is_constrained=True)
    assert not peer.takes(1_000_000, is_constrained=True)


def test_programs_in_a_pipeline_are_measured_together(tmp_path: Path) -> None:
    """COPY to COPY costs what both programs take, and the rows arrive."""
    work = "import sys; sys.stdout.write(sys.stdin.read() + str(sum(range(10**6))))"
    program = [sys.executable, "-c", work], ENVIRONMENT

    with (tmp_path / "in").open("w+b") as given, (tmp_path / "out").open("wb") as taken:
        given.write(b"rows ")
        given.seek(0)
        measurement = run_pipeline(program, program, stdin=given, stdout=taken)

    assert (tmp_path / "out").read_text() == "rows " + 2 * "499999500000"
    assert measurement.cpu > 0
    assert measurement.seconds > 0


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failing_program_is_no_measurement(failing: int) -> None:
    """What stopped half-way is not reported as fast: the error has what the program wrote."""
    sending = "import sys; sys.stdin.read(); sys.stdout.write('x' * 10_000_000)"
    ends = sending, "import sys; sys.exit('no such table')"
    programs = [([sys.executable, "-c", code], ENVIRONMENT) for code in ends]

    with pytest.raises(BenchmarkError, match="no such table"):
        run_pipeline(*(reversed(programs) if failing == 0 else programs))
