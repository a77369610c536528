"""Rows that only the warehouse refuses: each costs itself, is put aside, and goes in later."""

import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pg8000.native import identifier

from functions.common.errors import DatabaseStatementError
from functions.load import loading
from local.databases import create_warehouse
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.ground import run_sql
from tests.pipeline.oracle import current, expected, history
from tests.postgres_fixtures import Source, Warehouse

SECRET = "0123 secret"


def warehouse(functions: Functions, *statements: str) -> Any:
    return run_sql(functions.warehouse.superuser_url, *statements)


def source(functions: Functions, *statements: str) -> Any:
    return run_sql(functions.source.superuser_url, *statements)


def newest_marker(functions: Functions) -> dict[str, Any]:
    return functions.document(
        functions.processed, functions.keys(functions.processed, "loaded/source/")[-1]
    )


def reasons(functions: Functions) -> dict[str, dict[str, int]]:
    """Return the reasons of what the warehouse refuses now, by star table."""
    found: dict[str, dict[str, int]] = {}
    for table, objects in newest_marker(functions)["refused"].items():
        for each in objects:
            for reason, rows in each["reasons"].items():
                counts = found.setdefault(table, {})
                counts[reason] = counts.get(reason, 0) + rows
    return found


def missing(functions: Functions) -> dict[str, set[Any]]:
    """Return the keys whose row of the source is not what the warehouse has, by star table."""
    there, here = expected(functions.source), current(functions.warehouse)
    apart = {
        name: {row[0] for row in rows if row not in here[name]}
        for name, rows in there.items()
        if name != "dim_date"
    }
    return {name: found for name, found in apart.items() if found}


def test_each_kind_of_refusal_costs_its_row_only(functions: Functions) -> None:
    """Too long, NULL, a check, a domain, a unique index, a foreign key, a trigger: one row each."""
    warehouse(
        functions,
        "ALTER TABLE dim_design ALTER file_name TYPE varchar(40)",
        "ALTER TABLE dim_location ALTER district SET NOT NULL",
        "ALTER TABLE dim_staff ADD CONSTRAINT known CHECK (first_name <> 'Nobody')",
        "CREATE DOMAIN positive AS numeric CHECK (VALUE > 0)",
        "ALTER TABLE fact_payment ALTER payment_amount TYPE positive",
        "CREATE UNIQUE INDEX one_name ON dim_counterparty (counterparty_legal_name)",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF NEW.units_sold = 77 THEN RAISE EXCEPTION 'no %', NEW USING CONSTRAINT = NEW::text;"
        " END IF; RETURN NEW; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON fact_sales_order FOR EACH ROW"
        " EXECUTE FUNCTION refuse()",
    )
    source(
        functions,
        f"UPDATE design SET file_name = repeat('{SECRET}', 9) WHERE design_id = 1",
        "UPDATE sales_order SET design_id = 2 WHERE design_id = 1",
        "UPDATE sales_order SET design_id = 1, units_sold = 1 WHERE sales_order_id = 3",
        "UPDATE sales_order SET units_sold = 77 WHERE sales_order_id = 4",
        "UPDATE address SET district = '-' WHERE district IS NULL",
        "INSERT INTO address (address_id, address_line_1, city, postal_code, country, phone,"
        " created_at, last_updated) SELECT 9999, address_line_1, city, postal_code, country, phone,"
        " created_at, last_updated FROM address WHERE address_id = 1",
        "UPDATE staff SET first_name = 'Nobody' WHERE staff_id = 1",
        "UPDATE sales_order SET staff_id = 2 WHERE staff_id = 1",
        "UPDATE purchase_order SET staff_id = 2 WHERE staff_id = 1",
        "UPDATE payment SET payment_amount = -5 WHERE payment_id = 6",
        "UPDATE counterparty SET counterparty_legal_name = 'Twin' WHERE counterparty_id IN (1, 2)",
        "UPDATE sales_order SET counterparty_id = 1 WHERE counterparty_id = 2",
        "UPDATE purchase_order SET counterparty_id = 1 WHERE counterparty_id = 2",
        "UPDATE payment SET counterparty_id = 1 WHERE counterparty_id = 2",
    )
    functions.extract()
    functions.transform()

    loaded = functions.load()

    assert reasons(functions) == {
        "dim_design": {"a text is longer than its column allows [22001]": 1},
        "dim_location": {"a value is NULL where that is not allowed [23502], column district": 1},
        "dim_staff": {"a check constraint does not hold [23514], constraint known": 1},
        "dim_counterparty": {
            "another row has the same unique values [23505], constraint one_name": 1
        },
        "fact_payment": {"a check constraint does not hold [23514], constraint positive_check": 1},
        "fact_sales_order": {
            "a row that it refers to is not there [23503],"
            " constraint fact_sales_order_design_id_fkey": 1,
            "a trigger or function of the database raised an error [P0001]": 1,
        },
    }
    assert loaded["refused"] == {
        "dim_design": 1,
        "dim_location": 1,
        "dim_staff": 1,
        "dim_counterparty": 1,
        "fact_payment": 1,
        "fact_sales_order": 2,
    }
    assert {name: len(found) for name, found in missing(functions).items()} == loaded["refused"]
    for name, rows in newest_marker(functions)["rows"].items():
        if name != "dim_date":
            assert rows["staged"] == rows["inserted"] + rows["refused"]


