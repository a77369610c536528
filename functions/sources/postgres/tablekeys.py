"""The keys that each table of a source had at a batch, and those that it has in a snapshot.

Keys of one integer column are in runs (`keysets`), as long as these are few. All others are in
parts by their hashes (`hashedkeys`). Both know the digests of their buckets.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.copy import array, copy_out, set_values, value
from functions.common.keyparts import KeyParts
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.objects import ObjectNames
from functions.common.pgconnection import PostgresConnection
from functions.common.storage import Bucket
from functions.sources.postgres import hashedkeys, keysets, loggedkeys, storedkeys, unreported
from functions.sources.postgres.hashedkeys import FOUND, HashedKeys, Renewed
from functions.sources.postgres.keysets import KeySet, KeySetBuilder
from functions.sources.postgres.keysql import HASH_SHIFT, hashed, is_integer
from functions.sources.postgres.plan import HASH, TableKeys, TablePlan
from functions.sources.postgres.sqltypes import arrow_type
from functions.sources.postgres.surveys import Survey
from functions.sources.postgres.unreported import Gone, Report, Reporting


@dataclass(frozen=True)
class Stored:
    """Where the keys of all tables are, by a manifest."""

    keys: str
    sha256: str
    parts: dict[str, KeyParts]


def fetch(bucket: Bucket, manifest: IngestionManifest) -> dict[str, TableKeys]:
    """Return the keys that each table had at a batch; those in parts are read when needed."""
    sets: dict[str, TableKeys] = {
        name: HashedKeys(bucket, parts) for name, parts in manifest.key_parts.items()
    }
    if manifest.keys is None or manifest.keys_sha256 is None:
        return sets
    return sets | storedkeys.fetch(bucket, manifest.keys, manifest.keys_sha256)


def store(bucket: Bucket, names: ObjectNames, sets: Mapping[str, TableKeys]) -> Stored:
    """Write the keys that no object has yet, and return where all of them are."""
    integers = {name: keys for name, keys in sets.items() if isinstance(keys, KeySet)}
    parts = {name: keys.stored for name, keys in sets.items() if isinstance(keys, HashedKeys)}
    return Stored(*storedkeys.store(bucket, names, integers), parts)


def number_of(keys: TableKeys | None) -> int:
    """Return how many keys a table has, by its digests."""
    return pc.sum(keys.digests["rows"], min_count=0).as_py() if keys is not None else 0


def in_parts(sets: Mapping[str, TableKeys]) -> set[str]:
    """Return the tables whose keys are in parts."""
    return {name for name, keys in sets.items() if isinstance(keys, HashedKeys)}


def comparable(
    known: Mapping[str, TableKeys],
    plans: Mapping[str, TablePlan],
    before: IngestionManifest | None,
) -> dict[str, TableKeys]:
    """Return the known keys that are comparable with those of their tables today.

    Integers are, whatever their type. The text of a key may differ in another type: then the table
    is read whole, and which of its rows were deleted meanwhile is not known.
    """
    if before is None:
        return {}
    return {
        name: keys
        for name, keys in known.items()
        if plans[name].error is not None or _look_alike(plans[name], before.capture(name))
    }


def _look_alike(plan: TablePlan, before: TableCapture) -> bool:
    types = dict(before.columns)
    was = {name: types.get(name, "") for name in plan.table.keys}
    if plan.has_integer_key:
        return is_integer({name: arrow_type(sql_type) for name, sql_type in was.items()})
    return was.items() <= dict(plan.columns.types).items()


class SnapshotKeys:
    """The keys of the tables in a snapshot: `now`, which begins with the `known` ones of before."""

    def __init__(
        self,
        connection: PostgresConnection,
        bucket: Bucket,
        names: ObjectNames,
        known: Mapping[str, TableKeys],
    ) -> None:
        self._connection = connection
        self._bucket = bucket
        self._names = names
        self._known = known
        self._built: dict[str, KeySetBuilder] = {}
        self._renewed: dict[str, Renewed] = {}
        self._reporting = Reporting()
        self._kept: dict[str, KeySet] = {}
        self.now = dict(known)

    @property
    def stored(self) -> Mapping[str, TableKeys]:
        """The keys that the next batch knows: also those that are gone and are not reported yet."""
        return {**self.now, **self._kept}

    @property
    def cut(self) -> Collection[str]:
        """The tables of which a later batch reports more keys that are gone."""
        return self._reporting.cut

    def begin(self, plan: TablePlan, found: Survey | None, gone: Gone) -> None:
        """Find keys that came or went, before rows of a table are read.

        `found` is None for a table that is read whole. Keys in runs are compared by `end`: those
        of a table that is read whole are in its rows.
        """
        if not plan.is_hashed:
            self._built[plan.id] = KeySetBuilder()
            return
        before, report = self._hashed(plan), self._report(plan, gone)
        if plan.is_logged:
            renewed = loggedkeys.in_parts(self._connection, plan, before, self._names, report)
            self._renewed[plan.id], self.now[plan.id] = renewed, renewed.keys
            return
        digests = found.digests if found else None
        stale = keysets.changed_buckets(before.digests, digests) if found else None
        renewed = Renewed(before, pa.array([], pa.int64()))
        if stale is None or len(stale):
            keys = self._found(plan, stale)
            renewed = hashedkeys.renewed(
                before, self._names, keys, report, stale=stale, digests=digests
            )
        self._renewed[plan.id], self.now[plan.id] = renewed, renewed.keys

    def add(self, plan: TablePlan, rows: pa.RecordBatch, *, are_new: bool = False) -> None:
        """Record the keys of rows that `are_new`, or where the keys are not all scanned."""
        if plan.is_hashed:
            return
        if plan.is_whole or are_new:
            self._built[plan.id].add(rows[plan.key])
        elif plan.portion is not None or plan.scan != "all":
            self._built[plan.id].add(self._runs(plan).not_in(rows[plan.key]))

    def end(self, plan: TablePlan, found: Survey | None, gone: Gone) -> None:
        """Update the keys of a table, after its rows were read."""
        if plan.is_hashed:
            return
        before = self._runs(plan)
        deleted: Iterable[pa.Array]
        if plan.is_logged:
            now, deleted = loggedkeys.in_runs(self._connection, plan, before)
        else:
            now = self._runs_now(plan, found, before)
            deleted = keysets.deleted_keys(before, now) if now is not None else []
        if now is None:
            deleted = self._to_parts(plan, before)
        else:
            self.now[plan.id] = now
        report = self._report(plan, gone)
        for keys in deleted:
            number = report(keys)
            if number < len(keys) and now is not None:
                self._kept[plan.id] = unreported.keeping(now, before, keys[number].as_py())
                break

    def _report(self, plan: TablePlan, gone: Gone) -> Report:
        """Return what reports keys that are gone.

        Of an incomplete table it reports all. A key of which no batch has had a row is not deleted,
        and if it was kept and came back, its row would seem to be known.
        """
        return partial(self._reporting.report, plan.id, gone, is_bounded=not plan.is_incomplete)

    def _runs_now(self, plan: TablePlan, found: Survey | None, before: KeySet) -> KeySet | None:
        """Return the keys that a table has now; None if they make too many runs."""
        if found is None:
            return self._built[plan.id].key_set()
        now = self._scanned(plan, found, before) if plan.scan == "all" else before
        if now is None or (plan.scan == "all" and plan.portion is None):
            return now
        return keysets.united(now, self._built[plan.id].key_set())

    def _scanned(self, plan: TablePlan, found: Survey, before: KeySet) -> KeySet | None:
        """Return the keys that a table has now; None if they make too many runs.

        With a portion it is those of before, as others come with their rows.
        """
        if found.is_partial:
            return None
        stale = keysets.changed_buckets(before.digests, found.digests)
        if not len(stale):
            return before
        runs = self._runs_in(plan, stale, before.shift)
        if plan.portion is not None:
            return keysets.among(before, stale, runs)
        now = keysets.with_buckets(before, found.digests, stale, runs)
        return now if len(now.runs) <= keysets.RUNS_AT_MOST else None

    def _to_parts(self, plan: TablePlan, before: KeySet) -> Iterator[pa.Array]:
        """Store the keys that a table has now in parts, and yield those that it no longer has.

        Of the known keys only so many are compared as may be reported, and the others are stored.
        """
        compared, kept = before.runs, keysets.RUNS.empty_table()
        if not plan.is_incomplete:
            compared, kept = unreported.divided(before.runs, self._reporting.room)
        if len(kept):
            self._reporting.cut.add(plan.id)
        none, found = HashedKeys(self._bucket), self._found(plan, None, kept)
        keys = hashedkeys.renewed(none, self._names, found, len).keys
        self.now[plan.id] = keys
        return filter(len, map(keys.not_in, keysets.pieces(compared)))

    def is_known(self, plan: TablePlan, rows: pa.RecordBatch) -> pa.Array:
        """Return, by row, whether the last batch had its key."""
        if plan.is_hashed:
            return self._renewed[plan.id].is_known(rows[HASH])
        return keysets.is_in(self._runs(plan), rows[plan.key])

    def absent(self, plan: TablePlan, asked: pa.Array) -> pa.Array:
        """Return the requested keys that neither this batch nor the last has."""
        known = self._hashed(plan) if plan.is_hashed else self._runs(plan)
        return self.now[plan.id].not_in(known.not_in(asked))

    def _runs(self, plan: TablePlan) -> KeySet:
        known = self._known.get(plan.id)
        return known if isinstance(known, KeySet) else KeySet()

    def _hashed(self, plan: TablePlan) -> HashedKeys:
        known = self._known.get(plan.id)
        return known if isinstance(known, HashedKeys) else HashedKeys(self._bucket)

    def _runs_in(self, plan: TablePlan, buckets: pa.Array, shift: int) -> pa.Table:
        """Look up the integer keys of some buckets in the source, as runs.

        With an index, only the ranges are read; without it or statistics, it is one scan.
        """
        set_values(self._connection, {"buckets": array(buckets.to_pylist())})
        first, last = buckets[0].as_py() << shift, ((buckets[-1].as_py() + 1) << shift) - 1
        query = (
            f"SELECT {plan.key_sql} FROM {plan.source} WHERE {plan.key_sql} BETWEEN {first}"
            f" AND {last} AND {plan.key_sql} >> {shift} IN {_buckets()} AND {plan.compared}"
        )
        found = copy_out(self._connection, query, pa.schema([("key", pa.int64())]))
        return keysets.merged([keysets.runs_of(rows["key"]) for rows in found])

    def _found(
        self, plan: TablePlan, buckets: pa.Array | None, others: pa.Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield keys with their hashes, in order of hash: those of some buckets, or all.

        `others` are runs of integers that count as keys of the table.
        """
        condition, rows = "key IS NOT NULL", plan.source
        if others:
            ends = {name: array(others[name].to_pylist()) for name in others.column_names}
            set_values(self._connection, ends)
            pairs = ", ".join(value(name, "bigint[]") for name in ends)
            rows = (
                f"(SELECT {plan.key_sql} FROM {plan.source} UNION SELECT generate_series(first,"
                f" last) FROM unnest({pairs}) AS runs (first, last)) AS keys"
            )
        if buckets is not None:
            set_values(self._connection, {"buckets": array(buckets.to_pylist())})
            condition += f" AND hash >> {HASH_SHIFT} IN {_buckets()}"
        query = (
            f"SELECT hash, key FROM {hashed(plan.key_text, rows)} AS hashed"
            f" WHERE {condition} ORDER BY hash"
        )
        return copy_out(self._connection, query, FOUND)


def _buckets() -> str:
    return f"(SELECT unnest({value('buckets', 'bigint[]')}))"
