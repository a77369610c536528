"""The star as the source says it should be, streamed from one snapshot into the warehouse.

The rows are remodelled by the very functions that transform uses, and staged in temporary tables,
so that the warehouse's own types decide what is different.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.copy import copy_out
from functions.common.totesys import JOINS, TABLES
from functions.reconcile.as_of import AsOf
from functions.sources.postgres.plan import TablePlan
from functions.transform import checks
from functions.transform.star import StarMapping
from functions.transform.values import convert

# PostgreSQL has no name of over 63 bytes, so no column of the source is called this.
CHANGED = "whether the row has changed since the newest batch that is in the warehouse"


@dataclass(frozen=True)
class _Partners:
    """The rows of the table that joins in, and the keys of those that changed since the batch."""

    checked: checks.Partners
    changed: pa.Array


class Expected:
    """The rows of one star table that the source's snapshot makes.

    `unfit` are the keys of rows that no row of the warehouse can be made of; `changed` those of the
    rows that changed since the batch, or that share a star row with one that did. Whether they
    are all is another matter: see `is_known`.
    """

    def __init__(
        self,
        source: pg8000.native.Connection,
        plans: Mapping[str, TablePlan],
        mapping: StarMapping,
        as_of: AsOf,
    ) -> None:
        self._source = source
        self._plans = plans
        self._mapping = mapping
        self._as_of = as_of
        self._table = TABLES[mapping.source]
        self.rows = 0
        self.unfit: list[int] = []
        self.changed: list[pa.Array] = []

    @property
    def _tables(self) -> list[TablePlan]:
        names = [self._mapping.source, self._mapping.partner]
        return [self._plans[name] for name in names if name is not None]

    @property
    def error(self) -> str | None:
        """Why the star table cannot be made from the source; None when it can."""
        return next((plan.error for plan in self._tables if plan.error is not None), None)

    @property
    def is_known(self) -> bool:
        """Whether the rows that changed since the batch can be told from the others."""
        return not any(plan.is_whole for plan in self._tables)

    def slices(self) -> Iterator[pa.Table]:
        """Yield the rows of the star table, noting on the way what cannot be one, and what changed.

        The first slice has no rows, so that there is always one to tell the columns.
        """
        partners = self._partners()
        checked = partners.checked if partners else None
        joined = checked.rows if checked else None
        for rows in chain([self._nothing(self._table.name)], self._rows(self._table.name)):
            self.rows += rows.num_rows
            converted = convert(self._table, rows)
            wrong = checks.reasons(self._table, rows, converted, checked, {})
            keys = rows[self._table.key].combine_chunks().cast(pa.int64())
            self.unfit += [keys[position].as_py() for position in wrong]
            self.changed.append(keys.filter(self._has_changed(rows, partners)))
            yield self._mapping.remodel(converted, joined, wrong)

    def _has_changed(self, rows: pa.Table, partners: _Partners | None) -> pa.Array:
        changed = rows[CHANGED].combine_chunks()
        if partners is None:
            return changed
        column = next(join.column for join in JOINS if join.child == self._table.name)
        linked = rows[column].combine_chunks().cast(pa.int64())
        there = pc.is_in(linked, partners.checked.keys.combine_chunks())
        gone = self._as_of.had(partners.checked.table.name, linked.filter(pc.invert(there)))
        return pc.or_(changed, pc.is_in(linked, pa.concat_arrays([partners.changed, gone])))

    def _partners(self) -> _Partners | None:
        """Return the rows that join in; those tables are small."""
        if (name := self._mapping.partner) is None:
            return None
        rows = pa.concat_tables([self._nothing(name), *self._rows(name)])
        checked = checks.partners(TABLES[name], rows)
        return _Partners(checked, checked.keys.filter(rows[CHANGED]).combine_chunks())

    def _schema(self, name: str) -> pa.Schema:
        return self._plans[name].columns.schema.append(pa.field(CHANGED, pa.bool_()))

    def _nothing(self, name: str) -> pa.Table:
        return self._schema(name).empty_table()

    def _rows(self, name: str) -> Iterator[pa.Table]:
        plan = self._plans[name]
        query = plan.select("true", plan.changed)
        for rows in copy_out(self._source, query, self._schema(name), plan.parse):
            yield pa.Table.from_batches([rows])
