"""Measurements of whole processes: started, timed, and summed up as median, least and most."""

import json
import os
import statistics
import subprocess  # nosec B404
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

LONG_SECONDS = 10.0
ROOT = Path(__file__).resolve().parent.parent


class BenchmarkError(Exception):
    """A contender failed, or the machine lacks something: the message says which and why."""


@dataclass(frozen=True)
class Measurement:
    """The cost of one run. `peak` is in bytes; it and `database_cpu` are None where unknown.

    `cpu` is that of the contender's own processes, `database_cpu` that of the server's.
    """

    seconds: float
    cpu: float
    rows: int = 0
    peak: int | None = None
    database_cpu: float | None = None


Contenders = Mapping[str, Callable[[], Measurement]]
"""By name, what runs a contender once; it measures no more than the contender's own work."""


def alternate(contenders: Contenders, repeat: int) -> dict[str, list[Measurement]]:
    """Run contenders in turn, A B C A B C, so that noise of the machine meets all of them.

    A long run varies less: one of over `LONG_SECONDS` has two turns at most.
    """
    taken: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for turn in range(repeat):
        for name, run in contenders.items():
            if turn >= 2 and taken[name][0].seconds > LONG_SECONDS:
                continue
            measurement = run()
            taken[name].append(measurement)
            say(f"{name} ({turn + 1}/{repeat}): {measurement.seconds:.2f} s")
    return taken


def together(parts: Sequence[Measurement]) -> Measurement:
    """Return the cost of parts that ran one after the other, each in its own process."""
    databases = [part.database_cpu for part in parts if part.database_cpu is not None]
    return Measurement(
        sum(part.seconds for part in parts),
        sum(part.cpu for part in parts),
        parts[-1].rows,
        max((part.peak for part in parts if part.peak is not None), default=None),
        sum(databases) if databases else None,
    )


def summary(measurements: Iterable[Measurement]) -> dict[str, Any]:
    """Return the statistics of one contender's runs, by quantity, for the JSON file."""
    runs = list(measurements)
    document: dict[str, Any] = {"rows_moved": runs[-1].rows}
    for name in ("seconds", "cpu", "peak", "database_cpu"):
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        document[name] = spread(values) if values else None
    return document


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return median, least and most, and how many there were."""
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "runs": len(values),
    }


def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> Measurement:
    """Run a program to its end; raise BenchmarkError with what it said if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(  # nosec B603
        command,
        env=dict(environment),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    return finish([process], started)


def run_pipe(
    sending: Sequence[str],
    receiving: Sequence[str],
    sender: Mapping[str, str],
    receiver: Mapping[str, str],
) -> Measurement:
    """Run two programs, the output of one the input of the other, to their end."""
    started = time.perf_counter()
    first = subprocess.Popen(  # nosec B603
        sending, env=dict(sender), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    second = subprocess.Popen(  # nosec B603
        receiving,
        env=dict(receiver),
        stdin=first.stdout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if first.stdout:
        first.stdout.close()  # the second alone has it, and sees its end
    return finish([first, second], started)


def finish(processes: Sequence["subprocess.Popen[bytes]"], started: float) -> Measurement:
    """Wait for processes and return what they took together."""
    cpu = 0.0
    for process in processes:
        said = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchmarkError(f"{process.args!r} failed: {said.decode(errors='replace')}")
        cpu += usage.ru_utime + usage.ru_stime
    return Measurement(time.perf_counter() - started, cpu)


def run_peer(
    python: Path | None, task: str, arguments: Mapping[str, Any], scratch: Path
) -> Measurement:
    """Run a peer (`python -m benchmarks.peers <task>`) and return what it measured of itself."""
    done = subprocess.run(  # nosec B603
        [str(python), "-m", "benchmarks.peers", task],
        input=json.dumps(arguments),  # not on the command line: there are passwords in it
        env=peer_environment(scratch),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{task} failed: {done.stderr[-3000:]}")
    answer = json.loads(done.stdout)
    return Measurement(answer["seconds"], answer["cpu"], answer["rows"], answer["peak"])


def peer_environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which a peer reads and writes nothing of the user's own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch), "TZ": "UTC"}


def say(text: str) -> None:
    """Report the progress on stderr."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
