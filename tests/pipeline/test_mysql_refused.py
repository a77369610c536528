"""Rows that MySQL refuses: each is put aside with its reason, costs no other, and is retried."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    Calendar,
    Date,
    Integer,
    Numeric,
    Table,
    TargetTable,
    Text,
    history,
    latest,
    once,
    replace,
)
from functions.common.errors import WarehouseSetupError
from functions.common.mysql import quoted
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)
TYPES = {"id": pa.int32(), "word": pa.string()}
SECRET = "Tr0ub4dor"


def rows(*found: tuple[int, str | None]) -> pa.Table:
    return rows_of(TYPES, *found)


def held(scene: MysqlScene, order: str = "id") -> list[tuple[Any, ...]]:
    return [tuple(row) for row in scene.query(f"SELECT id, word FROM thing ORDER BY {order}")]


def reasons(scene: MysqlScene, table: str = "thing") -> dict[str, int]:
    """Return why rows are put aside at present, and how many."""
    found: dict[str, int] = {}
    for each in scene.markers[-1].refused.get(table, []):
        for reason, count in each.reasons.items():
            found[reason] = found.get(reason, 0) + count
    return found


def prepared(new_mysql_warehouse: New, ddl: str, table: TargetTable) -> MysqlScene:
    warehouse = new_mysql_warehouse("SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES")
    scene = MysqlScene(warehouse, (table,), managed=False)
    scene.query(f"CREATE TABLE thing ({ddl})")
    return scene


# What a table is like, a row that it refuses, and the reason without the server's number for it.
REFUSING = {
    "length": ("id int, word varchar(5)", SECRET, "a text is longer than its column allows"),
    "blanks": ("id int, word varchar(5)", "a     ", "a value would not be stored exactly as it is"),
    "null": ("id int, word text NOT NULL", None, "a value is NULL where that is not allowed"),
    "unique": ("id int, word varchar(9) UNIQUE", "w3", "another row has the same unique values"),
    "check": (
        f"id int, word text, CONSTRAINT good CHECK (word <> '{SECRET}')",
        SECRET, "a check constraint does not hold",
    ),
    "number": ("id int, word int", SECRET, "a value cannot be stored in its column's type"),
    "charset": ("id int, word text CHARACTER SET latin1", "€uro 𝄞", "a value cannot be stored in"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSING)
@pytest.mark.parametrize("declare", [latest, history, once])
def test_a_refused_row_costs_itself_alone(
    case: str,
    declare: Callable[..., TargetTable],
    new_mysql_warehouse: New,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reason names what the server names, and no value is in it, in a marker or in a log."""
    ddl, word, reason = REFUSING[case]
    number = ", n int AUTO_INCREMENT PRIMARY KEY" if declare is history else ""
    scene = prepared(new_mysql_warehouse, ddl + number, declare(THING))
    good = "{}" if case == "number" else "w{}"
    found = [(n, good.format(n)) for n in range(200)]
    scene.batch(thing=rows(*found[:100], (900, word), *found[100:]))
    scene.load()

    assert held(scene) == [(n, int(w) if case == "number" else w) for n, w in found]
    [[said, count]] = reasons(scene).items()
    assert (said.startswith(reason), count) == (True, 1)
    assert SECRET not in json.dumps(reasons(scene)) + "".join(capsys.readouterr())


def test_a_refused_row_is_tried_again_when_the_table_changes(new_mysql_warehouse: New) -> None:
    """Then it comes in by itself; while nothing changes it waits, and newer rows replace it."""
    scene = prepared(new_mysql_warehouse, "id int PRIMARY KEY, word varchar(3)", latest(THING))
    scene.batch(thing=rows((1, "a"), (2, "long"), (3, "longer"), (4, "longest")))
    scene.load()
    assert scene.load() == []
    scene.batch(thing=rows((3, "c")))
    scene.load()
    assert held(scene) == [(1, "a"), (3, "c")]
    scene.query("ALTER TABLE thing MODIFY word varchar(5)")
    scene.load()
    assert held(scene) == [(1, "a"), (2, "long"), (3, "c")]
    assert sum(reasons(scene).values()) == 1


