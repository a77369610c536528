"""The keys of a batch's objects: `<prefix>/<yyyy-mm-dd>/<batch>-<part>.parquet`, digits only.

A part is a random number of nine digits and a counter of four, so that a run never repeats the
name of one that died, and the name of an orphan shows whose it was not.
"""

from datetime import date
from secrets import randbelow

RUNS = 10**9


class ObjectNames:
    """Names for the objects that one writer puts under a prefix of a bucket for a batch."""

    def __init__(self, prefix: str, batch: int, day: date, ending: str = ".parquet") -> None:
        self._prefix = f"{prefix}/{day:%Y-%m-%d}/{batch:010d}"
        self._ending = ending
        self._run = randbelow(RUNS)
        self._part = 0

    def next(self) -> str:
        """Return a key that this writer has not used, nor, but for a rare chance, any other."""
        self._part += 1
        return f"{self._prefix}-{self._run:09d}{self._part:04d}{self._ending}"
