"""Measurements of whole processes: who takes part, how often, how they are started and timed."""

import json
import os
import statistics
import subprocess  # nosec B404
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
LINUX = sys.platform == "linux"
LONG_SECONDS = 10.0

Record = dict[str, Any]
"""One contender in one case at one size, as it stands in the file of results."""


class BenchmarkError(Exception):
    """A contender failed, or figures cannot be published: the message says which and why."""


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


@dataclass(frozen=True)
class Peer:
    """One of the other tools: its task in `benchmarks.peers`, and the most rows that it gets.

    None should take minutes. With foreign keys everybody waits for the same checks, a minute for a
    million rows, so few rows are enough.
    """

    task: str
    most: int = 10_000_000
    most_constrained: int = 100_000

    def takes(self, rows: int, *, is_constrained: bool = False) -> bool:
        """Return whether it takes part with so many rows, with or without foreign keys."""
        return rows <= (self.most_constrained if is_constrained else self.most)


@dataclass(frozen=True)
class Plan:
    """Sizes in rows (none: the subject's own), repetitions (None: by size), and who takes part.

    `only` are parts of contenders' names, none of them means all. `peers` is the Python of the
    other tools, None to leave them out. `quick` is for trying whether it works at all.
    """

    rows: tuple[int, ...] = ()
    repeat: int | None = None
    only: tuple[str, ...] = ()
    peers: Path | None = None
    quick: bool = False

    def sizes(self, usual: tuple[int, ...], quick: int = 10_000) -> tuple[int, ...]:
        """Return the sizes to measure, the smallest first."""
        return tuple(sorted(self.rows or ((quick,) if self.quick else usual)))

    def repetitions(self, rows: int) -> int:
        """Return how often each contender runs; large ones vary less."""
        if self.repeat or self.quick:
            return self.repeat or 1
        return 3 if rows <= 2_000_000 else 2

    def compare(self, case: str, rows: int, contenders: Contenders) -> Iterator[Record]:
        """Run the contenders that take part in turn, and yield a record for each."""
        chosen = {name: run for name, run in contenders.items() if self._is_wanted(name)}
        for name, runs in alternate(chosen, self.repetitions(rows)).items():
            yield record(case, rows, name, runs)

    def _is_wanted(self, name: str) -> bool:
        return not self.only or any(part in name for part in self.only)


def alternate(contenders: Contenders, repeat: int) -> dict[str, list[Measurement]]:
    """Run contenders in turn, A B C A B C, so that noise of the machine affects all of them.

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


def charged(run: Callable[[], Measurement], cpu_seconds: Callable[[], float | None]) -> Measurement:
    """Run a contender, and add the CPU seconds that a server used during it."""
    before = cpu_seconds()
    measurement = run()
    after = cpu_seconds()
    if before is None or after is None:
        return measurement
    return replace(measurement, database_cpu=round(after - before, 2))


def cpu_of_process(process: str, *, children: bool) -> float | None:
    """Return the CPU seconds of a process, or of its children that ended; None without /proc."""
    if not LINUX:
        return None
    # After the name, which may hold anything: utime and stime are fields 14 and 15 (proc(5)),
    # cutime and cstime are the next two.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    first = 13 if children else 11
    return (int(fields[first]) + int(fields[first + 1])) / os.sysconf("SC_CLK_TCK")


def record(case: str, rows: int, contender: str, runs: Sequence[Measurement]) -> Record:
    """Return the record of a contender: the statistics of its runs, by quantity."""
    document = {"case": case, "rows": rows, "contender": contender, "rows_moved": runs[-1].rows}
    for name in ("seconds", "cpu", "peak", "database_cpu"):
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        document[name] = spread(values)
    return document


def spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Return median, minimum and maximum, and how many there were; None of no values."""
    if not values:
        return None
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "runs": len(values),
    }


def run_pipeline(
    *programs: tuple[Sequence[str], Mapping[str, str]],
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> Measurement:
    """Run programs, each a command and its environment, with the output of one the next's input.

    Raises BenchmarkError with what a program wrote to standard error if it fails.
    """
    started = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    for command, environment in programs:
        is_last = len(processes) == len(programs) - 1
        processes.append(
            subprocess.Popen(  # nosec B603
                command,
                env=dict(environment),
                stdin=processes[-1].stdout if processes else stdin,
                stdout=stdout if is_last else subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    for process in processes:
        if process.stdout:
            process.stdout.close()  # the next program alone has it, and sees its end
    # The last first: where it fails, those before it fail too, and cannot say why.
    cpu = sum(_finish(process) for process in reversed(processes))
    return Measurement(time.perf_counter() - started, cpu)


def _finish(process: "subprocess.Popen[bytes]") -> float:
    """Wait for a process, and return the CPU seconds that it used."""
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{process.args!r} failed: {said.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def run_peer(python: Path, task: str, arguments: Mapping[str, Any], scratch: Path) -> Measurement:
    """Run a peer (`python -m benchmarks.peers <task>`) and return what it measured of itself.

    It reads and writes nothing of the user's own: `scratch` is its home.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    done = subprocess.run(  # nosec B603
        [str(python), "-m", "benchmarks.peers", task],
        input=json.dumps(arguments),  # not on the command line: there are passwords in it
        env={**kept, "HOME": str(scratch), "TMPDIR": str(scratch), "TZ": "UTC"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{task} failed: {done.stderr[-3000:]}")
    answer = json.loads(done.stdout)
    return Measurement(answer["seconds"], answer["cpu"], answer["rows"], answer["peak"])


def say(text: str) -> None:
    """Report the progress on stderr."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
