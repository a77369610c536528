"""Servers, names and values that mean ill, or were set up by somebody with other ideas."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from etl import Integer, Point, Table, Text, View, history, latest
from functions.common.errors import PipelineCodeError, WarehouseSetupError
from functions.common.mysql import quoted
from local.mysql import MysqlServer
from tests.mysql_fixtures import mysql_installation, mysql_warehouse_on, own_mysql
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import rows_of
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)
TYPES = {"id": pa.int32(), "word": pa.string()}

# What a server may be set to for all sessions.
HOSTILE = {
    "sql-mode": "ANSI_QUOTES,PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION",
    "character-set-server": "latin1",
    "collation-server": "latin1_swedish_ci",
    "default-time-zone": "-11:00",
    "default-storage-engine": "MyISAM",
    "transaction-isolation": "SERIALIZABLE",
    "autocommit": "0",
    "completion-type": "RELEASE",
    "init-connect": "SET SESSION sql_select_limit = 1, sql_safe_updates = 1",
    "max-error-count": "0",
    "lower-case-table-names": "0",
    "auto-increment-increment": "3",
}

GTIDS = {"gtid-mode": "ON", "enforce-gtid-consistency": "ON"}  # refuse what cannot be replicated


@pytest.fixture(scope="module")
def hostile() -> Iterator[MysqlServer]:
    """Run a server whose defaults are other ones than anybody expects."""
    gtids = {} if mysql_installation().is_mariadb else GTIDS
    with own_mysql(HOSTILE | gtids) as server:
        yield server


def test_what_a_server_is_set_to_changes_no_value(hostile: MysqlServer) -> None:
    """Texts, moments, quotes and transactions mean the same whatever its defaults are."""
    tables = (latest(THING), history(THING, name="past"))
    scene = MysqlScene(mysql_warehouse_on(hostile, "hostile"), tables)
    words = ["it's", 'a"b', "a||b", "\\'", "€𝄞", "A", "a", None]
    for shift in (0, 0, 1):
        found = words[shift:] + words[:shift]
        scene.batch(**dict.fromkeys(("thing", "past"), rows_of(TYPES, *enumerate(found))))
        scene.load()
        scene.forget_last_marker()
        scene.load()

    mode = "SET sql_mode = '', autocommit = 1"
    assert [word for [word] in scene.query(mode, "SELECT word FROM thing ORDER BY id")] == found
    past = "SELECT word FROM past ORDER BY past_record_id"
    assert [word for [word] in scene.query(mode, past)] == [*words, *found]
    current = "SELECT word FROM current_past ORDER BY id"
    assert [word for [word] in scene.query(mode, current)] == found
    assert not scene.markers[-1].refused


NAMES = ["a`b", "it's", 'q"uote', "100 %s %(x)s", "na me", "señal 𝟙"[:5], "x" * 64, "select"]


def test_names_are_names_whatever_is_in_them(new_mysql_warehouse: New) -> None:
    """Tables and columns with quotes, blanks, percent signs, and as long as MySQL lets them be."""
    tables = tuple(
        way(Table(name, key=f"k{name}"[:64], columns={f"k{name}"[:64]: Integer(), name: Text()}))
        for way, name in zip([latest, history] * 4, NAMES, strict=True)
    )
    scene = MysqlScene(new_mysql_warehouse(), tables)
    for value in ("a", "b"):
        scene.batch(
            **{
                table.id: rows_of({table.key[0]: pa.int32(), table.name: pa.string()}, (1, value))
                for table in tables
            }
        )
    scene.load()
    scene.forget_last_marker()
    scene.load()
    for table in tables:
        found = scene.query(f"SELECT {quoted(table.name)} FROM {quoted(table.name)} ORDER BY 1")
        assert found == ([["b"]] if table.way == "latest" else [["a"], ["b"]])


def test_a_table_may_have_a_thousand_columns(new_mysql_warehouse: New) -> None:
    """Rows of it come in, change, and are refused one by one."""
    names = [f"c{n}" for n in range(999)]
    columns = {"id": Integer(), **dict.fromkeys(names, Integer(nullable=True))}
    scene = MysqlScene(new_mysql_warehouse(), (latest(Table("wide", key="id", columns=columns)),))
    types = dict.fromkeys(columns, pa.int32())
    for shift in (0, 1):
        found = ((n, *range(n + shift, 999 + n + shift)) for n in range(50))
        scene.batch(wide=rows_of(types, *found))
    scene.load()
    scene.query("ALTER TABLE wide ADD CHECK (c0 <> 0)")
    scene.batch(wide=rows_of(types, *((n, *range(n, 999 + n)) for n in range(50))))
    scene.load()
    assert scene.query("SELECT c0, c998 FROM wide WHERE id IN (0, 7)") == [[1, 999], [7, 1005]]
    assert scene.markers[1].rows["wide"].updated == 50


def test_tables_may_be_in_several_databases(new_mysql_warehouse: New) -> None:
    """One that names a schema is in that database, which has to be there, or may be created."""
    other = new_mysql_warehouse()
    warehouse = new_mysql_warehouse()
    tables = (latest(THING), latest(THING, name="thing2", schema=other.schema))
    scene = MysqlScene(warehouse, tables)
    with pytest.raises(WarehouseSetupError, match="this account may not create"):
        scene.load()
    [[user]] = scene.query(
        "SELECT DISTINCT GRANTEE FROM information_schema.SCHEMA_PRIVILEGES WHERE"
        f" TABLE_SCHEMA = '{warehouse.schema}'"
    )
    scene.query(f"GRANT ALL ON {quoted(other.schema)}.* TO {user}")
    scene.batch(thing=rows_of(TYPES, (1, "a")), thing2=rows_of(TYPES, (2, "b")))
    scene.load()
    assert scene.query("SELECT id, word FROM thing") == [[1, "a"]]
    assert scene.query(f"SELECT id, word FROM {quoted(other.schema)}.thing2") == [[2, "b"]]


def test_declared_views_are_made_and_kept(new_mysql_warehouse: New) -> None:
    """One is made again when its SELECT changes; another's view of that name is left alone."""
    scene = MysqlScene(new_mysql_warehouse(), (latest(THING),))
    scene.declare(*scene.tables, views=(View("shown", "SELECT id FROM thing WHERE word <> '%'"),))
    scene.batch(thing=rows_of(TYPES, (1, "a"), (2, "%")))
    scene.load()
    created = "SELECT CREATE_TIME FROM information_schema.TABLES WHERE TABLE_NAME = 'shown'"
    first = scene.query("SELECT id FROM shown"), scene.query(created)
    scene.load()
    assert (scene.query("SELECT id FROM shown"), scene.query(created)) == first
    assert first[0] == [[1]]

    scene.declare(*scene.tables, views=(View("shown", "SELECT id, word FROM thing"),))
    scene.load()
    assert scene.query("SELECT * FROM shown ORDER BY id") == [[1, "a"], [2, "%"]]
    scene.declare(*scene.tables, views=(View("shown", "SELECT nothing FROM thing"),))
    with pytest.raises(PipelineCodeError, match="view shown: Unknown column 'nothing'"):
        scene.load()
    for sql in ("SELECT nothing FROM thing", "SELECT 1 FROM nowhere", "SELECT DISTINCT ON (1) 1"):
        scene.declare(*scene.tables, views=(View("left_out", sql, optional=True),))
        scene.load()
    scene.declare(*scene.tables, views=(View("shown", "SELECT nothing FROM thing"),))
    scene.query("CREATE OR REPLACE VIEW shown AS SELECT 1 AS mine")
    with pytest.raises(WarehouseSetupError, match="is not the view that load keeps there"):
        scene.load()


def test_columns_that_were_declared_since_are_added(new_mysql_warehouse: New) -> None:
    """They are NULL until their rows come again; what differs otherwise is one clear line."""
    scene = MysqlScene(new_mysql_warehouse(), (latest(THING),))
    scene.batch(thing=rows_of(TYPES, (1, "a"), (2, "b")))
    scene.load()
    scene.declare(latest(Table("thing", key="id", columns={**COLUMNS, "at": Point(nullable=True)})))
    scene.batch(thing=rows_of({**TYPES, "at": pa.string()}, (2, "b", "(1,2)")))
    scene.load()
    assert scene.query("SELECT id, ST_AsText(at) FROM thing") == [[1, None], [2, "POINT(1 2)"]]
    scene.query("ALTER TABLE thing MODIFY word varchar(9)")
    with pytest.raises(
        WarehouseSetupError, match=r"is varchar\(9\) and declared as longtext: ALTER"
    ):
        scene.load()
