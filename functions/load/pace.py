"""Whether an invocation has time for another batch."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Decides by the time that is left, and by how long the slowest batch so far has taken.

    `left` returns the milliseconds until the invocation is ended, of which there were `before` the
    first batch. No batch is begun with fewer than `spare`, nor with fewer than the slowest took.
    """

    left: Callable[[], int]
    spare: int
    before: int
    _slowest: int = field(init=False, default=0)

    def has_time(self) -> bool:
        """Return whether there is time; to be asked after each batch."""
        left = self.left()
        self._slowest = max(self._slowest, self.before - left)
        self.before = left
        return left >= max(self.spare, self._slowest)
