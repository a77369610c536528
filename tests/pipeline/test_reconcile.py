"""Reconcile reports, by table and key, where source and warehouse disagree, and only there."""

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.errors import CorruptLogError
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import expected
from tests.pipeline.reconciling import (
    counts,
    disagreements,
    fresh_clients,
    in_source,
    in_warehouse,
    reconcile,
)
from tests.postgres_fixtures import Source, Warehouse

__all__ = ["fresh_clients"]


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
    """Missing, different, extra, deleted and quarantined rows are distinguished."""
    functions.run()
    in_source(
        functions,
        "DELETE FROM payment WHERE payment_id = 9",
        "UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 5",
    )
    functions.run()
    in_warehouse(
        functions,
        "UPDATE dim_design SET file_name = 'other.json' WHERE design_id = 3",
        "DELETE FROM dim_currency WHERE currency_id = 2",
        "INSERT INTO dim_payment_type VALUES (77, 'BARTER')",
    )

    report = reconcile()
    tables = report["tables"]

    assert report["agrees"] is False
    assert disagreements(report) == {
        "fact_payment": {"different": 1, "deleted": 1, "quarantined": 1},
        "dim_design": {"different": 1},
        "dim_currency": {"missing": 1},
        "dim_payment_type": {"extra": 1},
    }
    assert {name: table["examples"] for name, table in tables.items() if table["examples"]} == {
        "fact_payment": {"different": [5]},
        "dim_design": {"different": [3]},
        "dim_currency": {"missing": [2]},
        "dim_payment_type": {"extra": [77]},
    }
    assert (tables["dim_currency"]["source"], tables["dim_currency"]["warehouse"]) == (3, 2)
    assert (tables["dim_payment_type"]["source"], tables["dim_payment_type"]["warehouse"]) == (4, 5)
    assert "in quarantine: 1 " in tables["fact_payment"]["note"]


def test_a_row_too_many_is_disagreement_enough(functions: Functions) -> None:
    """A row that the source never had ends the agreement by itself."""
    functions.run()
    in_warehouse(functions, "INSERT INTO dim_payment_type VALUES (77, 'BARTER')")

    report = reconcile()

    assert (report["agrees"], disagreements(report)) == (False, {"dim_payment_type": {"extra": 1}})


def test_null_is_not_equal_to_a_value(functions: Functions) -> None:
    """A value that became NULL is a difference, and so is a NULL that became a value."""
    in_source(
        functions,
        "UPDATE address SET district = NULL WHERE address_id = 1",
        "UPDATE address SET district = 'Avon' WHERE address_id = 2",
    )
    functions.run()
    in_warehouse(
        functions,
        "UPDATE dim_location SET district = 'Avon' WHERE location_id = 1",
        "UPDATE dim_location SET district = NULL WHERE location_id = 2",
    )

    assert disagreements(reconcile()) == {"dim_location": {"different": 2}}


def test_a_row_that_came_back_counts_as_deleted_no_longer(functions: Functions) -> None:
    """A row that was deleted and inserted again is compared like any other."""
    functions.run()
    in_source(
        functions,
        "CREATE TABLE kept AS SELECT * FROM payment WHERE payment_id IN (8, 9)",
        "DELETE FROM payment WHERE payment_id IN (7, 8, 9)",
    )
    functions.run()
    assert disagreements(reconcile()) == {"fact_payment": {"deleted": 3}}
    in_source(functions, "INSERT INTO payment SELECT * FROM kept", "DROP TABLE kept")
    functions.run()
    assert disagreements(reconcile()) == {"fact_payment": {"deleted": 1}}
    in_warehouse(
        functions,
        "UPDATE fact_payment SET paid = NOT paid WHERE payment_id = 8",
        "DELETE FROM fact_payment WHERE payment_id = 9",
    )

    assert disagreements(reconcile()) == {
        "fact_payment": {"different": 1, "missing": 1, "deleted": 1}
    }


def test_only_tombstones_that_a_manifest_names_are_believed(functions: Functions) -> None:
    """An object that somebody put beside the tombstones explains no row that is too many."""
    functions.run()
    in_source(functions, "DELETE FROM payment WHERE payment_id = 9")
    functions.run()
    in_warehouse(functions, "INSERT INTO dim_payment_type VALUES (77, 'BARTER')")
    for name in ("0000000001-0001", "0000000002-0009", "9999999999-0001"):
        put_tombstone(functions, f"tombstones/dim_payment_type/2026-01-01/{name}.parquet", 77)

    assert disagreements(reconcile()) == {
        "fact_payment": {"deleted": 1},
        "dim_payment_type": {"extra": 1},
    }


def test_a_tombstone_that_was_exchanged_ends_the_comparison(functions: Functions) -> None:
    """An object has the digest that its manifest says, or nothing is compared."""
    functions.run()
    in_source(functions, "DELETE FROM payment WHERE payment_id = 9")
    functions.run()
    [key] = functions.keys(functions.processed, "tombstones/fact_payment/")
    put_tombstone(functions, key, 9, "payment_id")

    with pytest.raises(CorruptLogError, match="it is not what was written there"):
        reconcile()


def put_tombstone(
    functions: Functions, key: str, deleted: int, column: str = "payment_type_id"
) -> None:
    """Put an object of the form of tombstones into the processed bucket."""
    sink = io.BytesIO()
    pq.write_table(pa.table({column: [deleted]}), sink)
    functions.s3.put_object(Bucket=functions.processed, Key=key, Body=sink.getvalue())


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
