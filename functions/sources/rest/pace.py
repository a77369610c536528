"""When an API may be asked again, as long as a function stays warm.

A function that starts cold asks at once: that is one request more, and no state to get out of step
with the log. A limit that has to hold is kept by the API itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class Pace:
    """Until when an API is left alone, why, and the tables that its last answer `stopped`."""

    until: datetime = _NO_TIME
    why: str = ""
    stopped: Mapping[str, str] = field(default_factory=dict)

    def wait(self, until: datetime, why: str, stopped: Mapping[str, str] | None = None) -> None:
        """Leave the API alone until a moment."""
        self.until = until
        self.why = f"{why}, next at {until:%Y-%m-%d %H:%M}, or --now"  # on a line of 80
        if stopped is not None:
            self.stopped = stopped

    def rest(self, seconds: float, now: datetime, why: str) -> None:
        """Leave the API alone for some seconds, a day at most."""
        self.wait(now + timedelta(seconds=min(seconds, 86_400)), why)
