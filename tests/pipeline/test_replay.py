"""A batch can be fed through transform and load again, and history never runs backwards."""

import io
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from etl import Column, Numeric
from functions.common.errors import OutdatedBatchError, UnknownBatchError
from functions.extract import handler as extract_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected, records
from tests.totesys import TABLES


def replay(functions: Functions, batch: int) -> dict[str, Any]:
    """Replay a batch and load it into the warehouse; return the result of extract."""
    context = Context("extract")
    said: dict[str, Any] = extract_handler.handler({"replay": batch}, context)
    functions.transform()
    functions.load()
    return said


def column(functions: Functions, files: list[dict[str, Any]], name: str) -> set[int]:
    """Return the values of a column in data objects of the ingestion bucket."""
    bodies = [functions.body(functions.ingestion, file["key"]) for file in files]
    tables = [pq.read_table(io.BytesIO(body), columns=[name]) for body in bodies]
    return {value for table in tables for value in table[name].to_pylist()}


def damage(functions: Functions, sql: str) -> None:
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run(sql)


def test_a_replay_of_good_rows_changes_nothing(functions: Functions) -> None:
    """Every row of the batch goes through again, and the warehouse has it already."""
    functions.run()
    before = records(functions.warehouse)

    said = replay(functions, 1)

    assert said["batch"] == 2
    assert said["rows"]["sales_order"] == before["fact_sales_order"]
    assert records(functions.warehouse) == before
    assert functions.run()["batch"] is None


def test_a_replay_repairs_what_a_defect_of_the_code_had_damaged(functions: Functions) -> None:
    """Rows that are wrong in the warehouse are corrected by the batch that they came with."""
    functions.run()
    damage(functions, "UPDATE dim_staff SET department_name = 'nonsense'")
    damage(functions, "UPDATE dim_counterparty SET counterparty_legal_city = 'nowhere'")
    damage(functions, "UPDATE fact_payment SET paid = NOT paid")

    replay(functions, 1)

    assert current(functions.warehouse) == expected(functions.source)


def test_a_state_that_was_superseded_does_not_come_back(functions: Functions) -> None:
    """Rows that later batches changed or deleted stay as they left them."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE sales_order SET units_sold = 1 WHERE sales_order_id = 1")
        source.run("UPDATE department SET department_name = 'Renamed' WHERE department_id = 1")
        source.run("UPDATE staff SET first_name = 'Ada' WHERE staff_id = 1")
        source.run("UPDATE address SET city = 'Moved' WHERE address_id = 2")
        functions.run()
        source.run("DELETE FROM payment WHERE payment_id = 3")
        functions.run()
        star, history = current(functions.warehouse), records(functions.warehouse)

        said = replay(functions, 1)

        assert said["rows"]["sales_order"] == history["fact_sales_order"] - 2
        assert (current(functions.warehouse), records(functions.warehouse)) == (star, history)
        manifest = functions.document(functions.processed, "batches/source/0000000004.json")
        assert manifest["quarantine"] == {}

        source.run("UPDATE sales_order SET units_sold = 2 WHERE sales_order_id = 1")
        assert functions.run()["rows"] == {"sales_order": 1}


def test_a_parent_that_came_later_is_not_waited_for_again(functions: Functions) -> None:
    """Facts on a design that the warehouse has by now go through, then and afterwards."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("SET session_replication_role = replica")
        source.run("UPDATE sales_order SET design_id = 999 WHERE sales_order_id = 1")
        functions.run()
        source.run("INSERT INTO design VALUES (999, now(), 'Late', '/usr', 'late.json', now())")
        functions.run()

        replay(functions, 2)
        source.run("UPDATE sales_order SET design_id = 999 WHERE sales_order_id = 2")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    for batch in (4, 5):
        manifest = functions.document(functions.processed, f"batches/source/{batch:010d}.json")
        assert (manifest["quarantine"], manifest["absent"]) == ({}, {})


