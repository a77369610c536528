"""When an API may be polled again, while a function stays warm.

After a cold start the API is polled at once: that is one request more, but no state that could
disagree with the log. A strict limit is enforced by the API itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class Pace:
    """Until when an API is not polled, why, and the tables that its last answer `stopped`."""

    until: datetime = _NO_TIME
    why: str = ""
    stopped: Mapping[str, str] = field(default_factory=dict)

    def wait(self, until: datetime, why: str, stopped: Mapping[str, str] | None = None) -> None:
        """Do not poll the API until a moment."""
        self.until = until
        self.why = f"{why}, next at {until:%Y-%m-%d %H:%M}, or --now"  # on a line of 80
        if stopped is not None:
            self.stopped = stopped

    def rest(self, seconds: float, now: datetime, why: str) -> None:
        """Do not poll the API for some seconds, a day at most."""
        self.wait(now + timedelta(seconds=min(seconds, 86_400)), why)
