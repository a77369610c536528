"""A batch can be fed through transform and load again, and history never runs backwards."""

from typing import Any

import pytest

from functions.common.errors import NoSuchBatch
from functions.extract import handler as extract_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected, records


def replay(functions: Functions, batch: int) -> dict[str, Any]:
    """Replay a batch and bring it to the warehouse; return what extract said."""
    context = Context("extract")
    said: dict[str, Any] = extract_handler.handler({"replay": batch}, context)
    functions.transform()
    functions.load()
    return said


def spoil(functions: Functions, sql: str) -> None:
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


def test_a_replay_mends_what_a_defect_of_the_code_had_spoiled(functions: Functions) -> None:
    """Rows that the warehouse has wrong are put right by the batch that brought them."""
    functions.run()
    spoil(functions, "UPDATE dim_staff SET department_name = 'nonsense'")
    spoil(functions, "UPDATE dim_counterparty SET counterparty_legal_city = 'nowhere'")
    spoil(functions, "UPDATE fact_payment SET paid = NOT paid")

    replay(functions, 1)

    assert current(functions.warehouse) == expected(functions.source)


def test_a_state_that_was_superseded_does_not_come_back(functions: Functions) -> None:
    """What later batches changed or deleted stays as they left it."""
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
        manifest = functions.document(functions.processed, "batches/0000000004.json")
        assert manifest["quarantine"] == {}

        source.run("UPDATE sales_order SET units_sold = 2 WHERE sales_order_id = 1")
        assert functions.run()["rows"] == {"sales_order": 1}


@pytest.mark.parametrize("batch", [0, 2, -1])
def test_a_batch_that_is_not_there_is_named(functions: Functions, batch: int) -> None:
    """Asking for a batch that does not exist changes nothing."""
    functions.run()
    objects = functions.objects()

    with pytest.raises(NoSuchBatch, match=f"there is no batch {batch}: the newest is 1"):
        replay(functions, batch)
    assert functions.objects() == objects
