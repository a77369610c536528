"""What is made of the catalogue of a MySQL server that cannot show all of it."""

from typing import Any

import pytest

from functions.common.errors import DatabaseUnavailableError
from functions.targets.mysql.catalogue import tables_of


class Stopping:
    """A server that is stopping: it lists a table, and cannot show all of it any more."""

    def __init__(self, engine: str | None, columns: list[tuple[Any, ...]]) -> None:
        self.engine = engine
        self.columns = columns

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        if "lower_case_table_names" in sql:
            return [(0,)]
        if "information_schema.COLUMNS" in sql:
            return self.columns
        return [("dim_thing", self.engine, None)] if "information_schema.TABLES" in sql else []


@pytest.mark.parametrize(
    ("engine", "columns"),
    [
        (None, []),
        (None, [("dim_thing", "thing_id", "int", False, None, "", None)]),
        ("InnoDB", []),
    ],
    ids=["nothing", "no engine", "no columns"],
)
def test_a_table_that_cannot_be_opened_is_no_mismatch(
    engine: str | None, columns: list[tuple[Any, ...]]
) -> None:
    """The next run finds it as it was: nobody is asked to change its engine or its columns."""
    server: Any = Stopping(engine, columns)

    with pytest.raises(DatabaseUnavailableError, match=r"shop\.dim_thing cannot be opened"):
        tables_of(server, "shop", ["dim_thing"])
