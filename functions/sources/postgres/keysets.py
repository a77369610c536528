"""The integer keys of a table, from which the rows deleted since the last batch are found.

A set of keys is stored as runs of consecutive ones, so ten million serial keys take few bytes; keys
that make too many runs are stored as in `hashedkeys`. Keys are grouped into buckets, each with a
digest that the source computes in one scan: only buckets whose digest has changed are compared key
by key.

    keys 1, 2, 3, 7 -> runs (1, 3), (7, 7); with SHIFT 12 all of them are in bucket 0
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier

from functions.sources.postgres.keyhash import hash_halves

SHIFT = 12  # a bucket is a range of 4,096 keys,
BUCKETS_AT_MOST = 1 << 16  # or of more, where keys are sparse: a digest takes some 100 bytes
RUNS_AT_A_TIME = 1 << 18  # that a builder holds before it merges them
RUNS_AT_MOST = 1 << 18  # of a set: 60 bytes each while it is stored or fetched
DIGESTS_AT_MOST = 1 << 18  # of a table whose keys the source scans
KEYS_AT_A_TIME = 1 << 18  # that are compared one by one

SUM = pa.decimal128(38, 0)
RUNS = pa.schema([("first", pa.int64()), ("last", pa.int64())])
DIGESTS = pa.schema([("bucket", pa.int64()), ("rows", pa.int64()), ("sum", SUM)])


@dataclass(frozen=True)
class KeySet:
    """The keys of a table: `runs` as RUNS, in order, none across buckets; `digests` as DIGESTS.

    A key's bucket is `key >> shift`. A digest is how many keys the bucket has, and the sum of their
    hashes.
    """

    shift: int = SHIFT
    digests: pa.Table = field(default_factory=DIGESTS.empty_table)
    runs: pa.Table = field(default_factory=RUNS.empty_table)

    def not_in(self, values: pa.Array) -> pa.Array:
        """Return the distinct values (integers, NULL is none) that are not in the set."""
        asked = pc.unique(values.drop_null()).cast(pa.int64())
        return asked.filter(pc.invert(_in_runs(self.runs, asked)))


def digest_columns(key: str, shift: int) -> str:
    """Return the SQL of a bucket's number, rows and sum, for a query grouped by the first."""
    name = identifier(key)
    return f"{name} >> {shift}, count(*), sum(hashint8extended({name}, 0))"


class DigestBuilder:
    """Computes the digests of buckets from the hashes of keys, block by block."""

    def __init__(self) -> None:
        self._sums: pa.Table | None = None

    def __len__(self) -> int:
        return len(self._sums) if self._sums else 0

    def add(self, bucket: pa.Array, upper: pa.Array, lower: pa.Array) -> None:
        """Add the halves of hashes (`upper * 2**32 + lower`) to those of their buckets."""
        ones = pa.repeat(pa.scalar(1, pa.int64()), len(bucket))
        hashes = pa.table({"bucket": bucket, "rows": ones, "upper": upper, "lower": lower})
        self._sums = _added_up([*([self._sums] if self._sums else []), hashes])

    def halve(self) -> None:
        """Make buckets of twice the size, about half as many."""
        if self._sums:
            self._sums = _halved(self._sums)

    def digests(self) -> pa.Table:
        """Return the digests as DIGESTS, in order."""
        if self._sums is None:
            return DIGESTS.empty_table()
        halves = zip(self._sums["upper"].to_pylist(), self._sums["lower"].to_pylist(), strict=True)
        sums = pa.array([(upper << 32) + lower for upper, lower in halves], SUM)
        return self._sums.select(["bucket", "rows"]).append_column("sum", sums).sort_by("bucket")


class KeySetBuilder:
    """Makes the key set of a table that is read whole, block by block."""

    def __init__(self) -> None:
        self._shift = SHIFT
        self._runs = RUNS.empty_table()
        self._new: list[pa.Table] = []
        self._digests = DigestBuilder()
        self._is_sparse = False

    def add(self, keys: pa.Array) -> None:
        """Add keys (integers)."""
        if self._is_sparse:
            return
        keys = keys.cast(pa.int64())
        self._new.append(runs_of(keys))
        if sum(len(runs) for runs in self._new) > max(RUNS_AT_A_TIME, len(self._runs)):
            self._merge()
        self._digests.add(pc.shift_right(keys, self._shift), *hash_halves(keys))
        while len(self._digests) > BUCKETS_AT_MOST:
            self._shift += 1
            self._digests.halve()

    def _merge(self) -> None:
        self._runs, self._new = merged([self._runs, *self._new]), []
        if len(self._runs) > RUNS_AT_MOST:
            self._is_sparse, self._runs = True, RUNS.empty_table()

    def key_set(self) -> KeySet | None:
        """Return the set, with the digests that `digest_columns` gives; None for sparse keys."""
        self._merge()
        if self._is_sparse:
            return None
        return KeySet(self._shift, self._digests.digests(), self._runs)


