"""A bucket of tokens: requests a second, and twice as many at once.

API Gateway has one for all, where there is one in front; this is what a single run of the function
takes on, so that a flood does not reach the warehouse either way.
"""

from collections.abc import Callable


class Throttle:
    """Allows `rate` requests a second; those of one idle second may come together."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._most = 2 * rate
        self._left = self._most
        self._clock = clock
        self._at = clock()

    def allows(self) -> bool:
        """Return whether one more request is allowed now, which then counts."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
