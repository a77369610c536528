"""From how many changed rows on a table is read again in portions."""

import pytest

from functions.sources.postgres.filling import BYTES_AT_ONCE, ROWS_AT_ONCE, is_too_much
from functions.sources.postgres.plan import NO_SIZE, TableSize

ROWS, BYTES = 2 * ROWS_AT_ONCE, 2 * BYTES_AT_ONCE


@pytest.mark.parametrize(
    ("rows", "of", "is_much"),
    [
        (ROWS, TableSize(4 * ROWS, BYTES), False),
        (ROWS + 1, TableSize(4 * ROWS, BYTES), True),
        (ROWS + 1, NO_SIZE, True),
        (5, TableSize(10, 2 * BYTES), False),
        (6, TableSize(10, 2 * BYTES), True),
        (0, TableSize(10, 2 * BYTES), False),
    ],
)
def test_changes_are_too_many_by_rows_or_by_bytes(
    rows: int, of: TableSize, *, is_much: bool
) -> None:
    """Two portions are as much as a batch may have; the bytes are those of a row on average."""
    assert is_too_much(rows, of) is is_much
