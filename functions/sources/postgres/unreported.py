"""Keys that are gone and that a batch does not report, as they are too many: a later one does.

The keys that are stored after a batch are those before it and those that came, without those that
it reports. A bucket with others gets a digest that no keys have, so that it is compared again,
whatever becomes of the table.

    before 1 2 3 4 5, now 1 6, room for two: reported 2 3, stored 1 4 5 6
"""

from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from functions.sources.postgres import keysets
from functions.sources.postgres.keysets import DIGESTS, RUNS, SUM, KeySet

DELETED_AT_ONCE = 1_000_000  # load records some 30,000 a second: 30 of its 900 seconds

# The hashes of 10**12 keys add up to less: each is 2**63 at most.
_NO_SUM = pa.scalar(Decimal(10) ** 31, SUM)

Gone = Callable[[pa.Array], None]
"""Takes keys that a table no longer has; may be called several times."""
Report = Callable[[pa.Array], int]
"""Reports keys that a table no longer has; returns how many, the first ones: others are kept."""


class Reporting:
    """Counts the deletions of a batch, which has `room` for more; the `cut` tables have others."""

    def __init__(self) -> None:
        self.room = DELETED_AT_ONCE
        self.cut: set[str] = set()

    def report(self, table: str, gone: Gone, keys: pa.Array, *, is_bounded: bool) -> int:
        """Report the keys for which there is room, or all; return how many, the first ones."""
        some = keys[: self.room] if is_bounded else keys
        self.room = max(0, self.room - len(some))
        if len(some):
            gone(some)
        if len(some) < len(keys):
            self.cut.add(table)
        return len(some)


def unlike_any(buckets: pa.ChunkedArray) -> pa.Table:
    """Return digests to add to those of other keys, given the bucket of each key that is kept."""
    found = pc.value_counts(buckets.combine_chunks().cast(pa.int64()))
    return _unlike_any(found.field("values"), found.field("counts"))


def keeping(now: KeySet, before: KeySet, first: int) -> KeySet:
    """Return the keys of a table, with those of before that may be gone, from `first` on."""
    kept = from_key(keysets.apart(before, now)[0], first)
    runs = keysets.merged([now.runs, kept])
    mine, changed = _buckets(runs, now.shift), pc.unique(_buckets(kept, now.shift))
    is_changed = pc.is_in(mine, changed)
    new = _unlike_any(mine.filter(is_changed), keysets.sizes(runs).filter(is_changed))
    others = now.digests.filter(pc.invert(pc.is_in(now.digests["bucket"], changed)))
    return KeySet(now.shift, keysets.digests_after(others, came=new), runs)


def divided(runs: pa.Table, number: int) -> tuple[pa.Table, pa.Table]:
    """Return the runs of the first keys, and of the others."""
    sizes = keysets.sizes(runs)
    ends = pc.cumulative_sum(sizes).combine_chunks()
    at = pc.search_sorted(ends, number, side="right").as_py()
    if at == len(ends):
        return runs, RUNS.empty_table()
    first = runs["last"][at].as_py() + 1 - (ends[at].as_py() - number)
    before = runs.filter(pc.less(runs["first"], first))
    # Before the least of all keys there is none.
    last = pa.scalar(max(first - 1, -(2**63)), pa.int64())
    ends_before = pc.min_element_wise(before["last"], last)
    return pa.table([before["first"], ends_before], schema=RUNS), from_key(runs, first)


def from_key(runs: pa.Table, first: int) -> pa.Table:
    """Return the runs of the keys from one on."""
    rest = runs.filter(pc.greater_equal(runs["last"], first))
    return pa.table([pc.max_element_wise(rest["first"], first), rest["last"]], schema=RUNS)


def _buckets(runs: pa.Table, shift: int) -> pa.ChunkedArray:
    return pc.shift_right(runs["first"], shift)


def _unlike_any(buckets: pa.Array, rows: pa.Array) -> pa.Table:
    sums = pa.repeat(_NO_SUM, len(buckets))
    return pa.table([buckets, rows, sums], schema=DIGESTS)
