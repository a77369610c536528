"""Digests of all rows of a table, whatever their order, made in the SQL of a database.

Each row has a SHA-256, and a table the sums of their first and their second eight bytes, modulo
2^64. So a row more or less is an addition: the digest of a table follows from that of the rows that
it should have, and from the rows that differ.
"""

from collections.abc import Sequence
from decimal import Decimal

HALVES = (1, 9)  # where they begin in the bytes of a row's digest, from 1
SPACE = 2**64

Sums = tuple[int, int]
NONE: Sums = (0, 0)


def sums_of(values: Sequence[Decimal | int | None]) -> Sums:
    """Return the sums that a query has returned; NULL is that of no row."""
    first, second = (int(value or 0) for value in values)
    return first, second


def added(*parts: Sums) -> Sums:
    """Return the sums of several sets of rows together."""
    return sum(first for first, _ in parts), sum(second for _, second in parts)


def without(whole: Sums, part: Sums) -> Sums:
    """Return the sums of the rows that are left without some of them."""
    return whole[0] - part[0], whole[1] - part[1]


def text(sums: Sums) -> str:
    """Return a digest as 32 hexadecimal digits."""
    return "".join(f"{each % SPACE:016x}" for each in sums)
