"""Disrupt a pipeline at work: its source and its warehouse each by one thing after the other."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle
from random import Random

from local.mysql import MysqlServer
from tests.pipeline.mysql_disruptions import MYSQL_DISRUPTIONS
from tests.pipeline.scene import Condition, Disruption, Scene
from tests.pipeline.source_disruptions import SOURCE_DISRUPTIONS
from tests.pipeline.warehouse_disruptions import WAREHOUSE_DISRUPTIONS

LONGEST_STEP = 20.0  # seconds, for functions that do not come to what is waited for
SIDES = (SOURCE_DISRUPTIONS, WAREHOUSE_DISRUPTIONS)
MYSQL_SIDES = (SOURCE_DISRUPTIONS, MYSQL_DISRUPTIONS)


class Disruptions:
    """The disruptions of a round, a step at a time; `done` counts those that are over."""

    def __init__(self, scene: Scene, names: Iterable[str] | None) -> None:
        """Take names, each to be played once in order, or None for all in random order."""
        self.done: Counter[str] = Counter()
        is_mysql = isinstance(scene.place.servers.warehouse, MysqlServer)
        self._sides = [
            _Side(scene, _chosen(side, names, scene.random), self.done)
            for side in (MYSQL_SIDES if is_mysql else SIDES)
        ]

    @property
    def are_over(self) -> bool:
        """Whether nothing is under way and nothing is left to play."""
        return all(side.condition is None for side in self._sides)

    def step(self) -> None:
        """Take the steps that are due."""
        for side in self._sides:
            side.step()

    def finish(self) -> None:
        """End what is under way."""
        for side in self._sides:
            side.finish()


def _chosen(
    side: dict[str, Disruption], names: Iterable[str] | None, random: Random
) -> Iterator[tuple[str, Disruption]]:
    if names is None:
        return cycle(random.sample([*side.items()], len(side)))
    return iter([(name, side[name]) for name in names if name in side])


class _Side:
    """The disruption of one side, and the condition for its next step; None when it is over."""

    def __init__(
        self, scene: Scene, queue: Iterator[tuple[str, Disruption]], done: Counter[str]
    ) -> None:
        self._ending = False
        self._steps = self._play(scene, queue, done)
        self.condition: Condition | None = None
        self._advance()

    def _play(
        self, scene: Scene, queue: Iterator[tuple[str, Disruption]], done: Counter[str]
    ) -> Iterator[Condition]:
        for name, disruption in queue:
            yield scene.after(extract=1, load=1)
            if self._ending:
                return
            yield from disruption(scene)
            done[name] += 1

    def step(self) -> None:
        """Take the next step if it is due."""
        if self.condition and (self.condition() or time.monotonic() > self._patience):
            self._advance()

    def finish(self) -> None:
        """Take the steps that are left of what is under way."""
        self._ending = True
        while self.condition:
            self._advance()

    def _advance(self) -> None:
        self.condition = next(self._steps, None)
        self._patience = time.monotonic() + LONGEST_STEP
