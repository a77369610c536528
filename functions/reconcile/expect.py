"""The star as the source says it should be, streamed from one snapshot into the warehouse.

The rows are remodelled by the very functions that transform uses, and staged in temporary tables,
so that the warehouse's own types decide what is different.
"""

from collections.abc import Iterator
from itertools import chain

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_out
from functions.common.totesys import TABLES
from functions.extract import unfit
from functions.extract.columns import SCHEMA, Columns
from functions.transform import checks
from functions.transform.star import StarMapping
from functions.transform.values import convert


class Expected:
    """The rows of one star table that the source's snapshot makes, and the keys of unfit ones."""

    def __init__(
        self,
        source: pg8000.native.Connection,
        columns: dict[str, Columns],
        mapping: StarMapping,
    ) -> None:
        self._source = source
        self._columns = columns
        self._mapping = mapping
        self._table = TABLES[mapping.source]
        self.rows = 0
        self.unfit: list[int] = []

    def slices(self) -> Iterator[pa.Table]:
        """Yield the rows of the star table, noting on the way what cannot be one.

        The first slice has no rows, so that there is always one to tell the columns.
        """
        partners = self._partners()
        joined = partners.rows if partners else None
        for rows in chain([self._nothing(self._table.name)], self._rows(self._table.name)):
            self.rows += rows.num_rows
            converted = convert(self._table, rows)
            wrong = checks.reasons(self._table, rows, converted, partners, {})
            keys = rows[self._table.key]
            self.unfit += [keys[position].as_py() for position in wrong]
            yield self._mapping.remodel(converted, joined, wrong)

    def _nothing(self, name: str) -> pa.Table:
        return self._columns[name].schema.empty_table()

    def _partners(self) -> checks.Partners | None:
        """Return the rows that join in; those tables are small."""
        if (name := self._mapping.partner) is None:
            return None
        rows = pa.concat_tables([self._nothing(name), *self._rows(name)])
        return checks.partners(TABLES[name], rows)

    def _rows(self, name: str) -> Iterator[pa.Table]:
        columns = self._columns[name]
        query = f"SELECT {columns.select_list()} FROM {identifier(SCHEMA)}.{identifier(name)}"
        for rows in copy_out(self._source, query, columns.schema, unfit.parse):
            yield pa.Table.from_batches([rows])