def _halved(sums: pa.Table) -> pa.Table:
    """Return the sums of buckets of twice the size, about half as many."""
    return _added_up([sums.set_column(0, "bucket", pc.shift_right(sums["bucket"], 1))])


def _added_up(tables: list[pa.Table]) -> pa.Table:
    """Return the sums of the other columns by bucket."""
    grouped = pa.concat_tables(tables).group_by("bucket", use_threads=False)
    names = tables[0].column_names
    return grouped.aggregate([(name, "sum") for name in names[1:]]).rename_columns(names)


def runs_of(keys: pa.Array) -> pa.Table:
    """Return the runs of keys (integers, in any order)."""
    ordered = keys.cast(pa.int64()).sort()
    return _joined(ordered, ordered)


def merged(tables: list[pa.Table]) -> pa.Table:
    """Return the runs of some tables in order; consecutive ones are merged within a bucket."""
    runs = pa.concat_tables([RUNS.empty_table(), *tables]).sort_by("first").combine_chunks()
    firsts, lasts = (column.combine_chunks() for column in runs.columns)
    return _joined(firsts, pc.cumulative_max(lasts))


def _joined(firsts: pa.Array, so_far: pa.Array) -> pa.Table:
    """Return ordered runs merged, given their first keys and the largest key up to each end."""
    after, before = firsts[1:], so_far[:-1]
    is_next = pc.equal(pc.subtract(after, before), 1)
    starts_bucket = pc.equal(pc.bit_wise_and(after, (1 << SHIFT) - 1), 0)
    begins = pc.and_(pc.greater(after, before), pc.or_(pc.invert(is_next), starts_bucket))
    places = pc.indices_nonzero(begins)  # of the runs after which another begins
    first = pa.concat_arrays([firsts[:1], after.take(places)])
    last = pa.concat_arrays([before.take(places), so_far[-1:]])
    return pa.table([first, last], schema=RUNS)


def keys_of(runs: pa.Table) -> pa.Array:
    """Return the keys of runs, in order."""
    pairs = zip(runs["first"].to_pylist(), runs["last"].to_pylist(), strict=True)
    keys = array("q", chain.from_iterable(range(first, last + 1) for first, last in pairs))
    return pa.Array.from_buffers(pa.int64(), len(keys), [None, pa.py_buffer(keys)])


def in_buckets(keys: KeySet, buckets: pa.Array) -> pa.Table:
    """Return the runs of some buckets."""
    return keys.runs.filter(_is_in(keys, buckets))


def with_buckets(keys: KeySet, digests: pa.Table, buckets: pa.Array, found: pa.Table) -> KeySet:
    """Return a set with the runs `found` for those of some buckets, and with these digests."""
    others = keys.runs.filter(pc.invert(_is_in(keys, buckets)))
    return KeySet(*_few(keys.shift, digests), merged([others, found]))


def among(keys: KeySet, buckets: pa.Array, found: pa.Table) -> KeySet | None:
    """Return a set without those of its keys in some buckets that are not in the runs `found`.

    None if they make too many runs.
    """
    left = KeySetBuilder()
    for some in pieces(in_buckets(keys, buckets)):
        left.add(some.filter(_in_runs(found, some)))
    others = keys.digests.filter(pc.invert(pc.is_in(keys.digests["bucket"], buckets)))
    runs = keys.runs.filter(pc.invert(_is_in(keys, buckets)))
    return united(KeySet(keys.shift, others, runs), left.key_set())


def _few(shift: int, digests: pa.Table) -> tuple[int, pa.Table]:
    """Return digests, of larger buckets if there are too many, and their shift."""
    while len(digests) > BUCKETS_AT_MOST:
        shift, digests = shift + 1, _halved(digests).cast(DIGESTS)
    return shift, digests.sort_by("bucket")


def united(keys: KeySet, others: KeySet | None) -> KeySet | None:
    """Return a set with other keys, which it does not have; None if they make too many runs."""
    if others is None:
        return None
    if not len(others.runs):
        return keys
    shift = max(keys.shift, others.shift)
    digests = _added_up([_at(keys, shift), _at(others, shift)]).cast(DIGESTS)
    runs = merged([keys.runs, others.runs])
    return KeySet(*_few(shift, digests), runs) if len(runs) <= RUNS_AT_MOST else None


