"""Which keys a table has, and so which rows were deleted since the last batch.

A set of keys is kept in buckets of 4,096 neighbours, one bit a key, with a digest that the source
computes in one scan: only buckets whose digest has changed are looked at key by key. Ten million
serial keys take 1.3 MB.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from pg8000.native import identifier

from functions.common.errors import LogCorrupted
from functions.common.parquet import digest, opened
from functions.common.storage import Bucket
from functions.extract.keyhash import hash_halves

SHIFT = 12
SIZE = 1 << SHIFT

_STORED = pa.schema(
    [
        ("table", pa.string()),
        ("bucket", pa.int64()),
        ("rows", pa.int32()),
        ("digest", pa.string()),
        ("bits", pa.binary()),
    ]
)


class Digest(Struct, frozen=True):
    """How many keys a bucket has, and a sum of their hashes (a decimal number, as text)."""

    rows: int
    sum: str


class KeyBucket(Struct, frozen=True):
    """A bucket: its digest, and bit i set for key `bucket * 4096 + i`."""

    digest: Digest
    bits: int


KeySet = dict[int, KeyBucket]


def digest_columns(key: str) -> str:
    """Return the SQL of a bucket's number, rows and sum, for a query grouped by the first."""
    name = identifier(key)
    return f"{name} >> {SHIFT}, count(*), sum(hashint8extended({name}, 0))::text"


class KeySetBuilder:
    """The key set of a table that is read whole, made from the keys as they come."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._rows: Counter[int] = Counter()
        self._sums: Counter[int] = Counter()

    def add(self, keys: pa.Array) -> None:
        """Add keys (integers)."""
        keys = keys.cast(pa.int64())
        for number, bits in bits_by_bucket(keys).items():
            self._bits[number] = self._bits.get(number, 0) | bits
        upper, lower = hash_halves(keys)
        hashes = {"bucket": pc.shift_right(keys, SHIFT), "upper": upper, "lower": lower}
        by_bucket = pa.table(hashes).group_by("bucket", use_threads=False)
        totals = by_bucket.aggregate([([], "count_all"), ("upper", "sum"), ("lower", "sum")])
        for row in totals.to_pylist():
            self._rows[row["bucket"]] += row["count_all"]
            self._sums[row["bucket"]] += (row["upper_sum"] << 32) + row["lower_sum"]

    def key_set(self) -> KeySet:
        """Return the set, with the digests that `digest_columns` gives."""
        return {
            number: KeyBucket(Digest(self._rows[number], str(self._sums[number])), bits)
            for number, bits in self._bits.items()
        }


def bits_by_bucket(keys: pa.Array) -> dict[int, int]:
    """Sort keys (integers) into the bits of their buckets."""
    found: dict[int, int] = {}
    for first, last in _runs(keys):
        for number in range(first >> SHIFT, (last >> SHIFT) + 1):
            low = max(first, number << SHIFT)
            high = min(last, (number << SHIFT) + SIZE - 1)
            bits = ((1 << high - low + 1) - 1) << (low & SIZE - 1)
            found[number] = found.get(number, 0) | bits
    return found


def _runs(keys: pa.Array) -> Iterable[tuple[int, int]]:
    """Return the first and last of each run of neighbours; serial keys make few of them."""
    if not len(keys):
        return []
    ordered = keys.cast(pa.int64()).sort()
    gaps = pc.indices_nonzero(pc.not_equal(pc.subtract(ordered[1:], ordered[:-1]), 1))
    firsts = [ordered[0].as_py(), *ordered.take(pc.add(gaps, 1)).to_pylist()]
    lasts = [*ordered.take(gaps).to_pylist(), ordered[-1].as_py()]
    return zip(firsts, lasts, strict=True)


def keys_in(bucket: int, bits: int) -> Iterator[int]:
    """Yield the keys of a bucket's bits, in order."""
    while bits:
        lowest = bits & -bits
        yield (bucket << SHIFT) + lowest.bit_length() - 1
        bits ^= lowest


def changed_buckets(before: KeySet, now: dict[int, Digest]) -> list[int]:
    """Return the buckets that do not have the keys that they had."""
    return sorted(
        number
        for number in before.keys() | now.keys()
        if number not in before or number not in now or before[number].digest != now[number]
    )


def deleted_keys(before: KeySet, now: KeySet) -> list[int]:
    """Return the keys that were there and are not."""
    return [
        key
        for number, bucket in sorted(before.items())
        for key in keys_in(number, bucket.bits & ~(now[number].bits if number in now else 0))
    ]


def not_in(keys: KeySet, values: pa.Array) -> list[int]:
    """Return the distinct values (integers, NULL is none) that are not in the set."""
    asked = pc.unique(values.drop_null()).cast(pa.int64())
    numbers = pc.shift_right(asked, SHIFT)
    buckets = pc.unique(numbers)
    bits = [keys[number].bits if number in keys else 0 for number in buckets.to_pylist()]
    flags = b"".join(bucket.to_bytes(SIZE // 8, "little") for bucket in bits)
    held = pa.BooleanArray.from_buffers(pa.bool_(), len(bits) * SIZE, [None, pa.py_buffer(flags)])
    index = pc.multiply(pc.index_in(numbers, buckets).cast(pa.int64()), SIZE)
    found = held.take(pc.add(index, pc.bit_wise_and(asked, SIZE - 1)))
    return list(asked.filter(pc.invert(found)).to_pylist())


def store(bucket: Bucket, key: str, sets: dict[str, KeySet]) -> str | None:
    """Write the key sets of all tables as one object, and return its digest.

    Returns None if the name is taken.
    """
    rows: list[dict[str, Any]] = [
        {
            "table": table,
            "bucket": number,
            "rows": entry.digest.rows,
            "digest": entry.digest.sum,
            "bits": entry.bits.to_bytes(SIZE // 8, "little"),
        }
        for table, keys in sorted(sets.items())
        for number, entry in sorted(keys.items())
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=_STORED), sink, compression="zstd")
    body = sink.getvalue().to_pybytes()
    return digest(body) if bucket.put_new(key, body) else None


def fetch(bucket: Bucket, key: str, sha256: str | None = None) -> dict[str, KeySet]:
    """Read the key sets of all tables from the object that `store` wrote.

    `sha256` is its digest, None if that was not noted. Raises LogCorrupted.
    """
    with opened(bucket, key, sha256) as source:
        rows = source.read()
    if rows.schema != _STORED or any(column.null_count for column in rows.columns):
        raise LogCorrupted(f"s3://{bucket.name}/{key} does not hold the keys of tables")
    sets: dict[str, KeySet] = {}
    for row in rows.to_pylist():
        entry = KeyBucket(Digest(row["rows"], row["digest"]), int.from_bytes(row["bits"], "little"))
        sets.setdefault(row["table"], {})[row["bucket"]] = entry
    return sets
