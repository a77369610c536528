"""Copy the rows of one batch out of the snapshot: what changed, what belongs with it, what is gone.

A batch is self-contained: a row that shares a star table with a changed row comes along, so that
transform needs nothing but the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier

from functions.common.carried import KNOWN
from functions.common.copy import array, copy_out, set_values, value
from functions.common.manifests import DataFile
from functions.common.parquet import PartWriter
from functions.common.storage import Bucket
from functions.common.totesys import JOINS, PARENTS, Join
from functions.sources.postgres import keysets
from functions.sources.postgres.changes import SEEN_AT_MOST
from functions.sources.postgres.keysets import KeySet, KeySetBuilder
from functions.sources.postgres.parents import MissingParents
from functions.sources.postgres.plan import Survey, TablePlan

_LINKS: dict[str, set[str]] = {}
for _join in JOINS:
    _LINKS.setdefault(_join.child, set()).add(_join.column)
    _LINKS.setdefault(_join.parent, set()).add(f"{_join.parent}_id")


@dataclass
class TableRows:
    """What a batch holds of one table so far.

    `xids` are the recent transactions whose rows it shows; `links` the values of the columns that
    join this table to another; `keys` those of a table that is read whole.
    """

    writer: PartWriter
    changed: int = 0
    companions: int = 0
    xids: set[int] = field(default_factory=set)
    links: dict[str, set[int]] = field(default_factory=dict)
    keys: KeySetBuilder = field(default_factory=KeySetBuilder)


class BatchRows:
    """The rows of one batch, on their way from the snapshot to the bucket."""

    def __init__(
        self,
        connection: pg8000.native.Connection,
        plans: dict[str, TablePlan],
        bucket: Bucket,
        source: str,
        batch: int,
        *,
        day: date,
        known: Mapping[str, KeySet],
    ) -> None:
        """Begin a batch; `known` are the keys that each table had at the batch before."""
        self._connection = connection
        self._plans = plans
        self._known = known
        self._bucket = bucket
        self._source = source
        self._batch = batch
        self._day = day
        self.tables = {
            name: TableRows(PartWriter(bucket, f"{source}/{name}", batch, day)) for name in plans
        }
        self.missing = MissingParents()

    def copy_changed(self, plan: TablePlan, keys: Mapping[str, KeySet]) -> None:
        """Copy the rows of a table that changed; note parents that are not among `keys`."""
        table = self.tables[plan.name]
        table.changed += self._copy(plan, plan.changed, keys)
        if plan.name not in _LINKS:
            table.writer.flush()  # that is all of it: no companions will come

    def copy_companions(self, join: Join) -> None:
        """Copy the unchanged rows that share a star row with a changed one, on either side."""
        child, parent = self._plans[join.child], self._plans[join.parent]
        parents = self._linked(join.parent, parent.key)
        self._copy_linked(child, join.column, parents)
        self._copy_linked(parent, parent.key, self._linked(join.child, join.column) - parents)

    def _linked(self, table: str, column: str) -> set[int]:
        return self.tables[table].links.get(column, set())

    def _copy_linked(self, plan: TablePlan, column: str, values: set[int]) -> None:
        if plan.error is not None or not values:
            return
        set_values(self._connection, {"linked": array(sorted(values))})
        linked = f"{identifier(column)} IN (SELECT unnest({value('linked', 'bigint[]')}))"
        unchanged = f"NOT ({plan.changed})"
        self.tables[plan.name].companions += self._copy(plan, f"{linked} AND {unchanged}")

    def _copy(
        self, plan: TablePlan, condition: str, keys: Mapping[str, KeySet] | None = None
    ) -> int:
        """Copy the rows for which a condition holds; return how many."""
        table, copied = self.tables[plan.name], 0
        carried = plan.columns.schema.names + ([KNOWN] if plan.name in PARENTS else [])
        for rows in copy_out(self._connection, plan.rows(condition), plan.schema, plan.parse):
            table.writer.write(self._marked(plan, rows).select(carried))
            if plan.recent_xid is not None and len(table.xids) <= SEEN_AT_MOST:
                table.xids.update(_distinct(rows["_xid"]))
            if keys is not None:
                self.missing.look(plan.columns.table, rows, keys)
            for column in _LINKS.get(plan.name, ()):
                table.links.setdefault(column, set()).update(_distinct(rows[column]))
            if plan.is_whole:
                table.keys.add(rows[plan.key])
            copied += rows.num_rows
        return copied

    def _marked(self, plan: TablePlan, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows with `_known`, if others may refer to them."""
        if plan.name not in PARENTS:
            return rows
        keys = rows[plan.key].cast(pa.int64())
        new = keysets.not_in(self._known.get(plan.name, KeySet()), keys)
        is_known = pc.invert(pc.is_in(keys, pa.array(new, pa.int64())))
        return rows.append_column(KNOWN, is_known)

    def keys_now(self, plan: TablePlan, found: Survey | None, before: KeySet) -> KeySet:
        """Return a table's keys: those of a whole read, or the known ones brought up to date."""
        if found is None:
            return self.tables[plan.name].keys.key_set()
        stale = keysets.changed_buckets(before.digests, found.digests)
        if not len(stale):
            return before
        runs = self._keys_in(plan, stale, before.shift)
        return keysets.with_buckets(before, found.digests, stale, runs)

    def _keys_in(self, plan: TablePlan, buckets: pa.Array, shift: int) -> pa.Table:
        """Look up the keys of some buckets in the source, as runs."""
        set_values(self._connection, {"buckets": array(buckets.to_pylist())})
        key = identifier(plan.key)
        query = (
            f"SELECT t.{key} FROM unnest({value('buckets', 'bigint[]')}) AS b (number)"
            f" JOIN {plan.source} AS t ON t.{key} BETWEEN b.number << {shift}"
            f" AND (b.number << {shift}) + {(1 << shift) - 1}"
        )
        found = copy_out(self._connection, query, pa.schema([("key", pa.int64())]))
        return keysets.merged([keysets.runs_of(rows["key"]) for rows in found])

    def flush(self) -> None:
        """Begin to put all rows into the bucket, those of all tables side by side."""
        for table in self.tables.values():
            table.writer.flush()

    def write_tombstones(self, plan: TablePlan, keys: pa.Array) -> list[DataFile]:
        """Write the keys of deleted rows, in a column of the table's key."""
        prefix = f"tombstones/{self._source}/{plan.name}"
        writer = PartWriter(self._bucket, prefix, self._batch, self._day)
        writer.write(pa.table({plan.key: keys}))
        return writer.close()


def _distinct(column: pa.Array) -> list[int]:
    return [number for number in pc.unique(column).to_pylist() if number is not None]
