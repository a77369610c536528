"""A row that cannot be in the warehouse waits in quarantine, and harms no other."""

import io
from datetime import date
from typing import Any

import pyarrow.parquet as pq

from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.oracle import current, expected


def quarantined(functions: Functions, table: str, batch: int) -> dict[int, str]:
    """Return the open rows of a table after a batch: key and reason."""
    manifest = functions.document(functions.processed, f"batches/source/{batch:010d}.json")
    body = functions.body(functions.processed, manifest["quarantine"][table]["file"])
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(body)).to_pylist()
    return {row[f"{table}_id"]: row["_reason"] for row in rows}


def open_rows(functions: Functions, batch: int) -> dict[str, int]:
    """Return how many rows of each table are open after a batch."""
    manifest = functions.document(functions.processed, f"batches/source/{batch:010d}.json")
    return {table: entry["rows"] for table, entry in manifest["quarantine"].items()}


def without(star: dict[str, list[Any]], *keys: tuple[str, int]) -> dict[str, list[Any]]:
    """Return a star without the rows of some keys."""
    return {
        table: [row for row in rows if (table, row[0]) not in keys] for table, rows in star.items()
    }


def test_an_impossible_date_and_a_nan_wait_while_all_else_is_loaded(functions: Functions) -> None:
    """Each bad row is in quarantine with its reason, and arrives by itself once it is corrected."""
    with connect(functions.source.superuser_url) as source:
        star = expected(functions.source)
        [[date]] = source.run(
            "SELECT agreed_delivery_date FROM sales_order WHERE sales_order_id = 4"
        )
        source.run(
            "UPDATE sales_order SET agreed_delivery_date = '2023-02-30' WHERE sales_order_id = 4"
        )
        [[amount]] = source.run("SELECT payment_amount FROM payment WHERE payment_id = 6")
        source.run("UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 6")
        functions.run()

        assert quarantined(functions, "sales_order", 1) == {
            4: "agreed_delivery_date '2023-02-30' is not a date"
        }
        assert quarantined(functions, "payment", 1) == {6: "payment_amount NaN is not a number"}
        loaded = without(star, ("fact_sales_order", 4), ("fact_payment", 6))
        assert current(functions.warehouse) == loaded

        source.run(
            "UPDATE sales_order SET agreed_delivery_date = :date WHERE sales_order_id = 4",
            date=date,
        )
        source.run(
            "UPDATE payment SET payment_amount = :amount WHERE payment_id = 6", amount=amount
        )
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    assert open_rows(functions, 2) == {}


def test_infinite_and_absurd_stamps_are_quarantined(functions: Functions) -> None:
    """A stamp that no calendar has does not stop the batch."""
    star = expected(functions.source)
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE payment SET created_at = 'infinity' WHERE payment_id = 1")
        source.run("UPDATE payment SET last_updated = '0044-03-15 BC' WHERE payment_id = 2")
        source.run("UPDATE payment SET last_updated = '12000-01-01' WHERE payment_id = 3")
    functions.run()

    assert quarantined(functions, "payment", 1) == {
        1: "created_at infinity is out of range",
        2: "last_updated 0044-03-15 00:00:00 BC is out of range",
        3: "last_updated 12000-01-01 00:00:00 is out of range",
    }
    bad = [("fact_payment", key) for key in (1, 2, 3)]
    assert current(functions.warehouse) == without(star, *bad)


def test_facts_wait_for_a_parent_in_quarantine_and_arrive_with_it(functions: Functions) -> None:
    """Orders of a member of staff whose department has no location come as soon as it has one."""
    with connect(functions.source.superuser_url) as source:
        [[department, location]] = source.run(
            "SELECT department_id, location FROM department JOIN staff USING (department_id)"
            " ORDER BY staff_id LIMIT 1"
        )
        source.run("UPDATE department SET location = NULL WHERE department_id = :id", id=department)
        [[members]] = source.run(
            "SELECT array_agg(staff_id) FROM staff WHERE department_id = :id", id=department
        )
        functions.run()

        assert quarantined(functions, "staff", 1) == dict.fromkeys(
            members, f"department {department} has no location"
        )
        [[waiting]] = source.run(
            "SELECT count(*) FROM sales_order WHERE staff_id = ANY(:members)", members=members
        )
        assert open_rows(functions, 1)["sales_order"] == waiting
        orders = current(functions.warehouse)["fact_sales_order"]
        assert {order[5] for order in orders} & set(members) == set()

        source.run(
            "UPDATE department SET location = :location WHERE department_id = :id",
            location=location,
            id=department,
        )
        extracted = functions.run()

    assert extracted["rows"] == {"department": 1}
    assert current(functions.warehouse) == expected(functions.source)
    assert open_rows(functions, 2) == {}


