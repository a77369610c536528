"""Rows in slices that a function can hold, whether they are many or large."""

from collections.abc import Iterator
from typing import TypeVar

import pyarrow as pa

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


def rows_within(rows: int, size: int, at_most: int, most_bytes: int) -> int:
    """Return how many of `rows` that take `size` bytes in memory to hold at a time.

    They are `at_most`, fewer if they would take more than `most_bytes` on average, and at least 1.
    """
    average = max(1, size // max(1, rows))
    return max(1, min(at_most, most_bytes // average))


def sliced(rows: Rows, at_most: int, most_bytes: int) -> Iterator[Rows]:
    """Yield rows in slices of `at_most` rows and about `most_bytes` in memory, without a copy."""
    step = rows_within(rows.num_rows, rows.nbytes, at_most, most_bytes)
    for start in range(0, rows.num_rows, step):
        yield rows.slice(start, step)
