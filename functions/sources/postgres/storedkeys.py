"""The object of a batch with the integer keys of all tables that are kept as runs."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.errors import CorruptLogError
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, opened, packed, put
from functions.common.storage import Bucket
from functions.sources.postgres.keysets import DIGESTS, RUNS, SUM, KeySet

EXPANDED_AT_MOST = 512 << 20

# The digest of a bucket is in the row of its first run.
_STORED = pa.schema(
    [("table", pa.string()), ("shift", pa.int32()), *RUNS, ("rows", pa.int64()), ("sum", SUM)]
)


def store(bucket: Bucket, names: ObjectNames, sets: dict[str, KeySet]) -> tuple[str, str]:
    """Write the key sets of all tables as one object; return its key and its digest."""
    rows = [_rows(table, keys) for table, keys in sorted(sets.items())]
    body = packed(pa.concat_tables([_STORED.empty_table(), *rows]))
    return put(bucket, names, body), digest(body)


def _rows(table: str, keys: KeySet) -> pa.Table:
    """Return a set as _STORED."""
    buckets = pc.shift_right(keys.runs["first"], keys.shift).combine_chunks()
    first = pa.array([True][: len(buckets)], pa.bool_())
    is_first = pa.concat_arrays([first, pc.not_equal(buckets[1:], buckets[:-1])])
    place = pc.if_else(is_first, pc.index_in(buckets, keys.digests["bucket"]), None)
    values = [
        pa.repeat(pa.scalar(table), len(buckets)),
        pa.repeat(pa.scalar(keys.shift, pa.int32()), len(buckets)),
        *keys.runs.columns,
        *(keys.digests[name].take(place) for name in ("rows", "sum")),
    ]
    return pa.table(values, schema=_STORED)


def fetch(bucket: Bucket, key: str, sha256: str) -> dict[str, KeySet]:
    """Read the key sets of all tables from the object that `store` wrote; raise CorruptLogError."""
    with opened(bucket, key, sha256, expanded=EXPANDED_AT_MOST) as source:
        rows: pa.Table = source.read()
    if rows.schema != _STORED or any(rows[name].null_count for name in _STORED.names[:4]):
        raise CorruptLogError(f"s3://{bucket.name}/{key} does not hold the keys of tables")
    tables: Iterable[str] = pc.unique(rows["table"]).to_pylist()
    return {table: _key_set(rows.filter(pc.equal(rows["table"], table))) for table in tables}


def _key_set(rows: pa.Table) -> KeySet:
    shift: int = rows["shift"][0].as_py()
    firsts = rows.filter(rows["rows"].is_valid())
    bucket = pc.shift_right(firsts["first"], shift)
    digests = pa.table([bucket, firsts["rows"], firsts["sum"]], schema=DIGESTS)
    return KeySet(shift, digests, rows.select(RUNS.names).combine_chunks())