def without(keys: KeySet, gone: pa.Array) -> KeySet:
    """Return a set without some of its keys (int64, distinct)."""
    if not len(gone):
        return keys
    builder = DigestBuilder()
    builder.add(pc.shift_right(gone, keys.shift), *hash_halves(gone))
    digests = digests_after(keys.digests, gone=builder.digests())
    return KeySet(keys.shift, digests, _split(keys.runs, gone))


def digests_after(
    before: pa.Table, *, came: pa.Table | None = None, gone: pa.Table | None = None
) -> pa.Table:
    """Return digests after keys with others came and went; all are DIGESTS."""
    changes = [before, *([came] if came else [])]
    if gone:
        negative = [pc.negate(gone["rows"]), pc.negate(gone["sum"])]
        changes.append(pa.table([gone["bucket"], *negative], names=DIGESTS.names).cast(DIGESTS))
    digests = _added_up(changes).cast(DIGESTS)
    return digests.filter(pc.greater(digests["rows"], 0)).sort_by("bucket")


def _split(runs: pa.Table, gone: pa.Array) -> pa.Table:
    """Return ordered runs without some of their keys.

    The n-th first key still belongs to the n-th last one: 1-5 without 3 has first keys 1 and 4,
    last keys 2 and 5.
    """
    keys = gone.to_pylist()
    firsts = sorted([*runs["first"].to_pylist(), *(key + 1 for key in keys)])
    lasts = sorted([*runs["last"].to_pylist(), *(key - 1 for key in keys)])
    left = [pair for pair in zip(firsts, lasts, strict=True) if pair[0] <= pair[1]]
    return pa.table([[first for first, _ in left], [last for _, last in left]], schema=RUNS)


def _at(keys: KeySet, shift: int) -> pa.Table:
    """Return the digests of a set for buckets of another size."""
    digests = keys.digests
    for _ in range(shift - keys.shift):
        digests = _halved(digests).cast(DIGESTS)
    return digests


def _is_in(keys: KeySet, buckets: pa.Array) -> pa.ChunkedArray:
    return pc.is_in(pc.shift_right(keys.runs["first"], keys.shift), buckets)


def changed_buckets(before: pa.Table, now: pa.Table) -> pa.Array:
    """Return the buckets whose digest has changed; both tables are DIGESTS."""
    if before.equals(now):
        return pa.array([], pa.int64())
    seen = pa.concat_tables([before, now]).group_by(DIGESTS.names, use_threads=False)
    counted = seen.aggregate([([], "count_all")])
    once = counted.filter(pc.equal(counted["count_all"], 1))
    return pc.unique(once["bucket"]).sort()


def deleted_keys(before: KeySet, now: KeySet) -> Iterator[pa.Array]:
    """Yield the keys that are no longer there, in order, a bounded number at a time."""
    there, here = apart(before, now)
    for keys in pieces(there):
        if len(deleted := keys.filter(pc.invert(_in_runs(here, keys)))):
            yield deleted


def apart(before: KeySet, now: KeySet) -> tuple[pa.Table, pa.Table]:
    """Return the runs of both sets in which they may differ."""
    if before.shift != now.shift:
        return before.runs, now.runs
    changed = changed_buckets(before.digests, now.digests)
    return in_buckets(before, changed), in_buckets(now, changed)


def sizes(runs: pa.Table) -> pa.ChunkedArray:
    """Return how many keys each run has."""
    return pc.add(pc.subtract(runs["last"], runs["first"]), 1)


def pieces(runs: pa.Table) -> Iterator[pa.Array]:
    """Yield the keys of runs, in order, a bounded number at a time."""
    ends = pc.cumulative_sum(sizes(runs)).combine_chunks()
    start = before = 0
    while start < len(ends):
        end = pc.search_sorted(ends, before + KEYS_AT_A_TIME, side="right").as_py()
        end = max(end, start + 1)
        yield keys_of(runs.slice(start, end - start))
        start, before = end, ends[end - 1].as_py()


def is_in(keys: KeySet, values: pa.Array) -> pa.Array:
    """Return which values (integers) are in the set."""
    return _in_runs(keys.runs, values.cast(pa.int64()))


def _in_runs(runs: pa.Table, values: pa.Array) -> pa.Array:
    """Return which values are in one of some runs: in the last that begins at or before it."""
    if not len(runs):
        return pa.repeat(pa.scalar(False), len(values))
    firsts, lasts = (runs[name].combine_chunks() for name in RUNS.names)
    after = pc.search_sorted(firsts, values, side="right").cast(pa.int64())
    last = lasts.take(pc.max_element_wise(pc.subtract(after, 1), 0))
    return pc.and_(pc.greater(after, 0), pc.greater_equal(last, values))
