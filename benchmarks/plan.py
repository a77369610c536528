"""The measurements that a subject is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.databases import CONSTRAINED
from benchmarks.measuring import Contenders, Measurement


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

    def sizes(self, usual: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes to measure, the smallest first."""
        return tuple(sorted(self.rows or ((10_000,) if self.quick else usual)))

    def repetitions(self, rows: int) -> int:
        """Return how often each contender runs; large ones vary less."""
        if self.repeat or self.quick:
            return self.repeat or 1
        return 3 if rows <= 2_000_000 else 2

    def chosen(self, contenders: Mapping[str, Callable[[], Measurement]]) -> Contenders:
        """Return those contenders that take part."""
        return {name: run for name, run in contenders.items() if self._wanted(name)}

    def _wanted(self, name: str) -> bool:
        return not self.only or any(part in name for part in self.only)


@dataclass(frozen=True)
class Peer:
    """A tool that loads, and the most rows it is asked for: none should take minutes.

    With foreign keys everybody waits for the same checks, a minute for a million rows.
    """

    task: str
    constrained: int = 100_000
    unconstrained: int = 10_000_000

    def takes(self, case: str, rows: int) -> bool:
        """Return whether it is asked for so many rows, with or without foreign keys."""
        return rows <= (self.constrained if case == CONSTRAINED else self.unconstrained)
