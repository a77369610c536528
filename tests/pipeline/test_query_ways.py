"""What the lake answers for each way in which rows combine, beside PostgreSQL and MySQL."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from deployer.errors import OperationError
from deployer.query.cache import Cache
from deployer.query.lake import Lake
from etl import Integer, Numeric, Table, TargetTable, Text, history, latest, once, replace
from etl.targets import Way
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.remembering import answers
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse
from tests.unit.client_of import ClientOf

WAYS: dict[Way, Callable[[Table], TargetTable]] = {
    "history": history,
    "latest": latest,
    "once": once,
    "replace": replace,
}
THING = Table(
    "thing",
    key=("id", "part"),
    columns={
        "id": Integer(), "part": Text(), "word": Text(nullable=True),
        "price": Numeric(nullable=True),
    },
)  # fmt: skip
TYPES = {"id": pa.int32(), "part": pa.string(), "word": pa.string(), "price": pa.string()}
KEYS = {"id": pa.int32(), "part": pa.string()}
WORDS = ("a", "A", "a ", "", None, "\x01\t\n'\"\\", "bad", "bad too", "é\u202e", "a")
PRICES = ("1.5", "1.50", "-0.001", None, "12345678901234567890.5", "0", "1.5")
BATCHES = 14


class Beside:
    """Batches of one table that are loaded into a warehouse and asked of the lake."""

    def __init__(self, scene: Scene, cache: Path) -> None:
        self.scene = scene
        self._cache = cache

    @property
    def kind(self) -> str:
        return self.scene.target.kind

    def lake(self) -> Lake:
        tables = [SimpleNamespace(target=each) for each in self.scene.tables]
        pipeline: Any = SimpleNamespace(targets=[self.scene.target], mappings=lambda _: tables)
        client: Any = ClientOf(self.scene.bucket)
        return Lake(client, "lake", pipeline, ["source"], Cache(self._cache))

    def of_lake(self, as_of: int | None = None) -> Counter[Any]:
        sql = "SELECT id, part, word, price FROM thing"
        schema = self.scene.warehouse.schema
        return Counter(answers(self.lake(), Path(), schema, {"": sql}, as_of)[""])

    def of_warehouse(self) -> Counter[Any]:
        rows = self.scene.query("SELECT id, part, word, price FROM thing")
        return Counter(map(tuple, rows))


@pytest.fixture(params=["postgres", "mysql"])
def beside(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[TargetTable], Beside]:
    """Return what makes a managed warehouse of either kind, and an empty lake."""

    def make(table: TargetTable) -> Beside:
        if request.param == "mysql":
            warehouse: Warehouse = request.getfixturevalue("new_mysql_warehouse")()
            return Beside(MysqlScene(warehouse, (table,)), tmp_path)
        warehouse = request.getfixturevalue("new_managed_warehouse")()
        return Beside(Scene(warehouse, (table,)), tmp_path)

    return make


def random_rows(random: Random, *, repeats: bool) -> pa.Table:
    """Return rows of few keys; each key once unless it `repeats`."""
    keys = [(number, part) for number in range(6) for part in ("x", "X,\\")]
    chosen = random.choices(keys, k=8) if repeats else random.sample(keys, random.randrange(1, 9))
    return rows_of(TYPES, *((*key, random.choice(WORDS), random.choice(PRICES)) for key in chosen))


def random_gone(random: Random, *files: pa.Table) -> pa.Table | None:
    """Return a key that is deleted, of which the batch has no row, or None."""
    key = (random.randrange(6), "x")
    there = {row for file in files for row in zip(*file.to_pydict().values(), strict=True)}
    if random.random() > 0.3 or key in {row[:2] for row in there}:
        return None
    return rows_of(KEYS, key)


def random_batch(random: Random, way: Way) -> Rows:
    """Return a batch as transform may write one for a way."""
    kind = random.random()
    if way == "replace" and kind < 0.3:
        return Rows([random_rows(random, repeats=False)], snapshot=True)
    if kind < 0.3 and way != "replace":
        files = [random_rows(random, repeats=True) for _ in range(2)]
        return Rows(files, random_gone(random, *files), sequence=True)
    if kind < 0.5:
        files = [random_rows(random, repeats=False) for _ in range(2)]
        return Rows(files, random_gone(random, *files), filled=True)
    rows = random_rows(random, repeats=False)
    return Rows([rows], random_gone(random, rows))


@pytest.mark.parametrize("way", WAYS)
def test_the_lake_has_the_rows_of_the_warehouse(
    way: Way, beside: Callable[[TargetTable], Beside], seed: int
) -> None:
    """Sequences, fills, snapshots and deletions, now and as of every batch."""
    random, place = Random(seed), beside(WAYS[way](THING))
    known: dict[int, Counter[Any]] = {}
    for _ in range(BATCHES):
        batch = place.scene.batch(thing=random_batch(random, way))
        place.scene.load()
        known[batch] = place.of_warehouse()
        if random.random() < 0.5:
            assert place.of_lake() == known[batch]

    assert {batch: place.of_lake(batch) for batch in known} == known


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_the_warehouse_refuses_are_not_there(
    way: Way, beside: Callable[[TargetTable], Beside], seed: int
) -> None:
    """A refused row is not in the answer, until a retry accepts it; one superseded never is."""
    random, place = Random(seed), beside(WAYS[way](THING))
    place.scene.batch(thing=random_rows(random, repeats=False))
    place.scene.load()
    rule = "ALTER TABLE thing ADD CONSTRAINT rule CHECK (word NOT LIKE 'bad%')"
    no_rule = "ALTER TABLE thing DROP CONSTRAINT rule"
    known: dict[int, Counter[Any]] = {1: place.of_warehouse()}
    is_strict = False
    for number in range(BATCHES):
        is_clean = not any((row[2] or "").startswith("bad") for row in known[max(known)])
        if number % 5 == 0 and is_clean and not is_strict:
            place.scene.query(rule)
            is_strict = True
        # MySQL rebuilds the table, which gets all batches again: what a `once` table then keeps
        # depends on the rows that were there.
        elif number % 5 == 4 and is_strict and (way, place.kind) != ("once", "mysql"):
            place.scene.query(no_rule)
            is_strict = False
        rows = random_rows(random, repeats=False)
        batch = place.scene.batch(thing=Rows([rows], random_gone(random, rows)))
        place.scene.load()
        known[batch] = place.of_warehouse()
        assert place.of_lake() == known[batch]

    assert {batch: place.of_lake(batch) for batch in known} == known


def test_a_deleted_row_stays_deleted_while_its_return_is_refused(
    beside: Callable[[TargetTable], Beside],
) -> None:
    """A row that the warehouse refused brings nothing back; once accepted, it is there."""
    place = beside(replace(THING))
    key = (1, "x")
    place.scene.batch(thing=rows_of(TYPES, (*key, "old", "1.5")))
    place.scene.batch(thing=Rows([], rows_of(KEYS, key)))
    place.scene.load()
    place.scene.query("ALTER TABLE thing ADD CONSTRAINT rule CHECK (word NOT LIKE 'bad%')")
    place.scene.batch(thing=rows_of(TYPES, (*key, "bad", "1.5"), (2, "x", "new", None)))
    place.scene.load()
    known = {3: place.of_warehouse()}
    place.scene.batch(thing=rows_of(TYPES, (*key, "good", "1.5")))
    place.scene.load()
    known[4] = place.of_warehouse()

    assert [sum(rows.values()) for rows in known.values()] == [1, 2]
    assert {batch: place.of_lake(batch) for batch in known} == known


def test_a_row_that_was_refused_does_not_outlive_its_snapshot(
    new_mysql_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    """Its value need not fit the column of what has replaced it."""
    beside = Beside(MysqlScene(new_mysql_warehouse(), (replace(THING),)), tmp_path)
    for price in ("1" * 40, "1.5"):
        rows = rows_of(TYPES, (1, "x", "a", price), (2, "x", "b", "0.5"))
        beside.scene.batch(thing=Rows([rows], snapshot=True))
        beside.scene.load()

    assert beside.of_lake() == beside.of_warehouse()
    assert sum(beside.of_lake().values()) == 2


@pytest.mark.parametrize("way", WAYS)
def test_columns_may_have_the_names_that_a_query_needs_itself(
    way: Way, new_managed_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    """A table's own `place`, `until` and `last` neither hide nor order its rows."""
    columns = {"place": Integer(), "until": Integer(), "last": Text(nullable=True)}
    types = {"place": pa.int32(), "until": pa.int32(), "last": pa.string()}
    table = WAYS[way](Table("thing", key=("place", "until"), columns=columns))
    beside = Beside(Scene(new_managed_warehouse(), (table,)), tmp_path)
    gone = rows_of({"place": pa.int32(), "until": pa.int32()}, (7, 9))
    beside.scene.batch(thing=rows_of(types, (7, 7, "a"), (7, 8, "b"), (7, 9, "c"), (1, 1, "d")))
    beside.scene.batch(thing=Rows([rows_of(types, (7, 7, "new"), (1, 1, "new"))], gone))
    beside.scene.load()
    asked = {name: f"SELECT place, until, last FROM {name}" for name in ("thing", "current_thing")}
    if way != "history":
        del asked["current_thing"]

    found = answers(beside.lake(), Path(), beside.scene.warehouse.schema, asked)

    warehouse = {name: [*map(tuple, beside.scene.query(sql))] for name, sql in asked.items()}
    assert {name: Counter(rows) for name, rows in found.items()} == {
        name: Counter(rows) for name, rows in warehouse.items()
    }
    if way == "history":
        numbers = "SELECT count(DISTINCT thing_record_id) FROM thing"
        schema = beside.scene.warehouse.schema
        assert answers(beside.lake(), Path(), schema, {"": numbers})[""] == [(6,)]


def test_a_folder_of_the_cache_is_no_column(
    new_managed_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    """A folder that is called word=folder has nothing to say about the column word."""
    beside = Beside(Scene(new_managed_warehouse(), (latest(THING),)), tmp_path / "word=folder")
    beside.scene.batch(thing=rows_of(TYPES, (1, "x", "own", "1.5")))
    beside.scene.load()

    assert beside.of_lake() == beside.of_warehouse()


def test_a_column_that_hides_what_a_query_needs_is_named(
    new_managed_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    """DuckDB numbers rows in columns that a column of the same name hides: no wrong answer."""
    table = latest(Table("thing", key="id", columns={"id": Integer(), "file_index": Integer()}))
    beside = Beside(Scene(new_managed_warehouse(), (table,)), tmp_path)
    types = {"id": pa.int32(), "file_index": pa.int32()}
    beside.scene.batch(thing=rows_of(types, (1, 5)))
    beside.scene.load()

    with pytest.raises(OperationError, match=r"thing has a column file_index, which hides"):
        answers(beside.lake(), Path(), beside.scene.warehouse.schema, {"": "FROM thing"})
