"""A first load of a large table while its functions are killed: all of it arrives, once.

    python -m benchmarks.first_load ROWS [--constrained] [--kill-every SECONDS]

The three functions work side by side, each held to Lambda's 15 minutes: one that takes longer is
killed as well. At the end the digests of the orders in the source and in the warehouse are equal,
or the exit status is 1.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from threading import Event, Lock, Thread
from typing import Any

from benchmarks.databases import CONSTRAINED, FACT, FACT_COLUMNS, UNCONSTRAINED, Database
from benchmarks.measuring import BenchmarkError, Plan, say
from benchmarks.testbed import FUNCTIONS, FunctionProcess, Lake, testbed
from local.connection import connect

SECONDS = 900  # that Lambda gives a function
PAUSE = 0.5
BYTES_PER_MB = 1024**2
_STARTING = Lock()
# Bags of rows are equal if these are, but for one case in 2 ** 64.
DIGEST = f"""SELECT count(*), sum(hashtextextended(concat_ws('|', {FACT_COLUMNS}), 0)::numeric)
    FROM {FACT}"""  # nosec B608


@dataclass
class Worker:
    """One function: called again and again, in a new process where the last one was killed."""

    use: str
    lake: Lake
    warehouse: Database
    after: "Worker | None"
    process: FunctionProcess | None = None
    began_at: float = 0.0
    was_killed: bool = False
    is_done: bool = False
    failure: str | None = None
    calls: int = 0
    kills: int = 0
    newest: int = 0
    peak: int = 0
    longest: float = 0.0
    lock: Lock = field(default_factory=Lock)

    def work(self, over: Event) -> None:
        """Call the function until nothing is left, and the one before it has finished."""
        while not (over.is_set() or self.is_done):
            try:
                with suppress(BrokenPipeError), self._started() as process:
                    self._call_repeatedly(process, over)
            except BenchmarkError as error:
                if not self.was_killed:
                    self.failure = str(error)
                    over.set()

    def _started(self) -> FunctionProcess:
        with _STARTING:  # the first makes the secret
            process = self.lake.function(self.use, self.warehouse, FUNCTION_SECONDS=str(SECONDS))
        with self.lock:
            self.process, self.was_killed = process, False
        return process

    def _call_repeatedly(self, process: FunctionProcess, over: Event) -> None:
        while not (over.is_set() or self.is_done):
            is_last = self.after is None or self.after.is_done
            self.began_at = time.monotonic()
            answer = process.ask({})
            self.calls += 1
            self.longest = max(self.longest, time.monotonic() - self.began_at)
            self.peak = max(self.peak, answer["peak"])
            found = _batches(answer["result"])
            self.newest = max([self.newest, *found])
            if not found:
                # A killed loader's session holds the lock until its statement ends.
                waits = answer["result"].get("more") or answer["result"].get("busy")
                self.is_done = is_last and not waits
                time.sleep(PAUSE)

    def kill(self) -> None:
        """Kill the process, wherever it is."""
        with self.lock:
            if self.process is not None and not self.is_done:
                self.was_killed = True
                self.kills += 1
                self.process.kill()


def _batches(result: Mapping[str, Any]) -> list[int]:
    """Return the batches that a call has worked on: of extract the last one."""
    last = result.get("batch")
    found: list[int] = result.get("batches", [] if last is None else [last])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, compare, and print what it took; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("rows", type=int)
    parser.add_argument("--constrained", action="store_true", help="with foreign keys")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    case = CONSTRAINED if options.constrained else UNCONSTRAINED
    with testbed(Plan((options.rows,), 1, (), None, quick=False)) as bed:
        say(f"first load: making {options.rows:,} orders")
        source = bed.databases.source(options.rows)
        template = bed.databases.template(case)
        with bed.databases.warehouse(template) as warehouse, bed.lake(source) as lake:
            workers, seconds = _load(lake, warehouse, options.kill_every)
            for worker in workers:
                _report(worker)
            say(f"first load: {options.rows:,} orders, {case}, {seconds:.0f} s")
            return _compare(source, warehouse) if not any(each.failure for each in workers) else 1


def _load(lake: Lake, warehouse: Database, kill_every: float) -> tuple[list[Worker], float]:
    """Run the functions until all is loaded, killing one of them at intervals."""
    workers: list[Worker] = []
    for use in FUNCTIONS:
        workers.append(Worker(use, lake, warehouse, workers[-1] if workers else None))
    over, started, in_turn = Event(), time.monotonic(), cycle(workers)
    threads = [Thread(target=worker.work, args=(over,)) for worker in workers]
    for thread in threads:
        thread.start()
    next_kill = started + kill_every
    while any(thread.is_alive() for thread in threads):
        time.sleep(PAUSE)
        for worker in workers:
            if worker.began_at and time.monotonic() - worker.began_at > SECONDS:
                worker.kill()
        if time.monotonic() > next_kill and not over.is_set():
            next_kill += kill_every
            next(in_turn).kill()
    return workers, time.monotonic() - started


def _report(worker: Worker) -> None:
    if worker.failure:
        say(f"{worker.use} failed: {worker.failure}")
    say(
        f"{worker.use}: {worker.newest} batches, {worker.calls} calls, {worker.kills} kills,"
        f" longest call {worker.longest:.0f} s, peak {worker.peak / BYTES_PER_MB:.0f} MB"
    )


def _compare(source: Database, warehouse: Database) -> int:
    found: Counter[tuple[Any, ...]] = Counter()
    for database in (source, warehouse):
        with connect(database.superuser_url) as connection:
            [[rows, digest]] = connection.run(DIGEST)
            [[keys]] = connection.run(f"SELECT count(DISTINCT sales_order_id) FROM {FACT}")  # nosec B608
        found[rows, keys, digest] += 1
        say(f"{database.name}: {rows:,} rows, {keys:,} orders, digest {digest}")
    is_equal = len(found) == 1
    say("equal" if is_equal else "NOT EQUAL")
    return 0 if is_equal else 1


if __name__ == "__main__":
    sys.exit(main())
