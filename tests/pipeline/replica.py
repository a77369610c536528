"""Target tables made of each batch alone, with outer joins, to be compared with plain SQL."""

from collections.abc import Mapping as Dictionary
from typing import Any

from etl import Table
from etl.mapping import Mapping
from functions.common.manifests import IngestionManifest
from tests.pipeline.lake import Lake, Part, Row

Key = tuple[Any, ...]
Rows = dict[Key, Key]


class Replica:
    """The target tables after some batches: a key, a column of its row, one of each join.

    `shows` is the column that is shown of each source table. `queries` make the same in SQL, by
    target table, with the joins in the order of the function's parameters. Unless it `is_exact`,
    rows may be deleted that were gone before they had been read.
    """

    def __init__(
        self,
        lake: Lake,
        shows: Dictionary[Table, str],
        queries: Dictionary[str, str],
        *,
        is_exact: bool = True,
    ) -> None:
        self._is_exact = is_exact
        self._lake = lake
        self._shows = shows
        self._queries = queries
        self._mappings = lake.pipeline.mappings(lake.source.name)
        self.tables: dict[str, Rows] = {mapping.target.name: {} for mapping in self._mappings}

    def apply(self, batch: IngestionManifest) -> None:
        for mapping in self._mappings:
            table = self.tables[mapping.target.name]
            for row in self._lake.rows(batch, mapping.main, "tombstones"):
                key = _values(row, mapping.main.keys)
                assert key in table or not self._is_exact
                table.pop(key, None)
            joining = {each: self._by_key(batch, each, "joining") for each in mapping.tables}
            for key, row in self._by_key(batch, mapping.main, "files").items():
                table[key] = (*key, *self._made(mapping, row, joining))

    def _by_key(self, batch: IngestionManifest, table: Table, part: Part) -> dict[Key, Row]:
        """Return rows by their keys, each of which is there once."""
        rows = self._lake.rows(batch, table, part)
        found = {_values(row, table.keys): row for row in rows}
        assert len(found) == len(rows)
        return found

    def _made(
        self, mapping: Mapping, row: Row, joining: Dictionary[Table, Dictionary[Key, Row]]
    ) -> Key:
        under: dict[str, Row | None] = {mapping.parameter: row}
        for join in mapping.joins:
            child = under[join.child]
            under[join.parameter] = child and joining[join.table].get(_values(child, join.columns))
        tables = {mapping.parameter: mapping.main} | {
            join.parameter: join.table for join in mapping.joins
        }
        return tuple(
            (found := under[name]) and found[self._shows[tables[name]]]
            for name in mapping.target.parameters
        )

    def oracle(self) -> dict[str, Rows]:
        """Return what plain SQL says of the live database."""
        lengths = {each.target.name: len(each.main.keys) for each in self._mappings}
        return {
            name: {tuple(row[: lengths[name]]): tuple(row) for row in self._lake.sql(query)}
            for name, query in self._queries.items()
        }


def _values(row: Row, columns: tuple[str, ...]) -> Key:
    return tuple(row[column] for column in columns)
