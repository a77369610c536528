"""Which keys a table has, and so which rows were deleted since the last batch.

A set of keys is kept in buckets of 4,096 neighbours, one bit a key, with a digest that the source
computes in one scan: only buckets whose digest has changed are looked at key by key. Ten million
serial keys take 1.3 MB.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from pg8000.native import identifier

from functions.common.storage import Bucket

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


def bits_by_bucket(keys: Iterable[int]) -> dict[int, int]:
    """Sort keys into the bits of their buckets."""
    flags: dict[int, bytearray] = {}
    for key in keys:
        bucket = flags.get(key >> SHIFT)
        if bucket is None:
            bucket = flags[key >> SHIFT] = bytearray(b"0" * SIZE)
        bucket[~key & (SIZE - 1)] = 49  # "1"; the highest key comes first in a number
    return {number: int(bucket, 2) for number, bucket in flags.items()}


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


def holds(keys: KeySet, key: int) -> bool:
    """Tell whether a key is in the set."""
    bucket = keys.get(key >> SHIFT)
    return bucket is not None and bool(bucket.bits >> (key & (SIZE - 1)) & 1)


def store(bucket: Bucket, key: str, sets: dict[str, KeySet]) -> bool:
    """Write the key sets of all tables as one object; return False if the name is taken."""
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
    return bucket.put_new(key, sink.getvalue().to_pybytes())


def fetch(bucket: Bucket, key: str) -> dict[str, KeySet]:
    """Read the key sets of all tables from the object that `store` wrote."""
    sets: dict[str, KeySet] = {}
    for row in pq.read_table(pa.BufferReader(bucket.get(key))).to_pylist():
        entry = KeyBucket(Digest(row["rows"], row["digest"]), int.from_bytes(row["bits"], "little"))
        sets.setdefault(row["table"], {})[row["bucket"]] = entry
    return sets
