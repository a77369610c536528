"""How many rows tables have: counted where they are few, by statistics where they are many."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from etl import Calendar, Integer, Table, history, latest
from etl.statements import parsed
from functions.targets.postgres import counts
from functions.targets.reading import Count, Query, reading
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

ITEM = Table("item", key="id", columns={"id": Integer()})
SALE = Table("sale", key="id", columns={"id": Integer()})
items, sales = latest(ITEM), history(SALE, name="fact_sale", other_names=("sales",))
IDS = {"id": pa.int32()}


@pytest.fixture
def scene(new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    """A warehouse with three items and 200 sales."""
    scene = Scene(new_managed_warehouse(), (items, sales))
    scene.declare(items, sales, calendar=Calendar("days"))
    three = rows_of(IDS, *((number,) for number in range(3)))
    many = rows_of(IDS, *((number,) for number in range(200)))
    scene.batch(item=three, fact_sale=many)
    scene.load()
    return scene


def counted(scene: Scene) -> dict[str, Count]:
    with reading(scene.target).reader(scene.place, 20) as reader, reader.snapshot() as snapshot:
        return dict(snapshot.counts())


def test_few_rows_are_counted(scene: Scene) -> None:
    """Tables go by their declared names, the calendar among them."""
    scene.query("ALTER TABLE fact_sale RENAME TO sales")

    assert counted(scene) == {
        "item": Count(3, is_exact=True),
        "fact_sale": Count(200, is_exact=True),
        "days": Count(0, is_exact=True),
    }


def test_many_rows_are_estimated_and_never_all_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table with more rows than are counted, the server's own statistics are shown."""
    monkeypatch.setattr(counts, "COUNTED_UP_TO", 100)
    scene.query("ANALYZE fact_sale; SELECT pg_stat_force_next_flush()")

    found = counted(scene)

    assert found["fact_sale"] == Count(200, is_exact=False)
    assert found["item"] == Count(3, is_exact=True)


def test_without_statistics_a_table_has_more_than_were_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reset there may be none: the least that is known is shown."""
    monkeypatch.setattr(counts, "COUNTED_UP_TO", 100)
    scene.query("UPDATE pg_class SET reltuples = -1 WHERE relname = 'fact_sale'")
    scene.query("SELECT pg_stat_reset_single_table_counters('fact_sale'::regclass)")

    assert counted(scene)["fact_sale"] == Count(101, is_exact=False)


def test_a_table_that_may_not_be_read_is_left_out(scene: Scene) -> None:
    """A role that sees one table alone gets the count of that one."""
    scene.query("CREATE ROLE counting LOGIN PASSWORD 'counting'")
    try:
        scene.query(f'GRANT CONNECT ON DATABASE "{scene.warehouse.database}" TO counting')
        scene.query(f'GRANT USAGE ON SCHEMA "{scene.warehouse.schema}" TO counting')
        scene.query("GRANT SELECT ON item TO counting")
        url = scene.warehouse.superuser_url.partition("@")[2]
        theirs = Warehouse("", scene.warehouse.schema, f"postgresql://counting:counting@{url}", "")
        looking = Scene(theirs, (items, sales))

        assert counted(looking) == {"item": Count(3, is_exact=True)}
    finally:
        scene.query("DROP OWNED BY counting; DROP ROLE counting")


def test_a_history_has_its_record_id_under_one_name(scene: Scene) -> None:
    """SQL orders the records of a history whatever the warehouse calls the column."""
    scene.query("ALTER TABLE fact_sale RENAME fact_sale_record_id TO number")
    with reading(scene.target).reader(scene.place, 20) as reader, reader.snapshot() as snapshot:
        found = snapshot.rows(Query(parsed("SELECT max(record_id) AS newest FROM fact_sale")))

    assert found.rows == [[200]]
