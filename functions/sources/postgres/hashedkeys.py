"""The keys of a table that are not single integers, from which deleted rows are found.

The keys are in the lake, in parts of bounded size and in the order of their hashes. The upper bits
of a hash are a key's bucket, and each bucket has a digest that the source computes in one scan. A
part is read only if the digest of one of its buckets has changed, and written again only if many of
its keys have: a few changes are kept in a patch, which all parts share.

    part up to bucket 3: a b c; patch: b is gone, d is there -> its keys are a c d
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from functions.common.errors import CorruptLogError
from functions.common.keyparts import KeyPart, KeyParts
from functions.common.objects import KeyFile, ObjectNames
from functions.common.parquet import digest, opened, packed, put
from functions.common.storage import Bucket
from functions.sources.postgres.keysets import DIGESTS, DigestBuilder, digests_after
from functions.sources.postgres.keysql import FIRST_BUCKET, HASH_SHIFT, LAST_BUCKET
from functions.sources.postgres.unreported import Report, unlike_any

PART_BYTES = 16 << 20  # in memory, where a key takes its text and 8 bytes: 380,000 UUIDs
PATCH_SHARE = 32  # a part is written again when the patch of it has this share of its keys

FOUND = pa.schema([("hash", pa.int64()), ("key", pa.string())])
_PART = pa.schema([("bucket", pa.int32()), ("key", pa.string())])
_PATCH = pa.schema([*_PART, ("is_there", pa.bool_())])
_LOWER_HALF = (1 << 32) - 1
_NO_KEYS = KeyParts()


class HashedKeys:
    """The keys of a table after a batch; objects are read when they are needed."""

    def __init__(self, bucket: Bucket, stored: KeyParts = _NO_KEYS) -> None:
        self.bucket = bucket
        self.stored = stored

    @cached_property
    def digests(self) -> pa.Table:
        """The digest of each bucket, in order, as DIGESTS."""
        return self.read(self.stored.digests, DIGESTS)

    @cached_property
    def patch(self) -> pa.Table:
        """The keys added or removed since their parts were written, as _PATCH."""
        return self.read(self.stored.patch, _PATCH)

    def not_in(self, keys: pa.Array) -> pa.Array:
        """Return the distinct keys (integers or text, NULL is none) that are not in the set.

        Reads all parts, one at a time, unless there are no keys to look for.
        """
        left = pc.unique(keys.drop_null()).cast(pa.string())
        for part in self.ranges():
            if not len(left):
                break
            left = _without(pa.table({"key": left}), part.keys())["key"].combine_chunks()
        return left.cast(keys.type)

    def ranges(self) -> Iterator["Range"]:
        """Yield the parts in order; a table without keys has one empty part."""
        first = FIRST_BUCKET
        parts: list[KeyPart] | list[None] = self.stored.parts or [None]
        for part in parts:
            last = part.last if part else LAST_BUCKET
            yield Range(self, first, last, part)
            first = last + 1

    def read(self, file: KeyFile | None, schema: pa.Schema) -> pa.Table:
        """Return the rows of an object, none for None; raise CorruptLogError for another schema."""
        if file is None:
            return schema.empty_table()
        with opened(self.bucket, file.key, file.sha256, file.rows) as source:
            rows: pa.Table = source.read(use_threads=False)
        if rows.schema != schema or any(column.null_count for column in rows.columns):
            raise CorruptLogError(
                f"s3://{self.bucket.name}/{file.key} does not hold keys of a table"
            )
        return rows


@dataclass(frozen=True)
class Range:
    """The keys of the buckets from `first` to `last`; `part` is None if none was written."""

    of: HashedKeys
    first: int
    last: int
    part: KeyPart | None

    def base(self) -> pa.Table:
        """Return the keys as the part has them, as _PART."""
        return self.of.read(self.part, _PART)

    def patch(self) -> pa.Table:
        """Return the keys added or removed since the part was written."""
        bucket = self.of.patch["bucket"]
        mine = pc.and_(pc.greater_equal(bucket, self.first), pc.less_equal(bucket, self.last))
        return self.of.patch.filter(mine)

    def keys(self, base: pa.Table | None = None) -> pa.Table:
        """Return the keys after the batch, given those of `base`, as _PART."""
        base = self.base() if base is None else base
        if not len(patch := self.patch()):
            return base
        came = patch.filter(patch["is_there"]).select(_PART.names)
        return pa.concat_tables([_without(base, patch), came])

    def has(self, buckets: pa.Array | None) -> bool:
        """Return whether some of the buckets are in this range; None are all buckets."""
        if buckets is None:
            return True
        mine = pc.and_(pc.greater_equal(buckets, self.first), pc.less_equal(buckets, self.last))
        return bool(pc.any(mine, min_count=0).as_py())


@dataclass(frozen=True)
class Renewed:
    """The keys of a table in the snapshot, and the hashes of the `added` ones, in order.

    `added` is None when all of them are: the table had none.
    """

    keys: HashedKeys
    added: pa.Array | None

    def is_known(self, hashes: pa.Array) -> pa.Array:
        """Return which keys of the snapshot, given their hashes, the last batch had."""
        if self.added is None or not len(self.added):
            return pa.repeat(pa.scalar(self.added is not None), len(hashes))
        place = pc.search_sorted(self.added, hashes.fill_null(0)).cast(pa.int64())
        nearest = self.added.take(pc.min_element_wise(place, len(self.added) - 1))
        return pc.not_equal(nearest, hashes).fill_null(False)


def renewed(
    before: HashedKeys,
    names: ObjectNames,
    found: Iterable[pa.RecordBatch],
    report: Report,
    *,
    stale: pa.Array | None = None,
    digests: pa.Table | None = None,
    asked: pa.Table | None = None,
) -> Renewed:
    """Return the keys that a table has now, and report the removed ones, part by part.

    Those that are not reported are kept. `found` are the keys of the buckets that are `stale`, as
    FOUND, ordered by hash; `digests` those of all buckets now. Both are None for a table whose keys
    are all found, and for one of which only some keys (as FOUND) were `asked` for.
    """
    if asked is not None:
        stale = pc.unique(pc.shift_right(asked["hash"], HASH_SHIFT)).cast(pa.int64())
    # After an error as well, as the source's connection can do nothing else until they have come.
    with closing(_Sorted(found)) as keys:
        return _Renewal(before, names, keys, report, stale, asked=asked).run(digests)


class _Renewal:
    """Makes the keys of the next batch from those of the last, one range of buckets at a time."""

    def __init__(
        self,
        before: HashedKeys,
        names: ObjectNames,
        found: "_Sorted",
        report: Report,
        stale: pa.Array | None,
        *,
        asked: pa.Table | None,
    ) -> None:
        self._before = before
        self._names = names
        self._found = found
        self._report = report
        self._stale = stale
        self._asked = asked
        self._removed: list[pa.Array] = []  # of those asked for
        self._kept: list[pa.Table] = []  # their digests
        self._added: list[pa.Array] = []
        self._parts: list[KeyPart] = []
        self._patch: list[pa.Table] = []
        self._open = _PART.empty_table()

    def run(self, digests: pa.Table | None) -> Renewed:
        for part in self._before.ranges():
            if part.has(self._stale):
                self._renew(part)
            else:
                self._keep(part, part.patch())
        self._close(LAST_BUCKET)
        if self._asked is not None:
            digests = self._digests_after(self._asked)
        digests = self._found.digests() if digests is None else digests
        if self._kept:
            digests = digests_after(digests, came=pa.concat_tables(self._kept))
        stored = KeyParts(
            self._put(digests),
            _covering_all(self._parts),
            self._put(pa.concat_tables([_PATCH.empty_table(), *self._patch])),
        )
        added = pa.concat_arrays([pa.array([], pa.int64()), *self._added])
        is_first = not self._before.stored.parts
        return Renewed(HashedKeys(self._before.bucket, stored), None if is_first else added)

    def _digests_after(self, asked: pa.Table) -> pa.Table:
        """Return the digests of all keys, when the ones asked for are known to be there or not."""
        removed = pa.chunked_array(self._removed, pa.string())
        gone = asked.filter(pc.is_in(asked["key"], removed.combine_chunks()))["hash"]
        came = pa.chunked_array(self._added, pa.int64())
        return digests_after(self._before.digests, came=_digests(came), gone=_digests(gone))

    def _renew(self, part: Range) -> None:
        """Compare a part with the keys found, and write it again unless little has changed."""
        base = part.base()
        before, is_only = part.keys(base), True
        while True:
            now, is_all = self._found.take(part.last)
            last = part.last if is_all else now["hash"][-1].as_py() >> HASH_SHIFT
            mine = before.filter(pc.less_equal(before["bucket"], last))
            before = before.filter(pc.greater(before["bucket"], last))
            keys = self._compared(mine, now)
            if is_all and is_only and len(patch := _patch(base, keys)) * PATCH_SHARE <= len(base):
                return self._keep(part, patch)
            self._write(keys, last)
            if is_all:
                return None
            is_only = False

    def _compared(self, before: pa.Table, now: pa.Table) -> pa.Table:
        """Return the keys of some buckets as _PART, and record the added and removed ones."""
        stale = before
        if self._asked is not None:
            stale = before.filter(pc.is_in(before["key"], self._asked["key"].combine_chunks()))
        elif self._stale is not None:
            stale = before.filter(pc.is_in(before["bucket"].cast(pa.int64()), self._stale))
        kept = self._reported(_without(stale, now))
        if self._before.stored.parts or self._asked is not None:
            self._added += _without(now, stale)["hash"].chunks
        bucket = pc.shift_right(now["hash"], HASH_SHIFT).cast(pa.int32())
        here = pa.table([bucket, now["key"]], schema=_PART)
        return pa.concat_tables([_without(before, stale), here, kept])

    def _reported(self, gone: pa.Table) -> pa.Table:
        """Report keys that are gone; return those that are kept."""
        if not len(gone):
            return gone
        keys = gone["key"].combine_chunks()
        number = self._report(keys)
        if self._asked is not None:
            self._removed.append(keys[:number])
        kept = gone.slice(number)
        if len(kept):
            self._kept.append(unlike_any(kept["bucket"]))
        return kept

    def _keep(self, part: Range, patch: pa.Table) -> None:
        if part.part is None:
            return
        self._close(part.first - 1)
        self._parts.append(part.part)
        self._patch.append(patch)

    def _write(self, keys: pa.Table, last: int) -> None:
        self._open = pa.concat_tables([self._open, keys])
        if self._open.nbytes > PART_BYTES // 2:
            self._close(last)

    def _close(self, last: int) -> None:
        """Write the keys up to a bucket that are in no part yet, as one part."""
        if file := self._put(self._open.sort_by("bucket")):
            self._parts.append(KeyPart(file.key, file.rows, file.sha256, last))
        self._open = _PART.empty_table()

    def _put(self, rows: pa.Table) -> KeyFile | None:
        if not len(rows):
            return None
        body = packed(rows)
        return KeyFile(put(self._before.bucket, self._names, body), len(rows), digest(body))


class _Sorted:
    """Keys in the order of their hashes, read in pieces of bounded size."""

    def __init__(self, found: Iterable[pa.RecordBatch]) -> None:
        self._coming = iter(found)
        self._rest = FOUND.empty_table()
        self._digests = DigestBuilder()

    def take(self, last: int) -> tuple[pa.Table, bool]:
        """Return keys of the next whole buckets up to `last`, and whether these are all of them."""
        while True:
            bucket = pc.shift_right(self._rest["hash"], HASH_SHIFT)
            if len(bucket) and bucket[-1].as_py() > last:
                return self._cut(pc.less_equal(bucket, last)), True
            if self._rest.nbytes > PART_BYTES and bucket[0].as_py() < bucket[-1].as_py():
                return self._cut(pc.less(bucket, bucket[-1])), False
            rows = next(self._coming, None)
            if rows is None:
                return self._cut(pc.less_equal(bucket, last)), True
            _add(self._digests, rows["hash"])
            self._rest = pa.concat_tables([self._rest, pa.Table.from_batches([rows])])

    def _cut(self, is_first: pa.ChunkedArray) -> pa.Table:
        count = pc.sum(is_first, min_count=0).as_py()
        taken, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return taken

    def close(self) -> None:
        """Take no more keys."""
        if isinstance(self._coming, Generator):
            self._coming.close()

    def digests(self) -> pa.Table:
        """Return the digests of all keys, once all are taken."""
        return self._digests.digests()


def _add(digests: DigestBuilder, hashes: pa.Array) -> None:
    upper, lower = pc.shift_right(hashes, 32), pc.bit_wise_and(hashes, _LOWER_HALF)
    digests.add(pc.shift_right(hashes, HASH_SHIFT), upper, lower)


def _digests(hashes: pa.ChunkedArray) -> pa.Table:
    """Return the digests of keys with these hashes."""
    builder = DigestBuilder()
    for chunk in hashes.chunks:
        _add(builder, chunk)
    return builder.digests()


def _without(rows: pa.Table, others: pa.Table) -> pa.Table:
    """Return the rows whose keys are not among those of others."""
    return rows.filter(pc.invert(pc.is_in(rows["key"], others["key"].combine_chunks())))


def _patch(base: pa.Table, keys: pa.Table) -> pa.Table:
    """Return the changes from `base` to `keys`, as _PATCH."""
    gone, came = _without(base, keys), _without(keys, base)
    flags = [pa.repeat(pa.scalar(False), len(gone)), pa.repeat(pa.scalar(True), len(came))]
    return pa.concat_tables([gone, came]).append_column("is_there", pa.chunked_array(flags))


def _covering_all(parts: list[KeyPart]) -> list[KeyPart]:
    """Return the parts, of which the last also covers the buckets after it."""
    return [*parts[:-1], *(replace(part, last=LAST_BUCKET) for part in parts[-1:])]
