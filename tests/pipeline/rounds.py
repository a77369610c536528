"""One round: a shop at work, the functions in a storm, then silence, and the comparison."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.emulator import Emulator
from local.postgres import PostgresServer
from tests.pipeline.arena import arena
from tests.pipeline.storm import Storm
from tests.pipeline.verdict import Verdict, compare
from tests.pipeline.workload import Workload, mend_all

LOOK_SECONDS = 2.0


@dataclass
class Figures:
    """What rounds came to. `wrong` names seed, table and key of whatever is not as it should be."""

    seeds: list[int] = field(default_factory=list)
    seconds: float = 0.0
    transactions: int = 0
    batches: int = 0
    invocations: int = 0
    kills: int = 0
    compared: int = 0
    lost: int = 0
    twice: int = 0
    different: int = 0
    events: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Add the figures of another round."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def faults(self) -> int:
        """How many faults of S3 and of the links to the databases came to pass."""
        return sum(n for what, n in self.events.items() if what.startswith(("S3", "database")))


@dataclass(frozen=True)
class Size:
    """How large a round is: its seconds, writers (and the mean of their pauses), storm threads."""

    seconds: float
    writers: int
    think: float
    workers: int
    faulty_links: float = 0.15


def play(
    server: PostgresServer,
    aws: Emulator,
    seed: int,
    size: Size,
    *,
    log: Path,
    tick: Callable[[Figures], bool] = lambda _: False,
) -> Figures:
    """Play a round from a seed and return its figures; `tick` sees them grow, and may end it."""
    started = time.monotonic()
    with arena(server, aws, f"round-{seed}", seed) as place:
        storm = Storm(place.environment, seed, log)
        shop = Workload(place.source.superuser_url, seed, size.writers, size.think)

        def figures(verdict: Verdict) -> Figures:
            return Figures(
                seeds=[seed],
                seconds=time.monotonic() - started,
                transactions=shop.committed,
                batches=storm.batches,
                invocations=storm.tally["invocations"],
                kills=storm.kills,
                compared=verdict.compared,
                lost=len(verdict.lost),
                twice=len(verdict.twice),
                different=len(verdict.different),
                events=storm.tally + place.link.faults,
                wrong=[f"seed {seed}: {what}" for what in verdict.wrong + storm.wrong],
            )

        deadline = started + size.seconds
        with shop.running():
            place.link.faulty = size.faulty_links
            with storm.raging(size.workers):
                while time.monotonic() < deadline and not tick(figures(Verdict())):
                    storm.wait(LOOK_SECONDS)
                    place.lake.look()
        place.link.faulty = 0.0
        mend_all(place.source.superuser_url)
        storm.settle()
        verdict = compare(place.source, place.warehouse)
        batches = place.lake.judge(verdict)
        total = figures(verdict)
        total.batches = batches
        return total
