"""The digests of what reconcile compares: equal for equal rows, whatever the order or the kind."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import Integer, Table, TargetTable, Text, history, latest, replace
from etl.mapping import Mapping
from functions.common.logs import MarkerLog
from functions.targets import Counted, Feed
from functions.targets.mysql.comparer import comparer as mysql
from functions.targets.postgres.comparer import comparer as postgres
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, Scene, rows_of

COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)
NAMED = Table("thing", key="word", columns={"id": Integer(nullable=True), "word": Text()})
LINE = Table("thing", key=(), columns={"id": Integer(nullable=True), "word": Text(nullable=True)})
TYPES = {"id": pa.int32(), "word": pa.string()}

Row = tuple[int | None, str | None]
Compared = Callable[..., Counted]
Comparing = Callable[..., Compared]


def rows(*found: Row) -> pa.Table:
    return rows_of(TYPES, *found)


@pytest.fixture(params=["postgres", "mysql"])
def comparing(request: pytest.FixtureRequest) -> Comparing:
    """Return what loads batches into a new warehouse, and then compares it with rows."""

    def load(table: TargetTable, *batches: pa.Table | Rows) -> Compared:
        scene: Any
        if request.param == "mysql":
            comparer: Any = mysql
            scene = MysqlScene(request.getfixturevalue("new_mysql_warehouse")(), (table,))
        else:
            comparer = postgres
            scene = Scene(request.getfixturevalue("new_managed_warehouse")(), (table,))
        for batch in batches:
            scene.batch(thing=batch)
        scene.load()
        assert table.copy_of is not None
        mapping = Mapping(table, table.copy_of, ())
        feed = Feed((mapping,), scene.log, MarkerLog(scene.bucket, "source"))

        def compare(*wanted: Row, unfit: tuple[int, ...] = ()) -> Counted:
            with comparer(scene.place, feed, 600) as target:
                if not table.key:
                    lines: Counted = target.lines(mapping, [rows(*wanted)])
                    return lines
                with target.disagreements(mapping, [rows(*wanted)], unfit) as found:
                    found.explain([], [], pa.array([], pa.string()))
                    counted: Counted = found.counted()
                return counted

        return compare

    return load


THERE = ((1, "a"), (2, "é"), (3, "c"))


@pytest.mark.parametrize("way", [latest, history])
@pytest.mark.parametrize("key", [THING, NAMED], ids=["numbers", "texts"])
def test_the_digest_of_a_table_is_of_its_rows(
    comparing: Comparing, way: Callable[[Table], TargetTable], key: Table
) -> None:
    """Whatever it is compared with: missing, different, extra and unfit rows do not matter."""
    compare = comparing(way(key), rows(*THERE))

    same = compare(*THERE)
    assert same.source_digest == same.warehouse_digest is not None
    unfit: tuple[Any, ...] = (2,) if key is THING else ("é",)
    others = [
        compare(*reversed(THERE)),
        compare((1, "a")),
        compare((1, "A"), (2, "e"), (3, None) if key is THING else (3, "d"), (4, "x")),
        compare(),
        compare((1, "a"), (3, "c"), unfit=unfit),
    ]
    assert {each.warehouse_digest for each in others} == {same.warehouse_digest}
    sources = [each.source_digest for each in others]
    assert sources[0] == same.source_digest
    assert len({*sources}) == len(sources)
    assert compare((1, "a")).source_digest == sources[1]


def test_only_the_newest_record_of_a_history_counts(comparing: Comparing) -> None:
    """A table that was changed back has the digest that it had before."""
    once = comparing(history(THING), rows(*THERE))(*THERE)
    changed = comparing(history(THING), rows(*THERE), rows((1, "z")))((1, "z"), *THERE[1:])
    back = comparing(history(THING), rows(*THERE), rows((1, "z")), rows((1, "a")))(*THERE)

    assert once.warehouse_digest == back.warehouse_digest != changed.warehouse_digest
    assert changed.source_digest == changed.warehouse_digest


def test_lines_count_as_often_as_they_are_there(comparing: Comparing) -> None:
    """Of a table without a key: twice the same row is another table than once."""
    lines: tuple[Row, ...] = ((1, "a"), (1, "a"), (None, None))
    compare = comparing(replace(LINE), Rows([rows(*lines)], snapshot=True))

    same = compare(*lines)
    assert same.source_digest == same.warehouse_digest is not None
    fewer = compare(*lines[1:])
    assert fewer.warehouse_digest == same.warehouse_digest != fewer.source_digest


def test_values_that_move_between_columns_are_other_rows(comparing: Comparing) -> None:
    """Also what would be the same text, were the values only put one after the other."""
    compare = comparing(latest(THING), rows((1, "1,2"), (2, None), (3, "NULL"), (4, "")))

    digests = {
        compare((1, "1,2")).source_digest,
        compare((11, ",2")).source_digest,
        compare((1, None)).source_digest,
        compare((1, "NULL")).source_digest,
        compare((1, "")).source_digest,
        compare((1, '"1,2"')).source_digest,
        compare().source_digest,
    }
    assert len(digests) == 7
