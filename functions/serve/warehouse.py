"""The one connection to the warehouse that an instance of the function keeps between requests.

So there are never more connections than instances, whose number is reserved, or limited by the
account.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from functions.common.errors import DatabaseUnavailableError
from functions.targets import Place
from functions.targets.reading import Reader, reading

# The server ends a statement after half of it, and a connection that is idle for all of it, even if
# the instance was frozen and never resumed.
SECONDS = 16.0
IDLE_SECONDS = 12.0  # after which it is not used again
# With each connection, the tables and the password are looked up again.
LIFE_SECONDS = 60.0
# A connection that broke while idle fails at once. An error that takes longer is the statement's.
AT_ONCE_SECONDS = 1.0

T = TypeVar("T")


class Warehouse:
    """Opens the connection when it is needed, and a new one if it broke."""

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self.place = place
        self._clock = clock
        self._open = ExitStack()
        self._reader: Reader | None = None
        self._opened_at = self._used_at = 0.0

    def ask(self, question: Callable[[Reader], T]) -> T:
        """Return the result of a question; on a connection that turns out broken, ask again.

        After any error the next question has a new connection.
        """
        began = self._clock()
        if began > min(self._used_at + IDLE_SECONDS, self._opened_at + LIFE_SECONDS):
            self.close()
        is_kept = self._reader is not None
        try:
            return self._ask(question)
        except DatabaseUnavailableError:
            if not is_kept or self._clock() - began > AT_ONCE_SECONDS:
                raise
        return self._ask(question)

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._reader = None
        self._open.close()

    def _ask(self, question: Callable[[Reader], T]) -> T:
        try:
            if self._reader is None:
                opened = reading(self.place.target).reader(self.place, SECONDS)
                self._reader = self._open.enter_context(opened)
                self._opened_at = self._clock()
            found = question(self._reader)
        except BaseException:
            self.close()
            raise
        self._used_at = self._clock()
        return found
