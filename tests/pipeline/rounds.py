"""One round: a shop at work, the functions in a storm, then silence, and the comparison."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

from local.emulator import Emulator
from tests.pipeline.arena import TOTESYS, Arena, Servers, arena
from tests.pipeline.disruptions import Disruptions
from tests.pipeline.invocation import ROWS_AT_ONCE
from tests.pipeline.recorded import warehouse_history
from tests.pipeline.scene import Scene
from tests.pipeline.storm import LAKE, Storm
from tests.pipeline.verdict import Verdict, compare
from tests.pipeline.workload import Workload, repair_all

# How many rows a batch holds of tables that are read whole, by rounds; the last holds all of them.
BATCH_ROWS = (300, 1_000, 500_000)
STEP_SECONDS = 0.2
STEPS_A_LOOK = 5


@dataclass
class Figures:
    """The result of rounds. `wrong` has seed, table and key of each row that is not as expected."""

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
    stuck: int = 0
    commits: int = 0
    events: Counter[str] = field(default_factory=Counter)
    disruptions: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Add the figures of another round."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def faults(self) -> int:
        """How many faults of S3 and of the links to the databases happened."""
        return sum(
            n for what, n in self.events.items() if what.startswith(("S3", "Glue", "database"))
        )


@dataclass(frozen=True)
class LakeVerdict:
    """How many commits to Iceberg tables were compared, and what is wrong."""

    commits: int
    wrong: list[str]


@dataclass(frozen=True)
class Size:
    """How large a round is: its seconds, writers (and the mean of their pauses), storm threads.

    `disruptions` are played in order, and end the round; None stands for all of them at random for
    as long as the round lasts.
    """

    seconds: float
    writers: int
    think: float
    workers: int
    faulty_links: float = 0.15
    disruptions: tuple[str, ...] | None = ()


def play(
    servers: Servers,
    aws: Emulator,
    seed: int,
    size: Size,
    *,
    log: Path,
    tick: Callable[[Figures], bool] = lambda _: False,
    pipeline: Mapping[str, str] = TOTESYS,
    judge_lake: Callable[[Arena], LakeVerdict] | None = None,
) -> Figures:
    """Play a round from a seed and return its figures; `tick` sees them grow, and may end it.

    With `judge_lake` the function `lake` is played too, and its tables are judged.
    """
    with arena(servers, aws, f"round-{seed}", seed, pipeline) as place:
        place.environment[ROWS_AT_ONCE] = str(BATCH_ROWS[seed % len(BATCH_ROWS)])
        a_round = _Round(place, seed, size, log, judge_lake)
        a_round.rage(tick)
        repair_all(place.source.superuser_url)
        a_round.storm.settle()
        return a_round.judge()


class _Round:
    """A shop at work, the functions in a storm, and what disrupts them."""

    def __init__(
        self,
        place: Arena,
        seed: int,
        size: Size,
        log: Path,
        judge_lake: Callable[[Arena], LakeVerdict] | None,
    ) -> None:
        self._started = time.monotonic()
        self._place, self._seed, self._size = place, seed, size
        self._judge_lake = judge_lake
        self.storm = Storm(
            place.environment,
            seed,
            log,
            loads_again=size.disruptions != (),
            functions=("extract", "transform", "load", *([LAKE] if judge_lake else [])),
        )
        self._shop = Workload(place.source.superuser_url, seed, size.writers, size.think)
        self._scene = Scene(place, self._shop, self.storm, Random(f"disruptions {seed}"))
        self._disruptions = Disruptions(self._scene, size.disruptions)

    def rage(self, tick: Callable[[Figures], bool]) -> None:
        """Let all of them go on until the time is over; then end what is under way."""
        with self._shop.running():
            self._place.link.faulty = self._size.faulty_links
            with self.storm.raging(self._size.workers):
                for step in count():
                    if self._is_over() or tick(self._figures(Verdict())):
                        break
                    self.storm.wait(STEP_SECONDS)
                    if step % STEPS_A_LOOK == 0:
                        self._place.lake.look()
                    self._disruptions.step()
            self._disruptions.finish()
        self._place.link.faulty = 0.0

    def _is_over(self) -> bool:
        if self._size.disruptions:
            return self._disruptions.are_over
        return time.monotonic() > self._started + self._size.seconds

    def judge(self) -> Figures:
        """Compare everything, and return the figures of the round."""
        place = self._place
        verdict = compare(place.source, place.warehouse, place.history.versions())
        records = warehouse_history(place.warehouse)
        place.lake.judge_history(verdict, records, is_complete=not self._scene.refused)
        batches = place.lake.judge(verdict)
        of_lake = self._judge_lake(place) if self._judge_lake else LakeVerdict(0, [])
        verdict.different += of_lake.wrong
        total = self._figures(verdict)
        total.batches, total.commits = batches, of_lake.commits
        return total

    def _figures(self, verdict: Verdict) -> Figures:
        storm, wrong = self.storm, verdict.wrong + self.storm.wrong + self.storm.stuck
        return Figures(
            seeds=[self._seed],
            seconds=time.monotonic() - self._started,
            transactions=self._shop.committed,
            batches=storm.batches,
            invocations=storm.tally["invocations"],
            kills=storm.kills,
            compared=verdict.compared,
            lost=len(verdict.lost),
            twice=len(verdict.twice),
            different=len(verdict.different),
            stuck=len(storm.stuck) + len(verdict.stuck),
            events=storm.tally + self._place.link.faults,
            disruptions=self._disruptions.done.copy(),
            wrong=[f"seed {self._seed}: {what}" for what in wrong],
        )