def test_refused_rows_go_in_once_the_warehouse_accepts_them(functions: Functions) -> None:
    """A column is widened: the row goes in without a new batch, and so does what refers to it."""
    warehouse(functions, "ALTER TABLE dim_design ALTER file_name TYPE varchar(40)")
    source(functions, "UPDATE design SET file_name = repeat('x', 41) WHERE design_id = 1")
    functions.run()
    assert set(reasons(functions)) == {"dim_design", "fact_sales_order"}
    assert functions.load()["rows"] == {}
    markers = len(functions.keys(functions.processed, "loaded/source/"))
    assert (
        functions.load()["rows"],
        len(functions.keys(functions.processed, "loaded/source/")),
    ) == (
        {},
        markers,
    )
    warehouse(functions, "ALTER TABLE dim_design ALTER file_name TYPE varchar(80)")

    loaded = functions.load()

    assert loaded["batches"] == []
    assert loaded["rows"]["dim_design"] == 1
    assert reasons(functions) == {}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_newer_row_supersedes_a_refused_one_and_a_deletion_ends_it(functions: Functions) -> None:
    """Correcting the row in the source is enough, and no refused state enters the history later."""
    functions.run()
    warehouse(
        functions, "ALTER TABLE fact_sales_order ADD CONSTRAINT few CHECK (units_sold < 1000000)"
    )
    source(
        functions,
        "UPDATE sales_order SET units_sold = 1000001 WHERE sales_order_id IN (5, 6)",
        "UPDATE payment SET payment_amount = 7.77 WHERE payment_id = 1",
    )
    functions.run()
    assert reasons(functions) == {
        "fact_sales_order": {"a check constraint does not hold [23514], constraint few": 2}
    }
    source(
        functions,
        "UPDATE sales_order SET units_sold = 8 WHERE sales_order_id = 5",
        "DELETE FROM payment WHERE payment_id = 1",
        "DELETE FROM sales_order WHERE sales_order_id = 6",
    )
    functions.run()
    assert reasons(functions) == {}
    warehouse(functions, "ALTER TABLE fact_sales_order DROP CONSTRAINT few")
    functions.load()

    assert [row[7] for row in history(functions.warehouse, "fact_sales_order", 5)][1:] == [8]
    assert len(history(functions.warehouse, "fact_sales_order", 6)) == 1


def test_refused_rows_are_tried_again_after_an_hour(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that a trigger refused for its own reasons goes in by itself."""
    warehouse(
        functions,
        "CREATE TABLE closed (yes boolean)",
        "INSERT INTO closed VALUES (true)",
        "GRANT SELECT ON closed TO PUBLIC",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF (SELECT yes FROM public.closed) THEN RAISE EXCEPTION 'closed'; END IF; RETURN NEW;"
        " END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON fact_payment FOR EACH ROW EXECUTE FUNCTION"
        " refuse()",
    )
    functions.run()
    assert set(missing(functions)) == {"fact_payment"}
    warehouse(functions, "UPDATE closed SET yes = false")
    assert functions.load()["rows"] == {}
    monkeypatch.setattr(loading, "RETRY_AFTER", timedelta(0))

    functions.load()

    assert reasons(functions) == {}
    assert current(functions.warehouse) == expected(functions.source)


def test_a_character_that_the_warehouse_does_not_have_costs_its_row(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    postgres: PostgresServer,
) -> None:
    """A euro sign does not stop a LATIN1 database."""
    name = "latin warehouse"
    run_sql(
        postgres.superuser_url(),
        f"CREATE DATABASE {identifier(name)} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'",
    )
    url = create_warehouse(postgres, "totesys", database=name)
    latin = Warehouse(name, "public", url, postgres.superuser_url(name))
    functions = functions_on(new_source(), latin)
    source(functions, "UPDATE address SET city = 'Preis: 5 \u20ac' WHERE address_id = 1")
    functions.run()

    assert reasons(functions)["dim_location"] == {
        "a character does not exist in the database's encoding [22P05]": 1
    }
    assert missing(functions)["dim_location"] == {1}


def test_no_value_of_a_row_is_in_an_error(
    functions: Functions,
) -> None:
    """Neither the error nor the trace that is logged quotes what a row says."""
    warehouse(
        functions,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " RAISE EXCEPTION 'no %', NEW USING ERRCODE = '55000', DETAIL = NEW::text,"
        " CONSTRAINT = NEW::text; END$$",
        "CREATE TRIGGER refuse BEFORE INSERT ON dim_staff FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    source(functions, f"UPDATE staff SET first_name = '{SECRET}'")
    functions.extract()
    functions.transform()

    with pytest.raises(DatabaseStatementError) as failed:
        functions.load()

    assert SECRET not in "".join(traceback.format_exception(failed.value))
    assert "[55000]" in str(failed.value)
