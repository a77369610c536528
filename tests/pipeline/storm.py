"""The functions side by side, each invocation a process of its own, killed and hindered at random.

What they report is kept: no two of them may claim one batch, and the only errors that they may end
with are those that say what was done to them.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

from tests.pipeline.invocation import Fate, Outcome, S3Fault, run

AT_ONCE = 3  # of each function
STUCK_SECONDS = 180.0
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.pipeline.forked"])
# A process that starts also looks after those that have ended, and a status can be read only once.
_REAPING = threading.Lock()

EXPECTED_ERRORS = {
    "DatabaseUnavailable": "",
    "BatchContended": "",
    # A link that was cut after the commit lets the next loader in before this one marks the batch.
    "LogCorrupted": "was marked as loaded behind the back of its loader",
    "HTTPClientError": "",  # all six attempts came to nothing
    "ClientError": "injected",
}
"""What a function may raise in a storm: the family of errors, and what the message has to say."""

PLACES = [
    *[("PutObject", text) for text in ("", "", "/batches/", "/batches/", "/loaded/", "/loaded/")],
    *[("GetObject", ""), ("GetObject", "/batches/"), ("ListObjectsV2", "")],
]


@dataclass
class Storm:
    """Weather for the functions between two databases: what is invoked, and what befalls it.

    `violence` is the share of invocations that something befalls.
    """

    environment: Mapping[str, str]
    seed: int | str
    log: Path
    violence: float = 0.6
    tally: Counter[str] = field(default_factory=Counter)
    claimed: Counter[tuple[str, int]] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: dict[str, threading.Semaphore] = field(
        default_factory=lambda: {
            name: threading.Semaphore(AT_ONCE) for name in ("extract", "transform", "load")
        }
    )

    @property
    def kills(self) -> int:
        """How many invocations were killed."""
        return sum(times for what, times in list(self.tally.items()) if what.startswith("killed"))

    @property
    def batches(self) -> int:
        """How many batches an extract has reported."""
        return sum(name == "extract" for name, _ in list(self.claimed))

    @property
    def wrong(self) -> list[str]:
        """Errors that nobody ordered, and batches that two invocations claimed."""
        twice = [
            f"{name} {batch}" for (name, batch), times in list(self.claimed.items()) if times > 1
        ]
        return self.defects + [f"claimed twice: {which}" for which in twice]

    @contextmanager
    def raging(self, workers: int) -> Iterator[None]:
        """Invoke functions from several threads while the context lasts."""
        threads = [
            threading.Thread(
                target=self._rage, args=(Random(f"{self.seed} {n}"),), name=f"storm {n}"
            )
            for n in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait(self, seconds: float) -> None:
        """Let time go by, or less if the storm is over before."""
        self._stop.wait(seconds)

    def _rage(self, random: Random) -> None:
        while not self._stop.is_set():
            function = random.choice(["extract", "transform", "load"])
            fate = random_fate(random) if random.random() < self.violence else Fate()
            if self._places[function].acquire(timeout=0.1):
                try:
                    self.invoke(function, self._event(function, random), fate)
                finally:
                    self._places[function].release()

    def _event(self, function: str, random: Random) -> dict[str, Any]:
        """Return an event that may be late, a repetition, or about a batch that never was."""
        newest = max((batch for name, batch in list(self.claimed) if name == "extract"), default=0)
        batch = random.randint(1, newest + 2)
        if function == "extract":
            return {"replay": batch} if newest >= batch and random.random() < 0.05 else {}
        key = f"batches/{batch:010d}.json"
        return {"Records": [{"s3": {"object": {"key": key}}}] * random.randint(1, 2)}

    def invoke(self, function: str, event: dict[str, Any], fate: Fate) -> Outcome | None:
        """Invoke a function in a process; return how it ended, None if it was killed before."""
        receiving, sending = FORKS.Pipe(duplex=False)
        process = FORKS.Process(
            target=run,
            args=(function, event),
            kwargs={
                "environment": dict(self.environment),
                "fate": fate,
                "answer": sending,
                "log": str(self.log),
            },
            daemon=True,
        )
        with _REAPING:
            process.start()
        sending.close()
        if not wait([process.sentinel], fate.kill_after or STUCK_SECONDS):
            process.kill()
            wait([process.sentinel])
            if fate.kill_after is None:
                self._note_defect(f"{function} did not end within {STUCK_SECONDS:.0f} s: {fate}")
        outcome = _received(receiving)
        with _REAPING:
            status = int(process.exitcode or 0)
            process.close()
        self._note(function, fate, outcome, status)
        return outcome

    def _note(self, function: str, fate: Fate, outcome: Outcome | None, status: int) -> None:
        with self._lock:
            self.tally["invocations"] += 1
            self.tally[function] += 1
            if status == -SIGKILL:
                self.tally[f"killed {_where(function, fate)}"] += 1
            elif outcome is None:
                self.defects.append(f"{function} ended with status {status} and without a word")
            if outcome is None:
                return
            if outcome.suffered and fate.s3:
                self.tally[f"S3: {fate.s3.how}"] += 1
            if outcome.result is not None:
                self._note_claims(function, outcome.result)
            elif _is_expected(outcome):
                self.tally[f"ended with {outcome.families[0]}"] += 1
            else:
                self.defects.append(f"{function}, {fate}: {outcome.trace}")

    def _note_claims(self, function: str, result: dict[str, Any]) -> None:
        batches = [result["batch"]] if function == "extract" else result["batches"]
        self.claimed.update((function, batch) for batch in batches if batch is not None)

    def _note_defect(self, text: str) -> None:
        with self._lock:
            self.defects.append(text)

    def calm(self, function: str) -> dict[str, Any]:
        """Invoke a function in peace, and return its result."""
        outcome = self.invoke(function, {}, Fate())
        if outcome is None or outcome.result is None:
            raise AssertionError(f"{function} failed in peace: {outcome and outcome.trace}")
        return outcome.result

    def settle(self) -> None:
        """Run each function once more, in peace; a further extract has nothing to write."""
        for function in ("extract", "transform", "load"):
            self.calm(function)
        if (batch := self.calm("extract")["batch"]) is not None:
            self._note_defect(f"a quiet source made batch {batch}")


def random_fate(random: Random) -> Fate:
    """Draw what befalls an invocation."""
    operation, text = random.choice(PLACES)
    nth = random.choice([1, 1, 1, 2, 3, 5, 8, 13])
    match random.choice(["time", "time", "step", "step", "copy", "call", "call", "fault", "fault"]):
        case "time":
            return Fate(kill_after=random.uniform(0.01, 0.5))
        case "step":
            return Fate(die_at_step=int(10 ** random.uniform(0.5, 3.3)))
        case "copy":
            return Fate(die_at_copy=int(10 ** random.uniform(0, 3)))
        case "call":
            how: Any = random.choice(["die before", "die after"])
            return Fate(S3Fault(operation, text, nth, how))  # type: ignore[arg-type]
    how = random.choice(["InternalError", "SlowDown", "timeout", "answer lost", "hang"])
    times = random.choice([1, 1, 1, 1, 2, 2, 2, 3, 3, 9])  # six are too many for a client
    return Fate(S3Fault(operation, text, nth, how, times))  # type: ignore[arg-type]


def _received(receiving: Any) -> Outcome | None:
    with receiving:
        try:
            outcome: Outcome = receiving.recv()
        except (EOFError, OSError):
            return None
    return outcome


def _where(function: str, fate: Fate) -> str:
    if fate.die_at_step is not None:
        return "at a step"
    if fate.die_at_copy is not None:
        return "in COPY"
    return f"{fate.s3.how.removeprefix('die ')} a call of S3" if fate.s3 else "at a moment"


def _is_expected(outcome: Outcome) -> bool:
    return any(
        family in outcome.families and text in outcome.message
        for family, text in EXPECTED_ERRORS.items()
    )
