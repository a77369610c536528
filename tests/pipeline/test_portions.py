"""Tables that are read whole in several batches, while they change: nothing is lost or made up."""

import random
from collections.abc import Callable
from itertools import chain

import pytest

from functions.common import copy as copies
from functions.sources import Repair
from functions.sources.postgres import filling, hashedkeys, keysets, pgoutput, unreported
from tests.pipeline.lake import Lake
from tests.pipeline.replica import Replica
from tests.pipeline.test_extract_joins import CREATE as HOUSE_CREATE
from tests.pipeline.test_extract_joins import FILL as HOUSE_FILL
from tests.pipeline.test_extract_joins import HOUSE, ORACLE, SHOWS, changes
from tests.pipeline.test_keys import (
    CREATE,
    PIPELINE,
    TABLES,
    Copy,
    Shop,
    country,
    fill,
    keys_in_sql,
    note,
)

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
CHANGING = 30  # batches while the tables change


@pytest.fixture
def lake(new_lake: Callable[..., Lake]) -> Lake:
    return new_lake(PIPELINE, *CREATE)


@pytest.mark.parametrize(
    ("rows", "runs"), [(3, 1 << 18), (7, 5), (50, 1 << 18)], ids=["3", "too many runs", "50"]
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
    monkeypatch.setattr(unreported, "DELETED_AT_ONCE", rows // 3)
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
    has_more = True
    while has_more:
        captured = lake.extract()
        if captured.manifest is not None:
            copy.apply(captured.manifest)
        has_more = captured.more

    assert copy.keys == keys_in_sql(lake)
    assert lake.extract().manifest is None


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_joined_rows_are_those_of_plain_sql_when_all_portions_are_read(
    new_lake: Callable[..., Lake], seed: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every level, when tables change, are altered, recreated or repaired in the middle."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(unreported, "DELETED_AT_ONCE", rows)
    lake, draw = new_lake(HOUSE, *HOUSE_CREATE, *HOUSE_FILL), random.Random(seed)
    replica = Replica(lake, SHOWS, ORACLE, is_exact=False)
    for number in range(40):
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


@pytest.mark.parametrize("runs", [1 << 18, 5], ids=["runs", "too many runs"])
@pytest.mark.parametrize("is_logged", [False, True], ids=["scanned", "logged"])
def test_many_deletions_are_reported_in_several_batches(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, *, runs: int, is_logged: bool
) -> None:
    """Each once, by runs of a schedule too, while keys come back and others come or go."""
    monkeypatch.setattr(unreported, "DELETED_AT_ONCE", 7)
    monkeypatch.setattr(keysets, "RUNS_AT_MOST", runs)
    fill(lake)
    if is_logged:
        lake.publish()
    copy = Copy(lake)
    copy.apply(lake.batch())
    lake.sql("DELETE FROM note WHERE note_id % 3 > 0", "DELETE FROM number WHERE n % 3 > 0",
             'DELETE FROM "Person"', "TRUNCATE event")  # fmt: skip
    deleted, has_more = [], True
    while has_more:
        captured = lake.extract(sparing=True)
        assert captured.manifest is not None
        copy.apply(captured.manifest)
        deleted.append(sum(table.deleted for table in captured.manifest.tables.values()))
        has_more = captured.more
        if len(deleted) == 2:
            lake.sql("INSERT INTO note VALUES (28, 'again')", "DELETE FROM country",
                     "INSERT INTO event VALUES (now(), 'new', 1, 'new')")  # fmt: skip

    assert copy.keys == keys_in_sql(lake)
    assert (max(deleted), sum(deleted)) == (7, 20 + 20 + 30 + 30 + 30 - 1)
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
    some = "SET name = 'new' WHERE ctid IN (SELECT ctid FROM {0} LIMIT 20)"
    lake.sql(*(f"UPDATE {name} {some.format(name)}" for name in ("country", "note")))
    batch = lake.batch()

    assert [batch.capture(name).changed for name in ("country", "note")] == [20, 0]
    assert lake.batch().capture("note").changed == 20


@pytest.mark.parametrize(
    "statement",
    [
        'ALTER TABLE country ALTER code TYPE char(3) COLLATE "C"',
        "ALTER TABLE country ALTER code TYPE varchar(3)",
        "ALTER TABLE country ADD COLUMN more text",
        "TRUNCATE country; INSERT INTO country VALUES ('a0', 'other'), ('zz', 'new')",
    ],
    ids=["other order", "other type", "new column", "emptied"],
)
def test_a_table_that_is_altered_meanwhile_is_read_from_its_first_row(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """A place says nothing in another order, nor when it is not known which rows have changed."""
    fill(lake)
    lake.sql(f"DELETE FROM {note.name}")
    lake.batch()
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 10)
    before = lake.batch(Repair(read=["country"]))
    begun = before.capture("country").filling
    assert begun is not None

    lake.sql(*statement.split("; "))
    batches = [lake.extract()]
    while batches[-1].more:
        batches.append(lake.extract())

    rows: dict[str, str] = {}
    for each in batches:
        assert each.manifest is not None
        for row in lake.rows(each.manifest, country, "tombstones"):
            rows.pop(row["code"], None)
        rows |= {row["code"]: row["name"] for row in lake.rows(each.manifest, country)}
    found = lake.sql("SELECT code, name FROM country")
    assert rows == {str(code): name for code, name in found}


def test_many_rows_may_be_deleted_while_a_table_with_many_keys_is_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More keys than are received at once: which of those gone were had is asked after them."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 8_000)
    monkeypatch.setattr(hashedkeys, "PART_BYTES", 40_000)
    monkeypatch.setattr(copies, "BLOCK_BYTES", 2_000)
    lake.sql("INSERT INTO \"Person\" SELECT md5(n::text)::uuid, 'x'"
             " FROM generate_series(1, 20000) AS n")  # fmt: skip
    copy = Copy(lake)
    copy.apply(lake.batch())
    lake.sql('DELETE FROM "Person" WHERE "person id"::text < \'2\' OR "person id"::text > \'d\'')
    while (captured := lake.extract()).more:
        assert captured.manifest is not None
        copy.apply(captured.manifest)
    assert captured.manifest is not None
    copy.apply(captured.manifest)

    assert copy.keys == keys_in_sql(lake)
    assert lake.extract().manifest is None


def test_wide_rows_make_small_portions(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is bounded by bytes as well; a row that is larger than that is alone."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(filling, "BYTES_AT_ONCE", 3_500)
    lake.sql("INSERT INTO number SELECT n, repeat('x', 1000) FROM generate_series(1, 8) AS n")
    lake.sql("UPDATE number SET name = repeat('x', 9000) WHERE n = 5")
    batches = [lake.extract()]
    while batches[-1].more:
        batches.append(lake.extract())

    taken = [each.manifest.capture("number").changed for each in batches if each.manifest]
    assert taken == [3, 1, 1, 3]


def test_a_table_that_the_planner_takes_for_small_is_read_at_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages might hold more rows than a batch, but when it was analysed they did not."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(filling, "_portion", None)
    lake.sql("INSERT INTO number SELECT n, repeat('x', 1000) FROM generate_series(1, 8) AS n")
    lake.sql("ANALYZE")

    assert lake.batch().capture("number").changed == 8


def test_a_table_that_refers_to_itself_or_has_no_order_is_read_at_once(
    new_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any part of it might need another, or would cost sorting it."""
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 5)
    lake = new_lake(HOUSE, *HOUSE_CREATE, *HOUSE_FILL)
    lake.sql("ALTER TABLE office DROP CONSTRAINT office_pkey")
    captured = lake.extract()

    assert captured.manifest is not None
    rows = {name: table.changed for name, table in captured.manifest.tables.items()}
    assert rows == {"region": 3, "office": 8, "employee": 30}
    assert not captured.more


@pytest.mark.parametrize("sparing", [False, True], ids=["looking", "sparing"])
@pytest.mark.parametrize("is_logged", [False, True], ids=["scanned", "logged"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE country SET name = 'other'",
        "INSERT INTO country SELECT 'x' || n, 'new' FROM generate_series(1, 21) AS n",
        "DELETE FROM country WHERE code = ',2'; UPDATE country SET name = 'other'",
    ],
    ids=["updated", "inserted", "deleted too"],
)
def test_more_changes_than_a_batch_holds_are_read_in_portions(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    *,
    sparing: bool,
    is_logged: bool,
) -> None:
    """One transaction may write a whole table: no function has to carry that in one batch."""
    fill(lake)
    if is_logged:
        lake.publish()
        monkeypatch.setattr(pgoutput, "KEYS_AT_MOST", 20)
    copy = Copy(lake, is_exact=False)
    first = lake.batch()
    copy.apply(first)
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 10)
    lake.sql(*statement.split("; "), "INSERT INTO event VALUES (now(), 'new', 1, 'beside it')")
    batches = [lake.extract(sparing=sparing)]
    while batches[-1].more:
        batches.append(lake.extract(sparing=sparing))

    manifests = [each.manifest for each in batches if each.manifest]
    for each in manifests:
        copy.apply(each)
    taken = [each.capture("country").changed for each in manifests]
    states = {
        row["code"]: row["name"] for each in (first, *manifests) for row in lake.rows(each, country)
    }
    assert copy.keys == keys_in_sql(lake)
    assert (max(taken), len(taken) > 2) == (10, True)
    there = dict(lake.sql("SELECT code, name FROM country"))
    assert there == {code: states[code] for code in there}
    assert manifests[0].capture("event").changed == 1
    assert lake.extract().manifest is None


@pytest.mark.parametrize("name", ["country", "number"])
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_more_changes_while_a_table_is_read_are_read_in_portions(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, name: str, *, again: bool
) -> None:
    """The rows read so far are updated by one statement, or all by a second one: none is lost."""
    fill(lake)
    copy = Copy(lake, is_exact=False)
    lake.sql("DELETE FROM note")
    if again:
        copy.apply(lake.batch())
        lake.sql(f"UPDATE {name} SET name = 'first'")
    monkeypatch.setattr(filling, "ROWS_AT_ONCE", 5)
    [table] = [each for each in TABLES if each.id == name]
    names: dict[str, str] = {}
    taken, is_updated, has_more = [], False, True
    while has_more:
        captured = lake.extract()
        assert captured.manifest is not None
        copy.apply(captured.manifest)
        capture = captured.manifest.capture(name)
        taken.append(capture.changed)
        names |= {row[table.keys[0]]: row["name"] for row in lake.rows(captured.manifest, table)}
        if not is_updated and capture.filling and capture.filling.rows == 25:
            lake.sql(f"UPDATE {name} SET name = 'second'", f"DELETE FROM {name} WHERE ctid IN"
                     f" (SELECT ctid FROM {name} LIMIT 2)")  # fmt: skip
            is_updated = True
        has_more = captured.more

    assert (is_updated, max(taken)) == (True, 5)
    assert copy.keys == keys_in_sql(lake)
    assert {names[key] for [key] in lake.sql(f"SELECT {table.keys[0]} FROM {name}")} == {"second"}
    assert lake.extract().manifest is None
