"""The data that everything is measured with: a shop with as many sales orders as wanted."""

from datetime import datetime

from local.connection import connect, transaction
from local.databases import create_source, create_warehouse
from local.postgres import PostgresServer

NOW = datetime(2024, 11, 16, 12)
SMALL = 0.02  # the other tables: 12 designs, 312 trades
FIRST_DAY, LAST_DAY = "2021-01-01", "2026-12-31"
FACTS = ("fact_sales_order", "fact_purchase_order", "fact_payment")

# Two years of orders, in the order of their ids; every value depends on the id alone.
_ORDERS = """
INSERT INTO sales_order
SELECT n, at, at, 1 + n * 7 % designs.count, 1 + n * 11 % 20, 1 + n * 13 % 20,
    1000 + n * 7919 % 99000, (200 + n * 31 % 201) / 100.0, 1 + n % 3,
    (at + interval '1 day' * (n % 8))::date::text, (at + interval '1 day' * (n % 7))::date::text,
    1 + n * 17 % 30
FROM (SELECT count(*) FROM design) AS designs,
    generate_series((SELECT count(*) + 1 FROM sales_order), {rows}) AS n,
    LATERAL (SELECT timestamp(3) '2022-11-21 08:00' + n * interval '2 years' / {rows}) AS t (at)
"""

_CALENDAR = f"""
INSERT INTO dim_date
SELECT day::date, extract(year FROM day), extract(month FROM day), extract(day FROM day),
    extract(isodow FROM day), to_char(day, 'FMDay'), to_char(day, 'FMMonth'),
    extract(quarter FROM day)
FROM generate_series(timestamp '{FIRST_DAY}', timestamp '{LAST_DAY}', interval '1 day') AS day
"""  # nosec B608

FACT = "fact_sales_order"
FACT_COLUMNS = (
    "sales_order_id, created_date, created_time, last_updated_date, last_updated_time,"
    " sales_staff_id, counterparty_id, units_sold, unit_price, currency_id, design_id,"
    " agreed_payment_date, agreed_delivery_date, agreed_delivery_location_id"
)
_FACT_VIEW = """
CREATE VIEW fact_sales_order AS
SELECT sales_order_id, created_at::date AS created_date, created_at::time AS created_time,
    last_updated::date AS last_updated_date, last_updated::time AS last_updated_time,
    staff_id AS sales_staff_id, counterparty_id, units_sold, unit_price, currency_id, design_id,
    agreed_payment_date::date AS agreed_payment_date,
    agreed_delivery_date::date AS agreed_delivery_date, agreed_delivery_location_id
FROM sales_order
"""
"""The query that raw COPY and the peers copy from end to end: they remodel nothing."""

# The dimensions that fact_sales_order refers to, by table, for a warehouse that is not empty.
DIMENSIONS = {
    "dim_location": "SELECT address_id, address_line_1, address_line_2, district, city,"
    " postal_code, country, phone FROM address",
    "dim_staff": "SELECT staff_id, first_name, last_name, department_name, location, email_address"
    " FROM staff JOIN department USING (department_id)",
    "dim_counterparty": "SELECT counterparty_id, counterparty_legal_name, address_line_1,"
    " address_line_2, district, city, postal_code, country, phone"
    " FROM counterparty JOIN address ON address_id = legal_address_id",
    "dim_currency": "SELECT currency_id, currency_code, CASE currency_code WHEN 'GBP' THEN"
    " 'Pound Sterling' WHEN 'USD' THEN 'US Dollar' ELSE 'Euro' END FROM currency",
    "dim_design": "SELECT design_id, design_name, file_location, file_name FROM design",
}


def make_source(server: PostgresServer, rows: int, database: str) -> str:
    """Make a shop with exactly `rows` sales orders and little else; return the reader's URL."""
    url = create_source(server, "totesys", now=NOW, scale=SMALL, database=database)
    with connect(server.superuser_url(database)) as connection:
        with transaction(connection):
            # The parents are there; checking each would take most of the time.
            connection.run("SET LOCAL session_replication_role = replica")
            connection.run(_ORDERS.format(rows=rows))
            connection.run(f"SELECT setval('sales_order_sales_order_id_seq', {rows})")
            connection.run(_FACT_VIEW)
        connection.run("VACUUM (ANALYZE) sales_order")
        connection.run("CHECKPOINT")
    return url


def make_warehouse(server: PostgresServer, source: str, database: str) -> None:
    """Make a warehouse with the dimensions of the database `source`, and no facts."""
    create_warehouse(server, "totesys", database=database)
    with (
        connect(server.superuser_url(source)) as there,
        connect(server.superuser_url(database)) as here,
    ):
        for table, query in DIMENSIONS.items():
            for row in there.run(query):
                values = {f"v{i}": value for i, value in enumerate(row)}
                places = ", ".join(f":{name}" for name in values)
                here.run(f"INSERT INTO {table} VALUES ({places})", **values)  # nosec B608
        here.run(_CALENDAR)


def drop_foreign_keys(server: PostgresServer, database: str) -> None:
    """Take the foreign keys off the facts of a warehouse."""
    with connect(server.superuser_url(database)) as connection:
        for table, name in connection.run(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
        ):
            connection.run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
