"""Tables that are read whole in several batches, while they change: nothing is lost or made up."""

import random
from collections.abc import Callable
from itertools import chain

import pytest

from functions.sources import Repair
from functions.sources.postgres import filling, keysets
from tests.pipeline.lake import Lake
from tests.pipeline.replica import Replica
from tests.pipeline.test_extract_joins import CREATE as HOUSE_CREATE
from tests.pipeline.test_extract_joins import FILL as HOUSE_FILL
from tests.pipeline.test_extract_joins import HOUSE, ORACLE, SHOWS, changes
from tests.pipeline.test_keys import CREATE, PIPELINE, TABLES, Copy, Shop, fill, keys_in_sql

RECREATED = (
    (
        "CREATE TABLE other (LIKE office INCLUDING ALL)",
        "INSERT INTO other SELECT * FROM office WHERE office_id <> 4",
        "DROP TABLE office",
        "ALTER TABLE other RENAME TO office",
    ),
    (
        "CREATE TABLE other (LIKE region INCLUDING ALL)",
        "INSERT INTO other SELECT region_id, 'other' FROM region",
        "DROP TABLE region",
        "ALTER TABLE other RENAME TO region",
    ),
    ("TRUNCATE office", "INSERT INTO office VALUES (2, 'only', 1), (9, 'other', NULL)"),
)
CHANGING = 60  # batches while the tables change


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    return new_lake(PIPELINE, *CREATE)


@pytest.mark.parametrize(
    ("rows", "runs"), [(1, 1 << 18), (7, 5), (50, 1 << 18)], ids=["1 row", "too many runs", "50"]
)
@pytest.mark.parametrize("sparing", [False, True], ids=["looking", "sparing"])
def test_a_first_load_of_many_batches_ends_with_what_the_tables_have(
    lake: Lake,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rows: int,
    runs: int,
    sparing: bool,
) -> None:
    """However the tables change meanwhile, each batch says of their keys what is true."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    monkeypatch.setattr(keysets, "DIGESTS_AT_MOST", max(runs, 5))
    fill(lake)
    shop, copy = Shop(lake, seed), Copy(lake, is_exact=not sparing)
    has_more, batches = True, 0
    while has_more:
        captured = lake.extract(sparing=sparing and batches % 3 > 0)
        if captured.manifest is not None:
            copy.apply(captured.manifest)
        has_more, batches = captured.more, batches + 1
        if batches < CHANGING:
            shop.trade()
        assert batches < CHANGING + len(TABLES) * 40
    if last := lake.extract().manifest:
        copy.apply(last)

    assert copy.keys == keys_in_sql(lake)
    assert lake.extract().manifest is None


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_joined_rows_are_those_of_plain_sql_when_all_portions_are_read(
    new_lake: Callable[..., Lake], seed: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every level, when tables change, are altered, recreated or repaired in the middle."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", rows)
    lake, draw = new_lake(HOUSE, *HOUSE_CREATE, *HOUSE_FILL), random.Random(seed)
    replica = Replica(lake, SHOWS, ORACLE, is_exact=False)
    for number in range(60):
        again = draw.choice(["", "", "", "", "region", "office", "employee"])
        captured = lake.extract(Repair(read=[again] if again else []))
        if captured.manifest:
            replica.apply(captured.manifest)
        assert captured.more or replica.tables == replica.oracle()
        lake.sql(*chain.from_iterable(changes(draw) for _ in range(draw.randint(1, 4))))
        if number % 15 == 10:
            lake.sql(*draw.choice(RECREATED))
    for _ in range(100):
        captured = lake.extract()
        if captured.manifest:
            replica.apply(captured.manifest)
        if not captured.more:
            break

    assert replica.tables == replica.oracle()
    assert lake.extract().manifest is None


def test_children_wait_for_parents_and_other_tables_do_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While parents are read, what others say of changed rows is in the next batch as ever."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 10)
    fill(lake)
    first = lake.batch()
    states = {name: table.filling for name, table in first.tables.items()}
    assert states["Person"] is not None
    assert (states["Person"].rows, states["Person"].of) == (10, 30)
    assert [states["note"] and states["note"].of, first.capture("note").changed] == [0, 0]
    while (captured := lake.extract()).more:
        assert captured.manifest is not None
        assert captured.manifest.missing == {}
        assert sum(table.changed for table in captured.manifest.tables.values()) <= 10

    lake.batch(Repair(read=["Person"]))
    lake.sql("UPDATE country SET name = 'new'", "UPDATE note SET name = 'new'")
    batch = lake.batch()

    assert [batch.capture(name).changed for name in ("country", "note")] == [30, 0]
    assert lake.batch().capture("note").changed == 30
