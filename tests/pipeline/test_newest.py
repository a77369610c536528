"""The comparison of load with the newest records, for any type of the warehouse and any id."""

import pytest

from functions.common import parquet
from functions.common.parquet import PartWriter
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected, history, records
from tests.pipeline.test_load import replay

# One that holds more than ours, one that holds less, and one that gives back something else.
TYPES = {
    "unit_price": "numeric(14,4)",
    "last_updated_time": "time(0)",
    "units_sold": "bigint",
}


def shift(functions: Functions, sql: str) -> None:
    with connect(functions.source.superuser_url) as shop:
        shop.run("SET session_replication_role = replica")
        shop.run(sql)


@pytest.mark.parametrize("column", TYPES)
def test_columns_of_other_types_make_no_record_twice(functions: Functions, column: str) -> None:
    """Where the warehouse keeps a value in its own way, a batch that comes again adds nothing."""
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run(f"ALTER TABLE fact_sales_order ALTER {column} TYPE {TYPES[column]}")
    functions.run()
    before = records(functions.warehouse)

    replay(functions, 1)
    assert records(functions.warehouse) == before

    shift(functions, "UPDATE sales_order SET units_sold = 77 WHERE sales_order_id = 3")
    functions.run()
    assert [row[7] for row in history(functions.warehouse, "fact_sales_order", 3)][1:] == [77]


def test_ids_far_apart_are_found(functions: Functions) -> None:
    """A batch of a few rows at both ends of the range is compared with those few alone."""
    shift(functions, "UPDATE sales_order SET sales_order_id = 2147483647 WHERE sales_order_id = 7")
    functions.run()
    before = records(functions.warehouse)["fact_sales_order"]

    ids = "(1, 2, 2147483647)"
    shift(functions, f"UPDATE sales_order SET units_sold = 1 WHERE sales_order_id IN {ids}")
    functions.run()
    shift(functions, "UPDATE sales_order SET units_sold = 2 WHERE sales_order_id IN (1, 2)")
    functions.run()
    replay(functions, 3)

    assert records(functions.warehouse)["fact_sales_order"] == before + 5
    assert current(functions.warehouse) == expected(functions.source)


def test_a_state_that_comes_back_is_a_new_record(functions: Functions) -> None:
    """A fact is compared with its newest record, not with any: A, B, A are three."""
    functions.run()
    [[*first]] = history(functions.warehouse, "fact_sales_order", 5)
    for units in ("units_sold + 1", "units_sold - 1"):
        shift(functions, f"UPDATE sales_order SET units_sold = {units} WHERE sales_order_id = 5")
        functions.run()
    shift(functions, "UPDATE sales_order SET units_sold = units_sold")  # every id, in one batch
    functions.run()

    states = history(functions.warehouse, "fact_sales_order", 5)
    assert len(states) == 3
    assert states[0] == states[2] == first


def test_a_batch_of_many_parts_is_loaded_as_one(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part knows the rows of the parts before, and the rows that were there before them."""
    monkeypatch.setattr(PartWriter.__init__, "__defaults__", (20,))
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 20)
    functions.run()
    parts = [key for key in functions.keys(functions.processed) if key.startswith("fact_payment/")]
    assert len(parts) > 10
    assert current(functions.warehouse) == expected(functions.source)

    before = records(functions.warehouse)
    replay(functions, 1)
    assert records(functions.warehouse) == before

    # In the order of the table the ids now go up, down and up again.
    shift(functions, "UPDATE payment SET paid = NOT paid WHERE payment_id % 3 = 0")
    shift(functions, "UPDATE payment SET paid = NOT paid WHERE payment_id % 3 = 1")
    functions.run()
    replay(functions, 2)
    assert current(functions.warehouse) == expected(functions.source)
    third = before["fact_payment"] // 3
    added = records(functions.warehouse)["fact_payment"] - before["fact_payment"]
    assert 2 * third <= added <= 2 * third + 2
