"""The keys of a table through some batches, and the source that has them."""

from collections.abc import Callable, Iterator
from datetime import date
from hashlib import sha256

import pyarrow as pa

from functions.common.keyparts import KeyParts
from functions.common.objects import ObjectNames
from functions.sources.postgres.hashedkeys import FOUND, HashedKeys, Renewed, renewed
from functions.sources.postgres.keysets import changed_buckets
from functions.sources.postgres.keysql import HASH_SHIFT
from tests.unit.fake_bucket import FakeBucket

DAY = date(2024, 11, 16)


def hash_of(key: str) -> int:
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big", signed=True)


def found(keys: set[str], stale: pa.Array | None = None) -> Iterator[pa.RecordBatch]:
    """Yield keys as the source's scan does, a few at a time."""
    buckets = None if stale is None else set(stale.to_pylist())
    hashes = sorted((hash_of(key), key) for key in keys)
    rows = [row for row in hashes if buckets is None or row[0] >> HASH_SHIFT in buckets]
    size = max(7, min(len(rows) // 5, 50))
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        yield pa.record_batch([[h for h, _ in some], [key for _, key in some]], schema=FOUND)


class Table:
    """A table of the source through some batches, as extract sees its keys."""

    def __init__(self) -> None:
        self.bucket = FakeBucket()
        self.batch = 0
        self.stored = KeyParts()
        self.there: set[str] = set()

    def keys(self) -> HashedKeys:
        return HashedKeys(self.bucket, self.stored)

    def becomes(
        self, keys: set[str], *, is_whole: bool = False, room: int = 1 << 30
    ) -> tuple[list[str], Renewed]:
        """Return the keys that are gone, in no order, and what the next batch has.

        At most `room` of them are reported.
        """
        self.batch += 1
        gone: list[str] = []
        names = ObjectNames("keys/shop", self.batch, DAY)
        digests = stale = None
        if not is_whole:
            digests = self.digests(keys)
            stale = changed_buckets(self.keys().digests, digests)
        new = renewed(
            self.keys(), names, found(keys, stale), into(gone, room),
            stale=stale, digests=digests,
        )  # fmt: skip
        self.stored, self.there = new.keys.stored, keys
        return gone, new

    def digests(self, keys: set[str]) -> pa.Table:
        """Return what the source's scan says of its buckets."""
        whole = renewed(
            HashedKeys(FakeBucket()), ObjectNames("keys/shop", 1, DAY), found(keys), into([])
        )
        return whole.keys.digests

    def rows_read(self) -> set[str]:
        return {key for part in self.keys().ranges() for key in part.keys()["key"].to_pylist()}


def into(gone: list[str], room: int = 1 << 30) -> Callable[[pa.Array], int]:
    """Return what takes keys that are gone into a list, until that has as many as there is room."""

    def take(keys: pa.Array) -> int:
        some = keys[: room - len(gone)].to_pylist()
        gone.extend(some)
        return len(some)

    return take


def many(count: int) -> set[str]:
    return {f"key {number}" for number in range(count)}
