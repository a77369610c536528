"""The expected warehouse, in plain SQL over the source, written apart from the functions."""

from typing import Any

import pg8000.native
from pg8000.native import identifier

from local.connection import connect
from tests.pipeline.warehouse_rows import rows_in
from tests.postgres_fixtures import Source, Warehouse

STAMPS = """created_at::date, created_at::time, last_updated::date, last_updated::time"""

EXPECTED = {
    "dim_staff": """
        SELECT staff_id, first_name, last_name, department_name, location, email_address
        FROM staff JOIN department USING (department_id)""",
    "dim_location": """
        SELECT address_id, address_line_1, address_line_2, district, city, postal_code, country,
               phone
        FROM address""",
    "dim_counterparty": """
        SELECT counterparty_id, counterparty_legal_name, address_line_1, address_line_2, district,
               city, postal_code, country, phone
        FROM counterparty JOIN address ON address_id = legal_address_id""",
    "dim_currency": """
        SELECT currency_id, currency_code,
               CASE currency_code WHEN 'GBP' THEN 'Pound Sterling' WHEN 'USD' THEN 'US Dollar'
                                  WHEN 'EUR' THEN 'Euro' END
        FROM currency""",
    "dim_design": "SELECT design_id, design_name, file_location, file_name FROM design",
    "dim_payment_type": "SELECT payment_type_id, payment_type_name::text FROM payment_type",
    "dim_transaction": """
        SELECT transaction_id, transaction_type::text, sales_order_id, purchase_order_id
        FROM transaction""",
    "fact_sales_order": f"""
        SELECT sales_order_id, {STAMPS}, staff_id, counterparty_id, units_sold, unit_price,
               currency_id, design_id, agreed_payment_date::date, agreed_delivery_date::date,
               agreed_delivery_location_id
        FROM sales_order""",
    "fact_purchase_order": f"""
        SELECT purchase_order_id, {STAMPS}, staff_id, counterparty_id, item_code, item_quantity,
               item_unit_price, currency_id, agreed_delivery_date::date, agreed_payment_date::date,
               agreed_delivery_location_id
        FROM purchase_order""",
    "fact_payment": f"""
        SELECT payment_id, {STAMPS}, transaction_id, counterparty_id, payment_amount, currency_id,
               payment_type_id, paid, payment_date::date
        FROM payment""",
}
"""The star that the source makes, by table; columns in the order of the warehouse's DDL."""

RECORD_IDS = {
    "fact_sales_order": "sales_record_id",
    "fact_purchase_order": "purchase_record_id",
    "fact_payment": "payment_record_id",
}

DATES = """
    SELECT created_at::date AS d FROM sales_order UNION SELECT last_updated::date FROM sales_order
    UNION SELECT agreed_payment_date::date FROM sales_order
    UNION SELECT agreed_delivery_date::date FROM sales_order
    UNION SELECT created_at::date FROM purchase_order
    UNION SELECT last_updated::date FROM purchase_order
    UNION SELECT agreed_payment_date::date FROM purchase_order
    UNION SELECT agreed_delivery_date::date FROM purchase_order
    UNION SELECT created_at::date FROM payment UNION SELECT last_updated::date FROM payment
    UNION SELECT payment_date::date FROM payment"""
EXPECTED_DATES = f"""
    SELECT d::date, date_part('year', d)::int, date_part('month', d)::int, date_part('day', d)::int,
           date_part('isodow', d)::int,
           (ARRAY['Monday','Tuesday','Wednesday','Thursday','Friday','Saturday','Sunday'])
               [date_part('isodow', d)],
           (ARRAY['January','February','March','April','May','June','July','August','September',
                  'October','November','December'])[date_part('month', d)],
           date_part('quarter', d)::int
    FROM generate_series((SELECT min(d) FROM ({DATES}) AS dates),
                         (SELECT max(d) FROM ({DATES}) AS dates), interval '1 day') AS d"""

Rows = list[list[Any]]


def expected(source: Source) -> dict[str, Rows]:
    """Return the star that the source makes now, `dim_date` included, rows by their keys."""
    with connect(source.superuser_url) as connection:
        star = {table: _rows(connection, f"{sql} ORDER BY 1") for table, sql in EXPECTED.items()}
        star["dim_date"] = _rows(connection, f"{EXPECTED_DATES} ORDER BY 1")
    return star


def current(warehouse: Warehouse) -> dict[str, Rows]:
    """Return the star as the warehouse has it: of a fact, the newest record of each id."""
    star = {
        table: rows_in(warehouse, f"SELECT * FROM {table} ORDER BY 1")
        for table in (*EXPECTED, "dim_date")
        if table not in RECORD_IDS
    }
    for table, record_id in RECORD_IDS.items():
        records = rows_in(warehouse, f"SELECT * FROM {table} ORDER BY 2, {record_id}")
        star[table] = [*{row[1]: row[1:] for row in records}.values()]
    return star


def history(warehouse: Warehouse, fact: str, business_id: int) -> Rows:
    """Return all records of one fact, oldest first, without their record ids."""
    with connect(warehouse.superuser_url) as connection:
        key = f"{fact.removeprefix('fact_')}_id"
        records = _rows(
            connection,
            f"SELECT * FROM {identifier(warehouse.schema)}.{fact} WHERE {key} = {business_id}"
            f" ORDER BY {RECORD_IDS[fact]}",
        )
    return [row[1:] for row in records]


def records(warehouse: Warehouse) -> dict[str, int]:
    """Return how many records each fact table has in all."""
    schema = identifier(warehouse.schema)
    with connect(warehouse.superuser_url) as connection:
        return {
            fact: _rows(connection, f"SELECT count(*) FROM {schema}.{fact}")[0][0]
            for fact in RECORD_IDS
        }


def _rows(connection: pg8000.native.Connection, sql: str) -> Rows:
    found: Rows = connection.run(sql)
    return found
