"""Keys of one or several columns, of any type, under any name: loaded as those of numbers are."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import BigInteger, Column, Date, Integer, Table, Text, Timestamp, Uuid, history, latest
from functions.common.errors import CorruptLogError
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.pipeline.test_load import explained
from tests.postgres_fixtures import Warehouse

ODD = 'Größe "x": 100 %, \\'
ONE, TWO, THREE = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))

# Two columns of a key at a time, what they are in Parquet, and three keys.
KEYS: dict[str, tuple[dict[str, Column], dict[str, pa.DataType], list[tuple[Any, ...]]]] = {
    "text": ({"code": Text()}, {"code": pa.string()}, [("a",), ("",), ("\\.",)]),
    "uuid": ({ODD: Uuid()}, {ODD: pa.string()}, [(ONE,), (TWO,), (THREE,)]),
    "bigint": ({"id": BigInteger()}, {"id": pa.int64()}, [(1,), (2**62,), (-5,)]),
    "several": (
        {"place": Integer(), ODD: Text()},
        {"place": pa.int32(), ODD: pa.string()},
        [(1, "a,b"), (1, "a\\"), (2, "a,b")],
    ),
    "moments": (
        {"at": Timestamp(), "day": Date()},
        {"at": pa.timestamp("us"), "day": pa.date32()},
        [(0, 1), (1, 1), (1_500_000, 2)],
    ),
}


@pytest.fixture(params=list(KEYS))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a kind of key."""
    return str(request.param)


class Things:
    """A table of things with keys of a kind, once with its latest values and once as a history."""

    def __init__(self, kind: str) -> None:
        columns, self.types, self.keys = KEYS[kind]
        table = Table(
            "thing", key=tuple(columns), columns={**columns, "size:": Integer(nullable=True)}
        )
        self.tables = (latest(table), history(table, name=ODD))

    def sized(self, *sizes: int | None) -> pa.Table:
        """Return the first keys, each with a size."""
        rows = [(*key, size) for key, size in zip(self.keys, sizes, strict=False)]
        return rows_of({**self.types, "size:": pa.int32()}, *rows)

    def gone(self, *places: int) -> pa.Table:
        """Return keys alone."""
        return rows_of(self.types, *(self.keys[place] for place in places))


@pytest.fixture
def things(kind: str) -> Things:
    return Things(kind)


