"""A token bucket: a number of requests a second, and twice as many at once.

API Gateway has one for all requests, if it is in front; this one is for a single instance of the
function, so that a flood does not reach the warehouse in any case.
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
