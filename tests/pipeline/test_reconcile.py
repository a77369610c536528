"""Reconcile tells, by table and key, where source and warehouse disagree, and only there."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.reconcile import handler as reconcile_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions, invoke
from tests.pipeline.oracle import expected
from tests.postgres_fixtures import Source, Warehouse


@pytest.fixture(autouse=True)
def _fresh_clients() -> None:
    reconcile_handler._sides.cache_clear()


def reconcile() -> dict[str, Any]:
    return invoke(reconcile_handler.handler, Context("reconcile"))


def counts(table: dict[str, Any]) -> dict[str, Any]:
    """Return what is not nought in a table's report."""
    return {name: value for name, value in table.items() if value}


def test_after_a_run_everything_agrees(functions: Functions) -> None:
    """Each table has as many rows as the source makes, and no difference."""
    functions.run()

    report = reconcile()

    star = expected(functions.source)
    assert report["agrees"] is True
    assert {name: counts(table) for name, table in report["tables"].items()} == {
        name: {"source": len(star[name]), "warehouse": len(star[name])} for name in report["tables"]
    }


def test_each_kind_of_difference_is_counted_with_its_keys(functions: Functions) -> None:
    """Missing, different, extra, deleted and quarantined rows are told apart."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("DELETE FROM payment WHERE payment_id = 9")
        functions.run()
        source.run("UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 5")
        source.run("UPDATE design SET file_name = 'other.json' WHERE design_id = 3")
        source.run("INSERT INTO currency VALUES (7, 'JPY', now(), now())")
    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run("INSERT INTO dim_payment_type VALUES (77, 'BARTER')")

    report = reconcile()
    tables = report["tables"]

    assert report["agrees"] is False
    assert (tables["fact_payment"]["deleted"], tables["fact_payment"]["extra"]) == (1, 0)
    assert tables["fact_payment"]["quarantined"] == tables["fact_payment"]["different"] == 1
    assert tables["fact_payment"]["examples"] == {"different": [5]}
    assert tables["dim_design"]["examples"] == {"different": [3]}
    assert tables["dim_currency"]["examples"] == {"missing": [7]}
    assert tables["dim_payment_type"]["examples"] == {"extra": [77]}
    assert {name for name, table in tables.items() if table["examples"]} == {
        "fact_payment",
        "dim_design",
        "dim_currency",
        "dim_payment_type",
    }


def test_an_older_record_of_a_fact_is_no_difference_and_a_newer_one_is(
    functions: Functions,
) -> None:
    """Only the newest record of an order is its state."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE sales_order SET units_sold = 1 WHERE sales_order_id = 2")
    functions.run()
    assert reconcile()["agrees"] is True

    with connect(functions.warehouse.superuser_url) as warehouse:
        warehouse.run("UPDATE fact_sales_order SET units_sold = 2 WHERE sales_record_id ="
                      " (SELECT max(sales_record_id) FROM fact_sales_order)")  # fmt: skip
    assert reconcile()["tables"]["fact_sales_order"]["examples"] == {"different": [2]}


def test_empty_sides_agree_and_an_unreadable_table_does_not(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[..., Source],
    new_warehouse: Callable[[], Warehouse],
) -> None:
    """Nothing agrees with nothing; a table that the star cannot be made from is named."""
    functions = functions_on(new_source(0), new_warehouse())
    assert reconcile()["agrees"] is True

    with connect(functions.source.superuser_url) as source:
        source.run("ALTER TABLE design RENAME file_name TO file")

    report = reconcile()
    assert report["agrees"] is False
    assert report["tables"]["dim_design"]["error"] == (
        "table design: column file_name is gone: was it dropped or renamed?"
    )