def test_keys_that_the_collation_takes_for_the_same_are_refused(new_mysql_warehouse: New) -> None:
    """The first of them is there; which key of the table stands against the others is said."""
    table = Table("thing", key="word", columns={"id": Integer(), "word": Text()})
    ddl = "id int, word varchar(9) COLLATE utf8mb4_general_ci, UNIQUE KEY words (word)"
    scene = prepared(new_mysql_warehouse, ddl, latest(table))
    scene.batch(thing=rows((1, "a"), (2, "b"), (3, "A"), (4, "c")))
    scene.batch(thing=rows((5, "a"), (6, "B")))
    scene.load()
    assert held(scene) == [(2, "b"), (4, "c"), (5, "a")]
    assert reasons(scene) == {"another row has the same unique values [23000/1062], key words": 2}


def test_a_row_waits_for_the_row_that_it_refers_to(new_mysql_warehouse: New) -> None:
    """Also for one in the same batch, whatever their order."""
    columns = {"id": Integer(), "word": Integer(nullable=True)}
    nodes = latest(Table("thing", key="id", columns=columns))
    ddl = "id int PRIMARY KEY, word int, CONSTRAINT up FOREIGN KEY (word) REFERENCES thing (id)"
    scene = prepared(new_mysql_warehouse, ddl, nodes)
    types = {"id": pa.int32(), "word": pa.int32()}
    scene.batch(thing=rows_of(types, (1, 2), (2, 3), (3, None), (4, 9), (5, 4)))
    scene.load()
    assert held(scene) == [(1, 2), (2, 3), (3, None)]
    [[reason, count]] = reasons(scene).items()
    assert (reason.partition(" [")[0], count) == ("a row that it refers to is not there", 2)
    scene.batch(thing=rows_of(types, (9, None)))
    scene.load()
    assert held(scene) == [(1, 2), (2, 3), (3, None), (4, 9), (5, 4), (9, None)]


def test_what_a_trigger_refuses_is_put_aside_without_its_words(new_mysql_warehouse: New) -> None:
    """Whoever raised the error chose its text, which may quote the row."""
    scene = prepared(new_mysql_warehouse, "id int PRIMARY KEY, word text", latest(THING))
    home = quoted(scene.warehouse.schema)
    scene.query(
        f"CREATE TRIGGER {home}.no BEFORE INSERT ON {home}.thing FOR EACH ROW IF NEW.id > 1 THEN"
        " SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'no Tr0ub4dor', MYSQL_ERRNO = 31001; END IF"
    )
    scene.batch(thing=rows((1, "a"), (2, SECRET)))
    scene.load()
    assert held(scene) == [(1, "a")]
    assert reasons(scene) == {
        "a trigger or function of the database raised an error [45001/31001]": 1
    }


