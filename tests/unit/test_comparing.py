"""Which rows of a table are compared, in a target of any kind."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest, once
from etl.mapping import Mapping
from functions.common.objects import Key
from functions.targets import Counted
from functions.targets.comparing import Keep, WarehouseComparer

COLUMNS = {"id": Integer(), "value": Integer(nullable=True)}
TABLE = Table("staff", key="id", columns=COLUMNS)


def mapping(way: Any) -> Mapping:
    target = PostgresWarehouse("warehouse", (way(TABLE),))
    pipeline = Pipeline(sources=[Postgres("shop", (TABLE,))], targets=[target])
    [found] = pipeline.mappings("shop")
    return found


class Comparer(WarehouseComparer):
    """A comparer that records what it is asked."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._tables = tables
        self.columns: list[str] = []
        self.keep: Keep | None = None

    @contextmanager
    def _compared(
        self, table: str, rows: Iterable[pa.Table], unfit: Sequence[Key], keep: Keep
    ) -> Iterator[Any]:
        [part] = rows
        self.columns, self.keep = part.column_names, keep
        yield table

    def lines(self, mapping: Mapping, rows: Iterable[pa.Table]) -> Counted:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("way", "last_of_key", "columns", "keep"),
    [
        (latest, False, ["id", "value"], "all"),
        (latest, True, ["id", "value"], "last"),
        (once, False, ["id"], "all"),
        (once, True, ["id", "value"], "first"),
    ],
)
def test_rows_that_come_once_are_compared_by_their_keys(
    way: Any, columns: list[str], keep: Keep, *, last_of_key: bool
) -> None:
    """What such a row was when it came, only all rows of its key can say: then the first counts."""
    comparer = Comparer({})
    rows = [pa.table({"id": [1], "value": [2]})]

    with comparer.disagreements(mapping(way), rows, (), last_of_key=last_of_key) as found:
        assert found == "staff"  # type: ignore[comparison-overlap]

    assert (comparer.columns, comparer.keep) == (columns, keep)


def test_an_optional_table_that_is_not_there_is_not_compared() -> None:
    """A warehouse has a table or it does not."""
    assert Comparer({"staff": TABLE}).has(mapping(latest))
    assert not Comparer({}).has(mapping(latest))
