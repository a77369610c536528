"""A random shop, from a seed: writers side by side whose transactions are of very different length.

Every writer has its own random numbers, so a seed gives each the same plans again; how they
interleave depends on the machine.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from random import Random
from threading import Condition, Event, Thread

import pg8000.native

from local.connection import connect
from tests.pipeline.shop_actions import Hand, Shelf, random_action
from tests.pipeline.shop_values import REPAIRS

LOCK_TIMEOUT = "300ms"  # a writer that waits for longer rolls back: no deadlock, and no standstill
DATA_ERRORS = (
    "23",
    "40",
    "55P03",
)  # constraints, deadlocks, lock timeouts: ordinary errors of a shop
RECONNECT_SECONDS = 0.1
# Commits that wait for no disk: when the server crashes, those of the last seconds are gone.
SESSION = f"SET lock_timeout = '{LOCK_TIMEOUT}'; SET synchronous_commit = off"

SHAPES = [
    (60, "one action"),
    (22, "some actions"),
    (9, "with savepoints"),
    (4, "rolled back"),
    (5, "slow"),
]


class Gate:
    """Lets writers through, one statement at a time each, until somebody asks for silence."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._closed = False
        self._inside = 0

    @contextmanager
    def passage(self) -> Iterator[None]:
        """Hold up while the gate is closed; keep it from closing while inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep all writers between two statements, transactions open or not."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


class Workload:
    """A shop with several writers, at work until it is left."""

    def __init__(
        self, url: str, seed: int, writers: int, think: float = 0.0, longest: float = 3.0
    ) -> None:
        """Take the source's URL, the seed, and the mean seconds between transactions of a writer.

        `longest` bounds the seconds that a slow transaction stays open.
        """
        self.seed = seed
        self.gate = Gate()
        self.done: Counter[str] = Counter()
        self._url = url
        self._think = think
        self._longest = longest
        self._stop = Event()
        self._shelf = Shelf()
        self._failed: list[BaseException] = []
        self._threads = [
            Thread(target=self._work, args=(Random(f"{seed} {number}"),), name=f"writer {number}")
            for number in range(writers)
        ]

    @property
    def committed(self) -> int:
        """How many transactions have been committed."""
        return self.done["committed"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the writers work; at the end let each finish what it is at."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if self._failed:
            raise self._failed[0]

    def forget(self) -> None:
        """Forget what was written: the source went back to an earlier state."""
        self._shelf.clear()

    def _work(self, random: Random) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._work_on_one_connection(random)
                except (pg8000.native.Error, OSError) as error:
                    if not _is_lost_connection(error):
                        raise
                    self.done["connection lost"] += 1
                    self._stop.wait(RECONNECT_SECONDS)
        except BaseException as error:
            self._failed.append(error)
            self._stop.set()

    def _work_on_one_connection(self, random: Random) -> None:
        with self.gate.passage():
            connection = connect(self._url)
        with closing(connection):
            hand = Hand(connection, random, self._shelf, self.gate.passage)
            hand.run(SESSION)
            while not self._stop.is_set():
                self.done[transact(hand, self._wait)] += 1
                self._stop.wait(random.expovariate(1 / self._think) if self._think else 0)

    def wait(self, seconds: float) -> None:
        """Let time go by, or less if the work is over before."""
        self._stop.wait(seconds)

    def _wait(self, seconds: float) -> None:
        self._stop.wait(min(seconds, self._longest))


def transact(hand: Hand, wait: Callable[[float], None]) -> str:
    """Carry out one random transaction; return its outcome."""
    weights, shapes = zip(*SHAPES, strict=True)
    shape = hand.random.choices(shapes, weights)[0]
    try:
        hand.run("BEGIN")
        for _ in range(1 if shape == "one action" else hand.random.randint(1, 5)):
            random_action(hand.random)(hand)
        if shape == "with savepoints":
            _save_and_roll_back(hand)
        if shape == "slow":
            wait(hand.random.expovariate(1))
            random_action(hand.random)(hand)
        hand.run("ROLLBACK" if shape == "rolled back" else "COMMIT")
    except pg8000.native.DatabaseError as error:
        if not error.args[0]["C"].startswith(DATA_ERRORS):
            raise
        hand.run("ROLLBACK")
        return "refused"
    return "rolled back" if shape == "rolled back" else "committed"


def _save_and_roll_back(hand: Hand) -> None:
    """Do a few things at savepoints, some of which fail; a failure costs its savepoint only."""
    for number in range(hand.random.randint(1, 4)):
        hand.run(f"SAVEPOINT s{number}")
        try:
            random_action(hand.random)(hand)
        except pg8000.native.DatabaseError:
            hand.run(f"ROLLBACK TO s{number}")
        else:
            ends = ["ROLLBACK TO s{}", "RELEASE s{}", "SELECT {}"]
            hand.run(hand.random.choice(ends).format(number))


def _is_lost_connection(error: Exception) -> bool:
    """Return whether a server that ends, starts or is gone explains an error."""
    if isinstance(error, pg8000.native.DatabaseError):
        return str(error.args[0].get("C", "")).startswith(("57", "3D"))
    return isinstance(error, (pg8000.native.InterfaceError, OSError))


def repair_all(url: str) -> None:
    """Make every row of the source fit for the warehouse."""
    with connect(url) as connection:
        for statement in REPAIRS:
            connection.run(statement)
