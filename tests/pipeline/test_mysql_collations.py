"""Tables that others created in MySQL, with collations that take different texts for the same."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from etl import Integer, Table, Text, history
from local.mysql import run_sql
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

COLUMNS = {"id": Integer(), "word": Text()}
PAST = Table("past", key="word", columns=COLUMNS)
TYPES = {"id": pa.int32(), "word": pa.string()}
GONE = {"word": pa.string()}

MINE = """CREATE TABLE past (n bigint AUTO_INCREMENT PRIMARY KEY, id int NOT NULL,
    word varchar(255) NOT NULL, KEY (word, n))"""
DELETED = """CREATE TABLE deleted_rows (table_name varchar(64) NOT NULL,
    business_id varchar(255) NOT NULL, seen_gone_at datetime(6) NOT NULL, batch bigint NOT NULL,
    seen_again_at datetime(6))"""


@pytest.mark.parametrize(
    "collation", ["utf8mb4_bin", "utf8mb4_unicode_ci", "latin1_bin", "latin1_swedish_ci"]
)
def test_deleted_rows_are_known_by_their_bytes(
    collation: str, new_mysql_warehouse: Callable[..., Warehouse]
) -> None:
    """The deletion of one key hides no other, is recorded once, and ends when the key is back."""
    scene = MysqlScene(new_mysql_warehouse(), (history(PAST),))
    home = f"CHARACTER SET {collation.partition('_')[0]} COLLATE {collation}"
    run_sql(scene.warehouse.superuser_url, f"{MINE} {home}", f"{DELETED} {home}")

    def loaded(rows: Rows) -> list[tuple[object, ...]]:
        scene.batch(past=rows)
        scene.load()
        scene.forget_last_marker()
        scene.load()
        return sorted(map(tuple, scene.query("SELECT id, word FROM current_past")))

    first = rows_of(TYPES, (1, "a"), (2, "A"), (3, "é "), (4, "é"))
    assert len(loaded(Rows([first]))) == 4
    gone = rows_of(GONE, ("a",), ("é ",))
    assert loaded(Rows(gone=gone)) == [(2, "A"), (4, "é")]
    again = rows_of(TYPES, (5, "a"), (6, "é "))
    assert loaded(Rows([again])) == [(2, "A"), (4, "é"), (5, "a"), (6, "é ")]
    known = scene.query("SELECT business_id, seen_again_at IS NULL FROM deleted_rows ORDER BY 1")
    assert known == [["a", 0], ["é ", 0]]
