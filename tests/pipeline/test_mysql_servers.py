"""Servers that name tables in lower case, or let no table be without a primary key."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from etl import Integer, Table, Text, View, history, latest, replace
from etl.mapping import Mapping
from functions.common.logs import MarkerLog
from functions.targets import Feed
from functions.targets.mysql.comparer import comparer
from local.mysql import MysqlServer
from tests.mysql_fixtures import mysql_installation, mysql_warehouse_on, own_mysql
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of

COLUMNS = {"Id": Integer(), "Word": Text(nullable=True)}
THING = Table("Thing", key="Id", columns=COLUMNS)
TYPES = {"Id": pa.int32(), "Word": pa.string()}
PREPARED = "SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"


@pytest.fixture(scope="module")
def strict() -> Iterator[MysqlServer]:
    """Run a server as on Windows and in many clouds."""
    key = "innodb-force" if mysql_installation().is_mariadb else "sql-require"
    with own_mysql({"lower-case-table-names": "1", f"{key}-primary-key": "ON"}) as server:
        yield server


@pytest.mark.parametrize("managed", [True, False])
def test_names_and_keys_may_be_as_the_server_wants_them(strict: MysqlServer, managed: bool) -> None:
    """Rows come in, change, are refused and deleted, in managed and in prepared tables."""
    warehouse = mysql_warehouse_on(strict, f"Stars {managed}", "ALL" if managed else PREPARED)
    tables = (latest(THING), history(THING, name="Past"), replace(THING, name="Equal"))
    scene = MysqlScene(warehouse, tables, managed=managed)
    if managed:
        scene.declare(*tables, views=(View("Shown", "SELECT Id FROM Thing"),))
    else:
        for table, number in (("Thing", ""), ("Past", "N int AUTO_INCREMENT, "), ("Equal", "")):
            key = "PRIMARY KEY (N)" if number else "PRIMARY KEY (Id)"
            scene.query(f"CREATE TABLE {table} ({number}Id int, Word varchar(9), {key})")
    for word in ("a", "a", "A" if managed else "much too long"):
        scene.batch(
            Thing=rows_of(TYPES, (1, word), (2, "x")),
            Past=rows_of(TYPES, (1, word), (2, "x")),
            Equal=Rows([rows_of(TYPES, (1, word), (2, "x"))], snapshot=True),
        )
        scene.load()
        scene.forget_last_marker()
        scene.load()
    changed = "A" if managed else "a"
    assert scene.query("SELECT Id, Word FROM Thing ORDER BY 1") == [[1, changed], [2, "x"]]
    assert len(scene.query("SELECT * FROM Past")) == (3 if managed else 2)
    assert scene.query("SELECT Id, Word FROM Equal ORDER BY 1")[-1] == [2, "x"]
    mapping = Mapping(tables[0], THING, ())
    feed = Feed((mapping,), scene.log, MarkerLog(scene.bucket, "source"))
    wanted = rows_of(TYPES, (1, changed), (3, "x"))
    with comparer(scene.place, feed, 600) as target:
        with target.disagreements(mapping, [wanted], []) as found:
            counted = found.counted()
        assert (counted.source, counted.missing, counted.extra, counted.different) == (2, 1, 1, 0)
    scene.batch(Past=Rows(gone=rows_of({"Id": pa.int32()}, (2,))))
    scene.load()
    if managed:
        assert scene.query("SELECT Id FROM current_Past") == [[1]]
        assert scene.query("SELECT Id FROM Shown ORDER BY 1") == [[1], [2]]