def test_a_row_longer_than_a_statement_may_be_is_refused(new_mysql_warehouse: New) -> None:
    """Nothing of it is lost, and those around it come in, however long they are together."""
    scene = MysqlScene(new_mysql_warehouse(), (latest(THING),))
    [[packet]] = scene.query("SELECT @@max_allowed_packet")
    long = "x" * (packet // 2)
    scene.batch(thing=rows((1, long), (2, "y" * packet), (3, long), (4, "")))
    scene.load()
    found = scene.query("SELECT id, length(word) FROM thing ORDER BY id")
    assert found == [[1, len(long)], [3, len(long)], [4, 0]]
    assert reasons(scene) == {"a row is longer than max_allowed_packet [08S01/1153]": 1}


@replace(name="thing", columns={"id": Integer(nullable=True), "word": Text(nullable=True)})
def line(thing: Any) -> Any:
    """Lines without a key."""
    return thing


def test_a_line_that_is_refused_waits_until_the_next_snapshot(new_mysql_warehouse: New) -> None:
    """Equal lines are counted, also when it is tried again."""
    scene = prepared(new_mysql_warehouse, "id int, word varchar(3)", line)
    scene.batch(thing=Rows([rows((0, "x"), (0, "x"))], snapshot=True))
    lines = rows((1, "a"), (1, "a"), (2, "long"), (2, "long"), (3, None))
    scene.batch(thing=Rows([lines], snapshot=True))
    scene.load()
    assert held(scene) == [(1, "a"), (1, "a"), (3, None)]
    scene.query("ALTER TABLE thing MODIFY word varchar(5)")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert held(scene) == [(1, "a"), (1, "a"), (2, "long"), (2, "long"), (3, None)]


def test_equal_lines_are_counted_when_they_are_tried_again(new_mysql_warehouse: New) -> None:
    """A line that is there once does not stand for another one, which the warehouse refuses."""
    scene = prepared(new_mysql_warehouse, "id int, word varchar(3), UNIQUE KEY one (id)", line)
    files = [rows((1, "a"), (2, "b")), rows((1, "a"))]
    scene.batch(thing=Rows(files, snapshot=True))
    scene.batch()
    scene.load()
    assert held(scene) == [(1, "a"), (2, "b")]
    scene.query("ALTER TABLE thing MODIFY word varchar(4)")
    scene.load()
    assert list(scene.markers[-1].refused) == ["thing"]
    scene.query("ALTER TABLE thing DROP KEY one")
    scene.load()
    scene.forget_last_marker()
    scene.load()
    assert held(scene) == [(1, "a"), (1, "a"), (2, "b")]


def test_a_refused_line_does_not_hide_what_is_there(new_mysql_warehouse: New) -> None:
    """Whatever is refused first: equal lines that are there are not inserted once more."""
    ddl = "id int, word varchar(3), UNIQUE KEY one (id), CHECK (word <> 'bad')"
    scene = prepared(new_mysql_warehouse, ddl, line)
    scene.batch(thing=Rows([rows((1, "a"), (1, "a"), (2, "bad"))], snapshot=True))
    scene.load()
    assert (held(scene), sum(reasons(scene).values())) == ([(1, "a")], 2)
    scene.query("ALTER TABLE thing DROP KEY one")
    scene.load()
    assert (held(scene), sum(reasons(scene).values())) == ([(1, "a"), (1, "a")], 1)


def test_a_line_that_others_refer_to_is_not_refused(new_mysql_warehouse: New) -> None:
    """A line that the warehouse does refuse makes no other one of it that is kept."""
    ddl = "id int PRIMARY KEY, word varchar(3), CHECK (word <> 'bad')"
    scene = prepared(new_mysql_warehouse, ddl, line)
    scene.batch(thing=Rows([rows((1, "a"), (3, "c"))], snapshot=True))
    scene.load()
    scene.query(
        "CREATE TABLE other (id int, FOREIGN KEY (id) REFERENCES thing (id))",
        "INSERT INTO other VALUES (3)",
    )
    scene.batch(thing=Rows([rows((3, "c"), (5, "bad"))], snapshot=True))
    scene.load()
    assert held(scene) == [(3, "c")]
    [[reason, count]] = reasons(scene).items()
    assert (reason.partition(" [")[0], count) == ("a check constraint does not hold", 1)


def test_a_line_that_others_refer_to_stays_and_nothing_stops(
    new_mysql_warehouse: New, caplog: pytest.LogCaptureFixture
) -> None:
    """What the warehouse does not let go is reported; the same line that comes again is that."""
    scene = prepared(new_mysql_warehouse, "id int PRIMARY KEY, word varchar(3)", line)
    scene.batch(thing=Rows([rows((1, "a"), (2, "b"), (3, "c"))], snapshot=True))
    scene.load()
    scene.query(
        "CREATE TABLE other (id int, FOREIGN KEY (id) REFERENCES thing (id))",
        "INSERT INTO other VALUES (1), (3)",
    )
    scene.batch(thing=Rows([rows((3, "c"), (4, "d"))], snapshot=True))
    scene.load()
    assert held(scene) == [(1, "a"), (3, "c"), (4, "d")]
    scene.batch(thing=Rows(snapshot=True))
    scene.load()
    assert held(scene) == [(1, "a"), (3, "c")]
    assert caplog.messages.count("rows cannot be deleted, and are kept") == 2


@pytest.mark.parametrize(
    ("right", "message"),
    [
        ("SELECT, INSERT, CREATE TEMPORARY TABLES", "no right to UPDATE on .*thing of the warehou"),
        ("SELECT, INSERT, UPDATE", "no right to create temporary tables, .*GRANT CREATE TEMPORARY"),
    ],
)
def test_a_right_that_lacks_is_named(right: str, message: str, new_mysql_warehouse: New) -> None:
    """It is asked for before anything is loaded, in one line."""
    scene = MysqlScene(new_mysql_warehouse(right), (latest(THING),), managed=False)
    scene.query("CREATE TABLE thing (id int PRIMARY KEY, word text)")
    with pytest.raises(WarehouseSetupError, match=message):
        scene.load()


def test_a_table_without_transactions_is_refused(new_mysql_warehouse: New) -> None:
    """A batch could come in by half there; the statement that helps is in the message."""
    scene = MysqlScene(new_mysql_warehouse(), (latest(THING),), managed=False)
    scene.query("CREATE TABLE thing (id int, word text) ENGINE=MyISAM")
    with pytest.raises(WarehouseSetupError, match=r"kept by MyISAM, .*thing` ENGINE=InnoDB"):
        scene.load()


def test_decimals_are_not_rounded_into_a_prepared_table(new_mysql_warehouse: New) -> None:
    """An amount with more digits than its column is put aside, and not changed."""
    table = Table("thing", key="id", columns={"id": Integer(), "word": Numeric(10, 2)})
    scene = prepared(new_mysql_warehouse, "id int PRIMARY KEY, word decimal(10,1)", latest(table))
    amounts = pa.array(["1.50", "1.25"], pa.string()).cast(pa.decimal128(10, 2))
    scene.batch(thing=pa.table({"id": pa.array([1, 2], pa.int32()), "word": amounts}))
    scene.load()
    assert [str(word) for _, word in held(scene)] == ["1.5"]
    assert reasons(scene) == {
        "a value would not be stored exactly as it is [01000/1265], column word": 1
    }


def test_a_day_that_the_calendar_refuses_costs_the_rows_that_need_it(
    new_mysql_warehouse: New,
) -> None:
    """Those that refer to the day are put aside, the others are there."""
    visit = Table("visit", key="id", columns={"id": Integer(), "day": Date()})
    warehouse = new_mysql_warehouse("SELECT, INSERT, UPDATE, CREATE TEMPORARY TABLES")
    scene = MysqlScene(warehouse, (history(visit),), managed=False)
    scene.declare(*scene.tables, calendar=Calendar("days"))
    names = "year int, month int, day int, day_of_week int, day_name text, month_name text"
    scene.query(
        f"CREATE TABLE days (date_id date PRIMARY KEY, {names}, quarter int, CHECK (day <> 12))",
        "CREATE TABLE visit (n int AUTO_INCREMENT PRIMARY KEY, id int, day date,"
        " FOREIGN KEY (day) REFERENCES days (date_id))",
    )
    types = {"id": pa.int32(), "day": pa.date32()}
    scene.batch(visit=rows_of(types, (1, 20_038), (2, 20_039), (3, 20_040)))  # from 11 November
    scene.load()
    assert scene.query("SELECT id FROM visit ORDER BY id") == [[1], [3]]
    assert sum(reasons(scene, "visit").values()) == 1
