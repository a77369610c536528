"""Rows that MySQL refuses are found with few statements, and all others are applied in order."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from functions.common.loaded import Loaded
from functions.common.mysql import ServerError
from functions.common.mysqlcodes import Condition
from functions.targets.mysql import careful

ROWS = 4_096
CHECK = Condition(3819, "HY000", "a check constraint does not hold [HY000/3819]", True)


class Server:
    """A connection that counts tries, and a table that refuses some rows."""

    def __init__(self, refuses: Callable[[int], bool]) -> None:
        self.refuses = refuses
        self.tries = 0
        self.held: list[int] = []

    def run(self, sql: str) -> None:
        self.tries += sql.startswith("SAVEPOINT")

    def apply(self, rows: pa.Table) -> Loaded:
        found = rows["id"].to_pylist()
        if any(map(self.refuses, found)):
            raise ServerError(CHECK)
        self.held += found
        return Loaded(len(found), len(found), 0)


@pytest.mark.parametrize(
    ("refuses", "tries"),
    [
        (lambda _: False, 1),
        (lambda row: row == 1_234, 15),
        (lambda row: row % 10 == 0, 2_467),
        (lambda row: row % 10, 4_517),
        (lambda row: row < ROWS // 2, 2_072),
        (lambda _: True, 4_108),
    ],
    ids=["none", "one", "every tenth", "all but every tenth", "first half", "all"],
)
def test_many_refused_rows_take_few_tries(refuses: Callable[[int], bool], tries: int) -> None:
    """Rows are tried together where they are accepted, and one by one where they are not."""
    server = Server(refuses)
    connection: Any = server

    outcome = careful.each(connection, [pa.table({"id": range(ROWS)})], server.apply)

    assert outcome.places.to_pylist() == [row for row in range(ROWS) if refuses(row)]
    assert outcome.reasons == [str(CHECK)] * len(outcome.places)
    assert server.held == [row for row in range(ROWS) if not refuses(row)]
    assert outcome.loaded == Loaded(ROWS, len(server.held), 0, ROWS - len(server.held))
    assert server.tries == tries
