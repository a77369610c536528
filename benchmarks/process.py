"""Measurements that a process makes of itself. Every contender runs this: it imports no library."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


def cpu_seconds() -> float:
    """Return the CPU seconds of this process since it began, and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_bytes() -> int:
    """Return the most memory that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss there: that of a child begins with what its parent had when it forked.
        [line] = [row for row in status.read_text().splitlines() if row.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measured(work: Callable[[], int]) -> dict[str, Any]:
    """Run something that returns how many rows it moved; return that, seconds, CPU and peak."""
    cpu, started = cpu_seconds(), time.perf_counter()
    rows = work()
    return {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "cpu": cpu_seconds() - cpu,
        "peak": peak_bytes(),
    }


def take_over_stdout() -> TextIO:
    """Return standard output, for answers alone; what others print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def answer(to: TextIO, what: dict[str, Any]) -> None:
    """Write one line of JSON."""
    to.write(json.dumps(what) + "\n")
    to.flush()
