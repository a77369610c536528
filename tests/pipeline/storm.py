"""The functions side by side, each invocation in its own process, killed and disturbed at random.

Their reports are kept: no two of them may claim one batch, and the only errors that they may end
with are those of an injected fault.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

from tests.pipeline.invocation import Fate, Outcome, S3Fault, run
from tests.pipeline.workload import Gate

AT_ONCE = 3  # of each function
EARLIER = (0, 0, 0, 2)  # runs by schedule before an extract in its process: statistics lag for them
SHARE_OF_REPLICA = 0.5  # of the extracts, while there is one
NO_SETTINGS: Mapping[str, str] = {}
STUCK_SECONDS = 180.0
WAITS = " waits: "
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.pipeline.forked"])
# A process that starts also looks after those that have ended, and a status can be read only once.
REAPING = threading.Lock()

SETTLING_RUNS = 4  # of all functions undisturbed, the last of which must have nothing to do
# Beside them, runs that wait for a server to end the session of a killed function.
WAITING_SECONDS = 60.0
PAUSE_SECONDS = 0.05

EXPECTED_ERRORS = [
    ("DatabaseUnavailableError", ""),
    ("BatchConflictError", ""),
    ("HTTPClientError", ""),  # all six attempts came to nothing
    ("ClientError", "injected"),
    # Between the end of a database and the one that takes its name.
    ("DatabaseAccessError", "does not exist"),
    # Of a table that was closed to the reader while it was read.
    ("DatabaseAccessError", "permission denied for table"),
]
"""Errors that a function may raise in a storm: their family, and a part of the message."""

Place = tuple[str, str]

PLACES: list[Place] = [
    *[
        ("PutObject", text)
        for text in (
            "",
            "",
            "/batches/source/",
            "/batches/source/",
            "/loaded/source/",
            "/loaded/source/",
        )
    ],
    *[("GetObject", ""), ("GetObject", "/batches/source/"), ("ListObjectsV2", "")],
]

LAKE = "lake"
LAKE_PLACES: list[Place] = [
    *[("UpdateTable", ""), ("UpdateTable", ""), ("CreateTable", ""), ("GetTable", "")],
    *[("PutObject", "/lake/"), ("GetObject", ""), ("ListObjectsV2", "")],
]


@dataclass
class Storm:
    """Random invocations of the functions between two databases, with kills and faults.

    `violence` is the share of invocations that are disrupted. While `gate` is closed nothing is
    invoked. `replica` are other settings for some of the extracts. `written` counts the batches
    that each function reported, `stuck` names what did not come to an end. `loads_again`
    says that a batch may be loaded into a warehouse that had it and lost it. `places` are calls of
    S3, by operation and part of the key, that may fail.
    """

    environment: Mapping[str, str]
    seed: int | str
    log: Path
    violence: float = 0.6
    tally: Counter[str] = field(default_factory=Counter)
    claimed: Counter[tuple[str, int]] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    gate: Gate = field(default_factory=Gate)
    replica: Mapping[str, str] | None = None
    loads_again: bool = False
    places: Sequence[Place] = tuple(PLACES)
    functions: Sequence[str] = ("extract", "transform", "load")
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: dict[str, threading.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: threading.Semaphore(AT_ONCE))
    )

    @property
    def kills(self) -> int:
        """How many invocations were killed."""
        return sum(times for what, times in list(self.tally.items()) if what.startswith("killed"))

    @property
    def batches(self) -> int:
        """How many batches an extract has reported."""
        return self.written["extract"]

    @property
    def wrong(self) -> list[str]:
        """Errors that nobody ordered, and batches that two invocations claimed."""
        twice = [
            f"claimed twice: {name} {batch}"
            for (name, batch), times in list(self.claimed.items())
            if times > 1 and not (name == "load" and self.loads_again)
        ]
        return self.defects + twice

    def start_over(self) -> None:
        """Forget the batch numbers that were claimed: the logs are empty."""
        self.defects = self.wrong
        self.claimed.clear()

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
            function = random.choice(self.functions)
            is_fated = random.random() < self.violence
            places = LAKE_PLACES if function == LAKE else self.places
            fate = random_fate(random, places) if is_fated else Fate()
            elsewhere = random.random() < SHARE_OF_REPLICA
            if self._places[function].acquire(timeout=0.1):
                try:
                    with self.gate.passage():
                        settings = self.replica if elsewhere and function == "extract" else None
                        if function == "extract":
                            fate = replace(fate, earlier=random.choice(EARLIER))
                        event = self._event(function, random)
                        self.invoke(function, event, fate, settings or {})
                finally:
                    self._places[function].release()

    def _event(self, function: str, random: Random) -> dict[str, Any]:
        """Return an event that may be late, a repetition, or about a batch that never was."""
        newest = max((batch for name, batch in list(self.claimed) if name == "extract"), default=0)
        batch = random.randint(1, newest + 2)
        if function == LAKE:
            return {}
        if function == "extract":
            return {"replay": batch} if newest >= batch and random.random() < 0.05 else {}
        key = f"batches/source/{batch:010d}.json"
        return {"Records": [{"s3": {"object": {"key": key}}}] * random.randint(1, 2)}

    def invoke(
        self,
        function: str,
        event: dict[str, Any],
        fate: Fate,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> Outcome | None:
        """Invoke a function in a process; return how it ended, None if it was killed before.

        `settings` go before those of the environment.
        """
        receiving, sending = FORKS.Pipe(duplex=False)
        process = FORKS.Process(
            target=run,
            args=(function, event),
            kwargs={
                "environment": {**self.environment, **settings},
                "fate": fate,
                "answer": sending,
                "log": str(self.log),
            },
            daemon=True,
        )
        with REAPING:
            process.start()
        sending.close()
        if not wait([process.sentinel], fate.kill_after or STUCK_SECONDS):
            process.kill()
            wait([process.sentinel])
            if fate.kill_after is None:
                self._note_defect(f"{function} did not end within {STUCK_SECONDS:.0f} s: {fate}")
        outcome = _received(receiving)
        with REAPING:
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
                self.tally[f"{fate.s3.service}: {fate.s3.how}"] += 1
            for result in outcome.earlier:
                self._note_claims(function, result)
            if outcome.result is not None:
                self._note_claims(function, outcome.result)
            elif _is_expected(outcome):
                self.tally[f"ended with {outcome.families[0]}"] += 1
            else:
                self.defects.append(f"{function}, {fate}: {outcome.trace}")

    def _note_claims(self, function: str, result: dict[str, Any]) -> None:
        batches = [result["batch"]] if function == "extract" else result.get("batches", [])
        self.claimed.update((function, batch) for batch in batches if batch is not None)
        self.written[function] += sum(batch is not None for batch in batches)

    def _note_defect(self, text: str) -> None:
        with self._lock:
            self.defects.append(text)

    def calm(self, function: str) -> dict[str, Any]:
        """Invoke a function undisturbed, and return its result."""
        outcome = self.invoke(function, {}, Fate())
        if outcome is None or outcome.result is None:
            raise AssertionError(f"{function} failed undisturbed: {outcome and outcome.trace}")
        return outcome.result

    def settle(self) -> None:
        """Run the functions undisturbed until none has anything to do; record those that go on."""
        runs, end = 0, time.monotonic() + WAITING_SECONDS
        while at_work := self._run_all():
            runs += not any(WAITS in why for why in at_work)
            if runs == SETTLING_RUNS or time.monotonic() > end:
                self.stuck += [f"{why}, after {runs} undisturbed runs" for why in at_work]
                return
            time.sleep(PAUSE_SECONDS)

    def _run_all(self) -> list[str]:
        """Run each function undisturbed; return what those that had something to do were at."""
        return [
            why
            for function in self.functions
            if (why := _work_of(function, self.invoke(function, {}, Fate())))
        ]


def _work_of(function: str, outcome: Outcome | None) -> str:
    """Say what a function was at, or why it failed; nothing if it had nothing to do."""
    if outcome is None or outcome.result is None:
        return f"{function} failed: {outcome.trace if outcome else 'without a word'}"
    result = outcome.result
    if result.get("busy") or result.get("postponed"):
        return f"{function}{WAITS}{result.get('postponed', 'another one is at work')}"
    if function == LAKE:
        batches = [name for name, each in result["tables"].items() if each["commits"]]
    else:
        batches = result["batch"] if function == "extract" else result["batches"]
    return f"{function} wrote {batches}" if batches else ""


def random_fate(random: Random, places: Sequence[Place] = tuple(PLACES)) -> Fate:
    """Draw the fate of an invocation."""
    operation, text = random.choice(places)
    nth = random.choice([1, 1, 1, 2, 3, 5, 8, 13])
    match random.choice(["time", "time", "step", "step", "copy", "call", "call", "fault", "fault"]):
        case "time":
            return Fate(kill_after=random.uniform(0.01, 0.5))
        case "step":
            return Fate(die_at_step=int(10 ** random.uniform(0.5, 3.3)))
        case "copy":
            return Fate(die_at_message=int(10 ** random.uniform(0, 3)))
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
    if fate.die_at_message is not None:
        return "in COPY"
    if fate.s3 is None:
        return "at a moment"
    return f"{fate.s3.how.removeprefix('die ')} a call of {fate.s3.service}"


def _is_expected(outcome: Outcome) -> bool:
    return any(
        family in outcome.families and text in outcome.message for family, text in EXPECTED_ERRORS
    )
