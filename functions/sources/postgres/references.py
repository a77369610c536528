"""The references of a batch's rows: the distinct values of their columns, for SQL."""

from collections.abc import Sequence

import pyarrow as pa

from functions.common.copy import set_values, text_array, value
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import carried_name

HELD_AT_MOST = 1 << 20  # before duplicates are removed


class References:
    """The distinct values of columns of rows that refer to others.

    `variable` is the prefix of their values' names in the transaction.
    """

    def __init__(self, columns: tuple[str, ...], variable: str) -> None:
        self._names = [carried_name(column) for column in columns]
        self._variable = variable
        self._found: list[pa.Table] = []
        self._distinct = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Add the references of rows; one with a NULL refers to nothing."""
        self._found.append(_distinct(pa.Table.from_batches([rows.select(self._names)])))
        if sum(map(len, self._found)) > HELD_AT_MOST + 2 * self._distinct:
            self._merge()

    def _merge(self) -> pa.Table:
        self._found = [_distinct(pa.concat_tables(self._found))]
        self._distinct = len(self._found[0])
        return self._found[0]

    def give(self, connection: PostgresConnection, casts: Sequence[str]) -> str:
        """Set the values in the transaction, each once; return the query that has them as types."""
        names = [f"{self._variable}_{place}" for place in range(len(self._names))]
        texts = map(text_array, self._merge().columns)
        set_values(connection, dict(zip(names, texts, strict=True)))
        arrays = [value(name, f"{cast}[]") for name, cast in zip(names, casts, strict=True)]
        return f"SELECT * FROM unnest({', '.join(arrays)})"


def _distinct(rows: pa.Table) -> pa.Table:
    return rows.drop_null().group_by(rows.column_names, use_threads=False).aggregate([])
