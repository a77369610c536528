"""A fuzz target: a property of a parser, tried with made-up input for as long as there is time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

EXAMPLES_AT_A_TIME = 100


@dataclass(frozen=True)
class Target:
    """A property of all that `inputs` makes; the docstring of `check` says it in words."""

    check: Callable[[Any], None]
    inputs: SearchStrategy[Any]

    @property
    def name(self) -> str:
        """Return the name of the parser."""
        return self.check.__name__

    def run(self, seconds: float) -> int:
        """Try inputs for about so many seconds; return how many rounds of examples it were.

        A failure is raised with the smallest input that shows it, and how to try that again.
        """
        began, rounds = time.monotonic(), 0
        while rounds == 0 or time.monotonic() - began < seconds:
            self.round()
            rounds += 1
        return rounds

    def round(self) -> None:
        """Try a round of inputs; raises as `run` does."""

        @settings(
            max_examples=EXAMPLES_AT_A_TIME,
            deadline=None,
            database=None,  # a failure of an earlier round has ended the run
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(self.inputs)
        def examples(value: Any) -> None:
            self.check(value)

        examples()
