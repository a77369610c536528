"""The result of comparing one target table."""

from dataclasses import dataclass

from functions.targets import Counted


@dataclass(frozen=True)
class Comparison(Counted):
    """The comparison of a target table with its source.

    `error` says why nothing was compared, `note` explains the numbers.
    """

    error: str | None = None
    note: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the target equals the source, deletions and pending rows aside."""
        return self.error is None and not (self.missing or self.different or self.extra)