def test_a_deleted_parent_of_a_current_child_does_not_come_back(functions: Functions) -> None:
    """An address that was deleted stays deleted, also where a counterparty still names it."""
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE counterparty SET legal_address_id = 2 WHERE counterparty_id = 1")
        functions.run()
        source.run("SET session_replication_role = replica")
        source.run("DELETE FROM address WHERE address_id = 2")
        functions.run()
    replay(functions, 1)

    manifest = functions.document(functions.ingestion, "batches/source/0000000003.json")
    assert 2 not in column(functions, manifest["tables"]["address"]["files"], "address_id")
    manifest = functions.document(functions.processed, "batches/source/0000000003.json")
    assert (set(manifest["quarantine"]), manifest["absent"]) == ({"counterparty"}, {})


def test_a_parent_comes_with_its_child_as_it_is_now(functions: Functions) -> None:
    """An address that moved while its counterparties were closed to us does not move back."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("REVOKE SELECT ON counterparty FROM source_reader")
        source.run("UPDATE address SET city = 'Moved'")
        functions.run()

        replay(functions, 1)

        assert (
            current(functions.warehouse)["dim_location"]
            == expected(functions.source)["dim_location"]
        )
        assert {row[5] for row in current(functions.warehouse)["dim_counterparty"]} == {"Moved"}


def test_a_batch_may_be_replayed_twice_and_so_may_its_replay(functions: Functions) -> None:
    """A second fix of the code reaches the warehouse just as the first did."""
    functions.run()
    orders = {replay(functions, batch)["rows"]["sales_order"] for batch in (1, 1, 2)}

    assert len(orders) == 1
    damage(functions, "UPDATE dim_staff SET department_name = 'nonsense'")
    damage(functions, "UPDATE fact_payment SET paid = NOT paid")
    replay(functions, 1)
    assert current(functions.warehouse) == expected(functions.source)


def test_a_batch_of_tables_that_have_changed_since_comes_again(functions: Functions) -> None:
    """Types that were widened, a table that stopped and one that is gone harm no replay."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE address SET city = 'Moved' WHERE address_id = 2")
        functions.run()
        source.run("REVOKE SELECT ON counterparty FROM source_reader")
        source.run("ALTER TABLE address ALTER COLUMN address_id TYPE bigint")
        source.run("UPDATE address SET city = 'Further' WHERE address_id = 2")
        source.run("ALTER TABLE payment ALTER COLUMN payment_amount TYPE numeric(14,4)")
        source.run("ALTER TABLE design RENAME TO put_away")
        functions.run()
        functions.run()
        source.run("GRANT SELECT ON counterparty TO source_reader")
        before = current(functions.warehouse)

        replay(functions, 1)
        star = current(functions.warehouse)
        assert {name: rows for name, rows in star.items() if name != "dim_counterparty"} == {
            name: rows for name, rows in before.items() if name != "dim_counterparty"
        }

        source.run("ALTER TABLE put_away RENAME TO design")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_a_batch_without_a_column_that_is_declared_today_is_refused(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of an earlier declaration are named at once, and never stop transform."""
    functions.run()
    objects = functions.objects()
    columns = cast("dict[str, Column]", TABLES["design"].columns)
    monkeypatch.setitem(columns, "weight", Numeric())

    message = "batch 1 cannot be replayed: its rows of design have no column weight of type Numeric"
    with pytest.raises(OutdatedBatchError, match=message):
        replay(functions, 1)
    assert [key for key in functions.objects() if "batches/source/" in key] == [
        key for key in objects if "batches/source/" in key
    ]


@pytest.mark.parametrize("batch", [0, 2, -1])
def test_a_batch_that_is_not_there_is_named(functions: Functions, batch: int) -> None:
    """Asking for a batch that does not exist changes nothing."""
    functions.run()
    objects = functions.objects()

    with pytest.raises(UnknownBatchError, match=f"there is no batch {batch}: the newest is 1"):
        replay(functions, batch)
    assert functions.objects() == objects