@pytest.fixture
def scene(things: Things, new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    return Scene(new_managed_warehouse("my schema"), things.tables)


def odd_id(scene: Scene) -> str:
    return scene.tables[1].id


def sizes(scene: Scene, table: str) -> list[int | None]:
    return [size for [size] in scene.query(f'SELECT "size:" FROM {table} ORDER BY 1')]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_rows_come_together_by_any_key(scene: Scene, things: Things) -> None:
    """Latest values are updated, a history gets each state once, whatever batch comes again."""
    name = odd_id(scene)
    for rows in (things.sized(1, 2, 3), things.sized(1, 20), things.sized(1, 2, None)):
        scene.batch(thing=rows, **{name: rows})
        scene.load()
        scene.forget_last_marker()
        scene.load()

    assert sizes(scene, "thing") == [1, 2, None]
    assert sizes(scene, quoted(ODD)) == [1, 2, 2, 3, 20, None]


def test_a_deleted_row_leaves_the_current_state_whatever_its_key(
    scene: Scene, things: Things
) -> None:
    """It is not in the view until it is there again, and stays in the history and in `thing`."""
    name = odd_id(scene)
    scene.batch(thing=things.sized(1, 2, 3), **{name: things.sized(1, 2, 3)})
    gone = Rows(gone=things.gone(0, 2))
    scene.batch(thing=gone, **{name: gone})
    scene.load()
    current = quoted(f"current_{ODD}")

    assert sizes(scene, current) == [2]
    assert sizes(scene, "thing") == sizes(scene, quoted(ODD)) == [1, 2, 3]
    assert scene.query("SELECT DISTINCT table_name FROM deleted_rows ORDER BY 1 DESC") == [
        ["thing"],
        [ODD],
    ]

    scene.batch(thing=things.sized(1), **{name: things.sized(1)})
    scene.load()

    assert sizes(scene, current) == [1, 2]


def test_a_refused_row_of_any_key_is_superseded(scene: Scene, things: Things) -> None:
    """A row that the warehouse refuses is put aside alone; a newer row of its key takes over."""
    name = odd_id(scene)
    scene.load()
    for table in ("thing", quoted(ODD)):
        scene.query(f'ALTER TABLE {table} ADD CONSTRAINT small CHECK ("size:" < 100)')
    scene.batch(thing=things.sized(100, 2, 300), **{name: things.sized(100, 2, 300)})
    scene.load()
    assert sizes(scene, "thing") == sizes(scene, quoted(ODD)) == [2]
    scene.batch(thing=things.sized(4), **{name: Rows(gone=things.gone(2))})
    scene.load()

    assert {
        table: sum(each.file.rows for each in rows)
        for table, rows in scene.markers[-1].refused.items()
    } == {"thing": 1, name: 1}
    for table in ("thing", quoted(ODD)):
        scene.query(f"ALTER TABLE {table} DROP CONSTRAINT small")
    scene.load()

    assert scene.markers[-1].refused == {}
    assert sizes(scene, "thing") == [2, 4, 300]
    assert sizes(scene, quoted(ODD)) == [2, 100]


def test_rows_without_a_key_are_not_loaded(scene: Scene, things: Things) -> None:
    """A key that is NULL identifies nothing: the writer of the rows has to be asked."""
    rows = things.sized(1)
    empty = pa.nulls(1, rows.column(0).type)
    scene.batch(**{odd_id(scene): rows.set_column(0, rows.column_names[0], empty)})

    with pytest.raises(CorruptLogError, match="in the processed bucket have no"):
        scene.load()


def drop_indexes(scene: Scene) -> None:
    """Drop the indexes that the tables need not have."""
    names = scene.query(
        "SELECT format('%I.%I', schemaname, indexname) FROM pg_indexes"
        " WHERE schemaname = 'my schema' AND indexdef NOT LIKE 'CREATE UNIQUE%'"
    )
    for [name] in names:
        scene.query(f"DROP INDEX {name}")


@pytest.mark.parametrize("is_indexed", [True, False], ids=["index", "no index"])
@pytest.mark.parametrize("kind", ["text", "several"], indirect=True)
def test_a_few_rows_beside_a_long_history_are_compared_whatever_statistics_say(
    scene: Scene, things: Things, monkeypatch: pytest.MonkeyPatch, *, is_indexed: bool
) -> None:
    """By an index on the key, or with all records in one pass."""
    name = odd_id(scene)
    scene.batch(**{name: things.sized(1, 2, 3)})
    scene.load()
    table = quoted(ODD)
    columns = ", ".join(quoted(column) for column in things.types)
    others = ", ".join(
        f"{quoted(column)} || n" if kind == pa.string() else f"{quoted(column)} + n"
        for column, kind in things.types.items()
    )
    scene.query(
        f'INSERT INTO {table} ({columns}, "size:") SELECT {others}, 1'
        f" FROM {table}, generate_series(1, 30000) AS n"
    )
    scene.query(
        "UPDATE pg_class SET reltuples = 1, relpages = 1"
        " WHERE relnamespace = '\"my schema\"'::regnamespace"
    )
    if not is_indexed:
        drop_indexes(scene)
    plans = explained(monkeypatch, containing="AS newest")

    scene.batch(**{name: things.sized(7, 8)})
    scene.load()

    assert len(plans) == 1
    scans, by_index = plans[0].count("Seq Scan on"), plans[0].count("Index Cond")
    if is_indexed:
        assert (scans, by_index) == (1, 1)  # of the stage; of the table
    else:
        assert "Nested Loop" not in plans[0]
        assert scans <= 4
    assert sizes(scene, quoted(f"current_{ODD}"))[-2:] == [7, 8]