def test_a_waiting_order_that_changes_arrives_in_its_newest_state_only(
    functions: Functions,
) -> None:
    """A state that could never be loaded is superseded, not loaded late."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("INSERT INTO currency VALUES (9, 'XYZ', now(), now())")
        source.run("UPDATE sales_order SET currency_id = 9 WHERE sales_order_id IN (1, 2)")
        functions.run()
        assert quarantined(functions, "sales_order", 2) == {
            1: "waits for currency 9",
            2: "waits for currency 9",
        }

        source.run(
            "UPDATE sales_order SET currency_id = 1, units_sold = 5 WHERE sales_order_id = 1"
        )
        functions.run()
        assert open_rows(functions, 3) == {"currency": 1, "sales_order": 1}

        source.run("UPDATE currency SET currency_code = 'EUR' WHERE currency_id = 9")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    assert open_rows(functions, 4) == {}


def test_a_quarantined_row_that_is_deleted_leaves_the_quarantine(functions: Functions) -> None:
    """A row that is gone from the source waits for nothing any more."""
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE payment SET payment_amount = 'NaN' WHERE payment_id = 6")
        functions.run()
        source.run("DELETE FROM payment WHERE payment_id = 6")
        functions.run()

    assert open_rows(functions, 2) == {}


def test_facts_do_not_wait_for_a_dimension_that_changed_for_the_worse(
    functions: Functions,
) -> None:
    """A currency that the warehouse has stays good enough when its code is damaged in the shop."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE currency SET currency_code = 'gbp' WHERE currency_id = 1")
        source.run("UPDATE sales_order SET currency_id = 1, units_sold = 77")
        source.run("INSERT INTO currency VALUES (9, 'XYZ', now(), now())")
        source.run("UPDATE payment SET currency_id = 9 WHERE payment_id = 1")
        functions.run()

        assert open_rows(functions, 2) == {"currency": 2, "payment": 1}
        orders = current(functions.warehouse)["fact_sales_order"]
        assert orders == expected(functions.source)["fact_sales_order"]

        source.run("UPDATE currency SET currency_code = 'zzz' WHERE currency_id = 9")
        source.run("UPDATE payment SET currency_id = 1 WHERE payment_id = 2")
        functions.run()
        assert open_rows(functions, 3) == {"currency": 2, "payment": 1}

        source.run("UPDATE currency SET currency_code = 'GBP' WHERE currency_id = 1")
        source.run("UPDATE currency SET currency_code = 'EUR' WHERE currency_id = 9")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    assert open_rows(functions, 4) == {}


def test_facts_do_not_wait_for_staff_whose_department_changed_for_the_worse(
    functions: Functions,
) -> None:
    """Orders of staff that the warehouse has go on; those of somebody new there wait."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("UPDATE department SET location = NULL")
        source.run(
            "INSERT INTO staff SELECT 99, 'New', 'One', department_id, 'new@example.com', now(),"
            " now() FROM staff WHERE staff_id = 1"
        )
        source.run("UPDATE sales_order SET units_sold = 77 WHERE sales_order_id > 1")
        source.run("UPDATE sales_order SET staff_id = 99 WHERE sales_order_id = 1")
        functions.run()

        assert open_rows(functions, 2)["sales_order"] == 1
        assert quarantined(functions, "sales_order", 2) == {1: "waits for staff 99"}

        source.run("UPDATE department SET location = 'Leeds'")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
    assert open_rows(functions, 3) == {}


def test_a_key_that_was_deleted_and_comes_back_unfit_blocks_no_load(functions: Functions) -> None:
    """Facts on it wait, whatever the warehouse still has, and arrive when the row is corrected."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("SET session_replication_role = replica")
        source.run("DELETE FROM currency WHERE currency_id = 3")
        functions.run()
        source.run("INSERT INTO currency VALUES (3, 'XYZ', now(), now())")
        source.run("UPDATE payment SET currency_id = 3 WHERE payment_id = 1")
        functions.run()
        source.run("UPDATE currency SET currency_code = 'EUR' WHERE currency_id = 3")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)


def test_days_far_outside_the_calendar_wait_and_make_no_calendar(functions: Functions) -> None:
    """One date of the year 9999 does not make millions of rows in dim_date."""
    star = expected(functions.source)
    with connect(functions.source.superuser_url) as source:
        for column, order in (("agreed_delivery_date", 1), ("agreed_payment_date", 2)):
            source.run(
                f"UPDATE sales_order SET {column} = :day WHERE sales_order_id = {order}",
                day="9999-12-31" if order == 1 else "1899-12-31",
            )
        source.run("UPDATE payment SET created_at = '2101-01-01' WHERE payment_id = 1")
        source.run("UPDATE payment SET payment_date = '2100-12-31' WHERE payment_id = 2")
    functions.run()

    outside = "is outside the calendar, 1900-01-01 to 2100-12-31"
    assert quarantined(functions, "sales_order", 1) == {
        1: f"agreed_delivery_date {outside}",
        2: f"agreed_payment_date {outside}",
    }
    assert quarantined(functions, "payment", 1) == {1: f"created_at {outside}"}
    days = [row[0] for row in current(functions.warehouse)["dim_date"]]
    assert days[-1] == date(2100, 12, 31)
    assert days[0] >= star["dim_date"][0][0]


def test_an_order_whose_parent_does_not_exist_waits_for_it(functions: Functions) -> None:
    """A reference that the source does not check cannot stop the load."""
    functions.run()
    with connect(functions.source.superuser_url) as source:
        source.run("SET session_replication_role = replica")
        source.run("UPDATE sales_order SET design_id = 999 WHERE sales_order_id = 1")
        functions.run()
        assert quarantined(functions, "sales_order", 2) == {1: "waits for design 999"}

        source.run("INSERT INTO design VALUES (999, now(), 'Late', '/usr', 'late.json', now())")
        functions.run()

    assert current(functions.warehouse) == expected(functions.source)
