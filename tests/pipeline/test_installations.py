"""The warehouse is prepared by others: its names are followed, and what it lacks is named."""

from collections.abc import Callable

import pytest

from functions.common.errors import WarehouseSetupError
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected
from tests.postgres_fixtures import Source, Warehouse

SetUp = Callable[[Source, Warehouse], Functions]


def alter(warehouse: Warehouse, sql: str) -> None:
    with connect(warehouse.superuser_url) as connection:
        connection.run(f'SET search_path = "{warehouse.schema}"')
        connection.run(sql)


def test_the_names_of_the_written_list_are_followed(functions: Functions) -> None:
    """fact_purchase_orders and fact_payment.last_updated are found under those names."""
    warehouse = functions.warehouse
    alter(warehouse, "ALTER TABLE fact_purchase_order RENAME TO fact_purchase_orders")
    alter(warehouse, "ALTER TABLE fact_payment RENAME last_updated_time TO last_updated")

    functions.run()

    alter(warehouse, "ALTER TABLE fact_purchase_orders RENAME TO fact_purchase_order")
    assert current(warehouse) == expected(functions.source)


def test_record_ids_and_columns_may_have_other_names_and_places(functions: Functions) -> None:
    """The column that the warehouse numbers is found by that, and the order of columns is free."""
    warehouse = functions.warehouse
    alter(warehouse, "ALTER TABLE fact_payment RENAME payment_record_id TO id")
    alter(warehouse, "ALTER TABLE dim_design DROP file_name, ADD file_name varchar NOT NULL")
    alter(warehouse, "ALTER TABLE dim_staff ADD note text")

    functions.run()
    functions.run()

    alter(warehouse, "ALTER TABLE fact_payment RENAME id TO payment_record_id")
    alter(warehouse, "ALTER TABLE dim_staff DROP note")
    assert current(warehouse) == expected(functions.source)


def test_a_schema_of_any_name_is_used(
    functions_on: SetUp, new_source: Callable[[], Source], new_warehouse: Callable[..., Warehouse]
) -> None:
    """The team's own schema is where the load goes, whatever it is called."""
    functions = functions_on(new_source(), new_warehouse("Team 7; --"))

    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_a_warehouse_without_keys_and_indexes_is_loaded_the_same(functions: Functions) -> None:
    """No unique index is relied on."""
    for table in ("fact_sales_order", "fact_purchase_order", "fact_payment"):
        alter(functions.warehouse, f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
    alter(functions.warehouse, "ALTER TABLE dim_design DROP CONSTRAINT dim_design_pkey CASCADE")

    functions.run()
    functions.run()

    assert current(functions.warehouse) == expected(functions.source)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DROP TABLE fact_payment", "table fact_payment is not in schema public"),
        ("ALTER TABLE dim_staff DROP location", "dim_staff has no column location"),
        ("ALTER TABLE fact_payment DROP payment_record_id", "no single serial or identity column"),
        (
            "REVOKE INSERT ON dim_date FROM warehouse_loader",
            "no right to INSERT on public.dim_date",
        ),
        ("REVOKE UPDATE ON dim_staff FROM warehouse_loader", "no right to UPDATE on public.dim_st"),
    ],
)
def test_what_the_warehouse_lacks_is_named(functions: Functions, sql: str, message: str) -> None:
    """The load stops with one sentence on what to ask for, and takes nothing half-way."""
    alter(functions.warehouse, sql)
    functions.extract()
    functions.transform()

    with pytest.raises(WarehouseSetupError, match=message):
        functions.load()


def test_a_row_that_breaks_a_rule_of_the_installation_waits_alone(functions: Functions) -> None:
    """The others of its batch go in, and it follows by itself once the rule is dropped."""
    functions.run()
    before = current(functions.warehouse)
    alter(
        functions.warehouse,
        "ALTER TABLE fact_payment ADD CONSTRAINT at_most_a_million"
        " CHECK (payment_amount < 1000000)",
    )
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE design SET file_name = 'new.json' WHERE design_id = 1")
        source.run("UPDATE payment SET payment_amount = 9999999 WHERE payment_id = 1")
    functions.extract()
    functions.transform()

    assert functions.load()["refused"] == {"fact_payment": 1}
    meanwhile = current(functions.warehouse)
    assert meanwhile["fact_payment"] == before["fact_payment"]
    assert meanwhile["dim_design"] == expected(functions.source)["dim_design"]

    alter(functions.warehouse, "ALTER TABLE fact_payment DROP CONSTRAINT at_most_a_million")
    functions.load()
    assert current(functions.warehouse) == expected(functions.source)
