"""The star as the source says it should be, streamed from one snapshot into the warehouse.

The rows are remodelled by the very functions that transform uses, and staged in temporary tables,
so that the warehouse's own types decide what is different.
"""

from collections.abc import Iterator
from itertools import chain

import pandas as pd
import pg8000.native
import pyarrow as pa
from pandas import DataFrame
from pg8000.native import identifier

from functions.common.copy import copy_out
from functions.common.totesys import TABLES, Table
from functions.extract import unfit
from functions.extract.columns import SCHEMA, Columns
from functions.transform import checks
from functions.transform.star import StarMapping


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
        for frame in chain([self._nothing()], self._frames(self._mapping.source)):
            self.rows += len(frame)
            wrong = checks.reasons(self._table, frame, partners, {})
            self.unfit += [int(key) for key in frame.loc[list(wrong), self._table.key]]
            fit = frame.drop(index=list(wrong))
            joined = partners.rows if partners else None
            yield self._mapping.remodel(fit, joined)

    def _nothing(self) -> DataFrame:
        return _frame(self._table, self._columns[self._table.name].schema.empty_table())

    def _partners(self) -> checks.Partners | None:
        """Return the rows that join in; those tables are small."""
        if self._mapping.partner is None:
            return None
        frames = list(self._frames(self._mapping.partner))
        empty = DataFrame(columns=[*TABLES[self._mapping.partner].columns, "_unfit"])
        rows = pd.concat(frames, ignore_index=True) if frames else empty
        return checks.partners(self._mapping.partner, rows)

    def _frames(self, name: str) -> Iterator[DataFrame]:
        columns, table = self._columns[name], TABLES[name]
        query = f"SELECT {columns.select_list()} FROM {identifier(SCHEMA)}.{identifier(name)}"
        for rows in copy_out(self._source, query, columns.schema, unfit.parse):
            yield _frame(table, rows)


def _frame(table: Table, rows: pa.RecordBatch | pa.Table) -> DataFrame:
    needed = rows.select([*table.columns, "_unfit"])
    frame: DataFrame = needed.to_pandas(types_mapper=pd.ArrowDtype)
    return frame
