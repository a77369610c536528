"""Transactions that are shown above the horizon are known by id, as many as a function can hold."""

from collections.abc import Callable

import pytest

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, Text, latest
from functions.common import copy
from functions.sources.postgres import changes, rows
from local.connection import connect
from tests.pipeline.lake import Lake

AT_MOST = 3
item = Table("item", key="id", columns={"id": Integer(), "note": Text()})
PIPELINE = Pipeline(
    sources=[Postgres("shop", (item,))],
    targets=[PostgresWarehouse("warehouse", (latest(item, name="items"),))],
)
CREATE = "CREATE TABLE item (id int PRIMARY KEY, note text NOT NULL)"


@pytest.fixture
def lake(new_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A table whose long rows are copied one by one; three transactions of it can be known."""
    for module in (changes, rows):
        monkeypatch.setattr(module, "SEEN_AT_MOST", AT_MOST)
    monkeypatch.setattr(copy, "BLOCK_BYTES", 1)
    return new_lake(PIPELINE, CREATE, "INSERT INTO item VALUES (0, 'first')")


def insert(lake: Lake, *ids: int) -> None:
    """Insert rows, each in its own transaction."""
    for number in ids:
        lake.sql(f"INSERT INTO item VALUES ({number}, repeat('another ', 4000))")


def test_more_than_can_be_known_are_read_again_until_the_horizon_moves(lake: Lake) -> None:
    """While a transaction stays open, too many that are shown after it cost a whole read each run.

    Then only what has changed is read again.
    """
    lake.batch()
    with connect(lake.url) as behind:
        behind.run("BEGIN")
        behind.run("INSERT INTO item VALUES (99, 'late')")
        insert(lake, *range(1, AT_MOST + 1))
        known = lake.batch().capture(item.id)
        insert(lake, AT_MOST + 1)
        too_many = lake.batch().capture(item.id)
        whole = lake.batch().capture(item.id)
        behind.run("COMMIT")
    settled = lake.batch().capture(item.id)
    insert(lake, AT_MOST + 2)
    after = lake.batch().capture(item.id)

    assert sum(last - first + 1 for first, last in known.seen) == AT_MOST
    assert (too_many.changed, too_many.horizon, too_many.seen) == (1, None, [])
    assert (whole.changed, whole.horizon) == (AT_MOST + 2, None)
    assert settled.changed == AT_MOST + 3
    assert settled.horizon is not None
    assert after.changed == 1
