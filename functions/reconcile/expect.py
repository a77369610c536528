"""A target table as the source says it should be, streamed from one snapshot into the warehouse.

The rows are remodelled by the very functions that transform uses, and staged in temporary tables,
so that the warehouse's own types decide what is different.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc

from etl import Pipeline, Table
from etl import mapping as declared
from functions.common.copy import copy_out
from functions.common.keys import is_among, keys_of
from functions.reconcile.as_of import AsOf
from functions.sources.postgres.plan import TablePlan
from functions.transform import checks
from functions.transform.making import make
from functions.transform.values import convert

# PostgreSQL has no name of over 63 bytes, so no column of the source is called this.
CHANGED = "whether the row has changed since the newest batch that is in the warehouse"


class Expected:
    """The rows of one target table that the source's snapshot makes.

    `unfit` are the keys of rows that no row of the warehouse can be made of; `changed` those of the
    rows that changed since the batch, or with which a row joins in that did. Whether they are all
    is another matter: see `is_known`.
    """

    def __init__(
        self,
        source: pg8000.native.Connection,
        plans: Mapping[str, TablePlan],
        pipeline: Pipeline,
        mapping: declared.Mapping,
        as_of: AsOf,
    ) -> None:
        self._source = source
        self._plans = plans
        self._mapping = mapping
        self._calendar = pipeline.calendar_of(mapping)
        self._as_of = as_of
        self._table = mapping.main
        self.rows = 0
        self.unfit: list[int] = []
        self.changed: list[pa.Array] = []

    @property
    def _tables(self) -> list[TablePlan]:
        return [self._plans[table.id] for table in self._mapping.tables]

    @property
    def error(self) -> str | None:
        """Why the target table cannot be made from the source; None when it can."""
        return next((plan.error for plan in self._tables if plan.error is not None), None)

    @property
    def is_known(self) -> bool:
        """Whether the rows that changed since the batch can be told from the others."""
        return not any(plan.is_whole for plan in self._tables)

    def slices(self) -> Iterator[pa.Table]:
        """Yield the rows of the target table, noting what cannot be one, and what changed.

        The first slice has no rows, so that there is always one to tell the columns.
        """
        read = cache(lambda table: pa.concat_tables([self._nothing(table), *self._rows(table)]))
        joined = checks.joined_in(self._mapping, self._calendar, read)
        partners = dict(chain.from_iterable(each.by_parameter() for each in joined))
        around = checks.Surroundings(self._calendar, joined)
        for rows in chain([self._nothing(self._table)], self._rows(self._table)):
            self.rows += rows.num_rows
            converted = convert(self._table, rows)
            wrong = checks.reasons(self._table, rows, converted, around)
            keys = keys_of(rows, self._table.keys)
            self.unfit += [keys[position].as_py() for position in wrong]
            self.changed.append(keys.filter(self._has_changed(rows, joined, read)))
            yield make(self._mapping, checks.without(converted, wrong), partners)

    def _has_changed(
        self,
        rows: pa.Table,
        joined: Sequence[checks.Partners],
        read: Callable[[Table], pa.Table],
    ) -> pa.Array:
        """Return which rows changed since the batch, or have one joining in that did."""
        changed = rows[CHANGED].combine_chunks()
        for each in joined:
            theirs = read(each.join.table)
            with_changes = each.keys.filter(self._has_changed(theirs, each.joined, read))
            linked = keys_of(rows, each.join.columns)
            gone = self._as_of.had(
                each.join.table.id, linked.filter(pc.invert(is_among(linked, each.keys)))
            )
            changed = pc.or_(changed, is_among(linked, with_changes))
            changed = pc.or_(changed, is_among(linked, gone))
        return changed

    def _schema(self, table: Table) -> pa.Schema:
        return self._plans[table.id].columns.schema.append(pa.field(CHANGED, pa.bool_()))

    def _nothing(self, table: Table) -> pa.Table:
        return self._schema(table).empty_table()

    def _rows(self, table: Table) -> Iterator[pa.Table]:
        plan = self._plans[table.id]
        query = plan.select("true", plan.changed)
        for rows in copy_out(self._source, query, self._schema(table), plan.parse):
            yield pa.Table.from_batches([rows])
