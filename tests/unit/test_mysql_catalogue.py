"""What is made of the catalogue of a MySQL server that cannot show all of it."""

from typing import Any

import pytest

from functions.common.errors import DatabaseUnavailableError
from functions.targets.mysql.catalogue import tables_of


class Stopping:
    """A server that is stopping: it lists a table, and has nothing to say of it any more."""

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        if "lower_case_table_names" in sql:
            return [(0,)]
        return [("dim_thing", None, None)] if "information_schema.TABLES" in sql else []


def test_a_table_that_cannot_be_opened_is_no_mismatch() -> None:
    """The next run finds it as it was: nobody is asked to change its engine."""
    server: Any = Stopping()

    with pytest.raises(DatabaseUnavailableError, match=r"shop\.dim_thing cannot be opened"):
        tables_of(server, "shop", ["dim_thing"])
