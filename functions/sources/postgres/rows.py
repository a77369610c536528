"""Copy the rows of a batch from the snapshot: changed rows, joined rows, and keys of deleted ones.

A batch is self-contained: the rows that a row joins with are in its batch, and a row is in a batch
again when one that it joins with has changed. So transform reads nothing but the batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.carried import KNOWN, TRANSACTION
from functions.common.copy import copy_out, set_values, text_array
from functions.common.errors import RepairRequestError
from functions.common.keys import Key, columns_of, keys_of, none_of
from functions.common.parquet import PartWriter
from functions.common.pgconnection import PostgresConnection
from functions.common.storage import Bucket
from functions.sources.postgres import joins
from functions.sources.postgres.changes import SEEN_AT_MOST
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.joins import Step, Way
from functions.sources.postgres.parents import MissingParents
from functions.sources.postgres.plan import XID, TablePlan
from functions.sources.postgres.portions import Portion
from functions.sources.postgres.references import References
from functions.sources.postgres.surveys import Survey
from functions.sources.postgres.tablekeys import SnapshotKeys


@dataclass
class TableRows:
    """A batch's rows of one table so far.

    `writer` takes the rows from which target rows are made, `partners` those that are only joined,
    and `tombstones` the keys of deleted rows. Of the changed rows, `filled` are those of its
    portion. `xids` are the recent transactions of its rows, `came_along` the keys of its
    companions; `references` are the values of its references, by columns.
    """

    writer: PartWriter
    partners: PartWriter
    tombstones: PartWriter
    references: dict[tuple[str, ...], References]
    changed: int = 0
    companions: int = 0
    deleted: int = 0
    filled: int = 0
    xids: set[int] = field(default_factory=set)
    came_along: list[pa.Array] = field(default_factory=list)


class BatchRows:
    """Writes the rows of one batch from the snapshot into the bucket."""

    def __init__(
        self,
        connection: PostgresConnection,
        declared: Declared,
        plans: Mapping[str, TablePlan],
        bucket: Bucket,
        batch: int,
        *,
        day: date,
        keys: SnapshotKeys,
    ) -> None:
        """Begin a batch; `keys` are updated as rows are copied."""
        self._connection = connection
        self._declared = declared
        self._plans = plans
        self._keys = keys
        self._writer = partial(PartWriter, bucket, batch=batch, day=day)
        self._ways = {name: list(self._ways_from(plan)) for name, plan in plans.items()}
        self.tables = {name: self._nothing_of(plan) for name, plan in plans.items()}
        self.missing = MissingParents(connection, plans)

    def _ways_from(self, plan: TablePlan) -> Iterator[Way]:
        if plan.error is None:
            for mapping in self._declared.of(plan.id):
                yield from joins.ways(mapping, self._plans)

    def _nothing_of(self, plan: TablePlan) -> TableRows:
        prefix = f"{self._declared.source.name}/{plan.id}"
        # The references of a table that is read whole come from a query for all of its rows.
        columns = [] if plan.is_whole else [way[0].columns for way in self._ways[plan.id]]
        references = {
            each: References(each, f"{plan.variable}_{number}")
            for number, each in enumerate(dict.fromkeys(columns))
        }
        return TableRows(
            self._writer(prefix),
            self._writer(prefix),
            self._writer(f"tombstones/{prefix}"),
            references,
        )

    def copy_changed(self, plan: TablePlan, found: Survey | None) -> None:
        """Copy the rows of a table that changed, and the keys of those that were deleted.

        Missing parents are recorded. `found` is None for a table that is read whole.
        """
        gone, later = partial(self._delete_had, plan), list[pa.Array]()
        # Which keys batches have had is asked of the database, and not while it still sends keys.
        is_asked = plan.is_incomplete and not plan.has_integer_key
        self._keys.begin(plan, found, later.append if is_asked else gone)
        for keys in later:
            gone(keys)
        if parts := plan.parts(changed=found is None or found.may_have_changes):
            self._copy(plan, parts)
        self._keys.end(plan, found, gone)

    def _copy(self, plan: TablePlan, parts: Mapping[str, bool]) -> None:
        table, waits = self.tables[plan.id], self._declared.waits(plan.id)
        for condition, is_portion in parts.items():
            are_new = is_portion and plan.portion is not None and plan.portion.is_new
            for rows in self._read(plan, condition, are_changed=not is_portion):
                self._take(plan, rows, are_new=are_new)
                self.missing.look(waits, plan, rows, self._keys.now)
                self._keys.add(plan, rows, are_new=are_new)
                table.changed += rows.num_rows
                table.filled += rows.num_rows if is_portion else 0
        self.missing.ask(waits, plan, self._keys.now)
        if not self._ways[plan.id]:
            table.writer.flush()  # it is complete: no companions will follow

    def _delete_had(self, plan: TablePlan, keys: pa.Array) -> None:
        """Write the keys of deleted rows that batches have had."""
        if plan.portion is not None and plan.is_incomplete:
            keys = keys.filter(self._were_had(plan, plan.portion, keys))
        self.delete(plan, keys)

    def _were_had(self, plan: TablePlan, portion: Portion, keys: pa.Array) -> pa.Array:
        """Return which keys are up to the place up to which batches have had rows."""
        if plan.has_integer_key:
            return portion.had_integers(keys)
        texts = map(text_array, pa.Table.from_batches([columns_of(keys, _kinds(plan))]).columns)
        set_values(self._connection, dict(zip(portion.keys.names("gone"), texts, strict=True)))
        rows = self._connection.run(portion.were_had())
        return pa.array([is_had for [is_had] in rows], pa.bool_())

    def delete(self, plan: TablePlan, keys: pa.Array) -> None:
        """Write the keys of deleted rows, in the columns of the table's key."""
        if not len(keys):
            return
        table = self.tables[plan.id]
        table.tombstones.write(columns_of(keys, _kinds(plan)))
        table.deleted += len(keys)

    def delete_absent(self, plan: TablePlan, asked: Sequence[Key]) -> None:
        """Record as deleted the requested keys that the source lacks.

        Raises RepairRequestError for one that cannot be a key of the table.
        """
        kind = int if plan.has_integer_key else str
        keys = none_of(integer=plan.has_integer_key)
        some = pa.array([key for key in asked if isinstance(key, kind)], keys.type)
        absent = self._keys.absent(plan, some)
        if plan.portion is not None and plan.is_incomplete and plan.has_integer_key:
            absent = absent.filter(
                plan.portion.had_integers(absent)
            )  # of the rest nothing is known
        if not len(absent):
            return
        try:
            self.delete(plan, absent)
        except pa.ArrowInvalid:
            raise RepairRequestError(
                f"the event asks for a key that cannot be one of {plan.table}: reconcile again"
            ) from None

    def copy_companions(self) -> None:
        """Copy the unchanged rows that join with rows that have changed."""
        for name, ways in self._ways.items():
            table, plan = self.tables[name], self._plans[name]
            conditions = [condition for way in ways for condition in self._news(way)]
            for rows in self._unchanged(plan, conditions):
                self._take(plan, rows)
                table.came_along.append(keys_of(rows, plan.table.keys))
                table.companions += rows.num_rows

    def _news(self, way: Way) -> Iterator[str]:
        """Yield the conditions that a row joins with a changed row, or no longer with any."""
        last = way[-1].parent
        if self.tables[last.id].changed:
            yield joins.leads_to(way, last.taken)
        if self.tables[last.id].deleted:
            yield joins.leads_nowhere(way)

    def copy_partners(self) -> None:
        """Copy the rows with which rows of the batch join, unless the batch has them."""
        led_to: dict[str, list[str]] = {}
        for name, ways in self._ways.items():
            if self.tables[name].changed + self.tables[name].companions:
                for way in ways:
                    condition = joins.is_led_to(way, self._references(way[0]))
                    led_to.setdefault(way[-1].parent.id, []).append(condition)
        for name, conditions in led_to.items():
            table, plan = self.tables[name], self._plans[name]
            for rows in self._partners(plan, conditions):
                others = rows.filter(_among_none(keys_of(rows, plan.table.keys), table.came_along))
                table.partners.write(self._carried(plan, others))

    def _references(self, step: Step) -> str:
        """Return the query for the references of the batch's rows of a table in a step."""
        if step.child.is_whole:
            return f"SELECT {', '.join(step.referring())} FROM {step.child.source}"
        found = self.tables[step.child.id].references[step.columns]
        return found.give(self._connection, step.casts)

    def _unchanged(self, plan: TablePlan, conditions: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the unchanged rows that batches have had, for which one of some conditions holds.

        Changed rows of a table that is not looked at will be in a later batch.
        """
        if conditions and plan.since is not None:
            others = f"NOT ({plan.changed}) AND NOT ({plan.taken})"
            had = plan.portion.had_before if plan.portion else "true"
            yield from self._read(
                plan, f"({joins.any_of(plan, conditions)}) AND {others} AND {had}"
            )

    def _partners(self, plan: TablePlan, conditions: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows for which one of some conditions holds, and which are not in the batch."""
        if not plan.is_whole:
            condition = f"({joins.any_of(plan, conditions)}) AND NOT ({plan.taken})"
            yield from self._read(plan, condition)

    def _read(
        self, plan: TablePlan, condition: str, *, are_changed: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows for which a condition holds, and record their recent transactions."""
        table, query = self.tables[plan.id], plan.rows(condition, are_changed=are_changed)
        for rows in copy_out(self._connection, query, plan.schema, plan.parse):
            if plan.recent_xid is not None and len(table.xids) <= SEEN_AT_MOST:
                table.xids.update(pc.unique(rows[XID].drop_null()).to_pylist())
            yield rows

    def _take(self, plan: TablePlan, rows: pa.RecordBatch, *, are_new: bool = False) -> None:
        """Write rows from which target rows are made; `are_new` if no batch has had any of them."""
        table = self.tables[plan.id]
        table.writer.write(self._carried(plan, rows, are_new=are_new))
        for references in table.references.values():
            references.add(rows)

    def _carried(
        self, plan: TablePlan, rows: pa.RecordBatch, *, are_new: bool = False
    ) -> pa.RecordBatch:
        """Return rows as they are carried: with `_known`, if others wait for them."""
        recent = [TRANSACTION] if TRANSACTION in rows.schema.names else []
        carried = rows.select([*plan.columns.schema.names, *recent])
        if plan.id not in self._declared.waited_for:
            return carried
        none = pa.repeat(pa.scalar(False), rows.num_rows)
        return carried.append_column(KNOWN, none if are_new else self._keys.is_known(plan, rows))

    def flush(self) -> None:
        """Begin to write the rows of all tables, in parallel."""
        for table in self.tables.values():
            table.writer.flush()
            table.partners.flush()
            table.tombstones.flush()


def _kinds(plan: TablePlan) -> pa.Schema:
    """Return the columns of a table's key as they are in tombstones."""
    return pa.schema({plan.key: pa.int64()} if plan.has_integer_key else plan.key_types)


def _among_none(keys: pa.Array, others: list[pa.Array]) -> pa.Array:
    """Return which keys are in none of some arrays."""
    among = pa.concat_arrays([keys[:0], *others])
    return pc.invert(pc.is_in(keys, among))
