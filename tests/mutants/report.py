"""What became of the mutants, and what of it is a problem."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from enum import StrEnum

from tests.mutants.explained import Identity
from tests.mutants.operators import Mutant

GOAL = 0.9


class Result(StrEnum):
    """What became of a mutant; one whose tests do not end would be noticed too."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    LIVED = "lived"


def summary(results: Mapping[Mutant, Result]) -> Iterator[str]:
    """Yield a line for each module, and one for all."""
    modules: dict[str, Counter[Result]] = defaultdict(Counter)
    for mutant, result in results.items():
        modules[mutant.module][result] += 1
    for module, counts in modules.items():
        yield _line(module, counts)
    yield _line("all", sum(modules.values(), Counter()))


def problems(results: Mapping[Mutant, Result], explained: Mapping[Identity, str]) -> list[str]:
    """Return why the tests, or the explanations, are not good enough."""
    lived = [mutant for mutant, result in results.items() if result is Result.LIVED]
    unexplained = [mutant for mutant in lived if mutant.identity not in explained]
    found = [f"{mutant}: no test notices it, and nothing explains it" for mutant in unexplained]
    found += [
        f"{mutant}: tests notice it: remove its explanation"
        for mutant, result in results.items()
        if result is not Result.LIVED and mutant.identity in explained
    ]
    if len(results) - len(lived) < GOAL * len(results):
        found.append(f"less than {GOAL:.0%} are killed")
    return found


def _line(name: str, counts: Counter[Result]) -> str:
    killed = counts.total() - counts[Result.LIVED]
    late = f", {counts[Result.TIMED_OUT]} of them by time" if counts[Result.TIMED_OUT] else ""
    return f"{name}: {killed} of {counts.total()} killed ({killed / counts.total():.0%}){late}"
