"""A history with an index on its key: a small batch costs the batch, not what lies beside it."""

from functions.targets.postgres import ready as ready_module
from local.connection import connect
from pipelines.totesys.pipeline import PIPELINE
from tests.pipeline.conftest import Functions
from tests.pipeline.managed_warehouse import change, query, source_facts, views
from tests.pipeline.oracle import current, expected, history
from tests.postgres_fixtures import Warehouse

RECORDS = 60_000  # of other orders: enough that a scan costs more than some look-ups
FACT = "fact_sales_order"


def indexes(warehouse: Warehouse) -> set[str]:
    """Return the columns of the indexes that are not primary keys, by table."""
    rows = query(
        warehouse,
        "SELECT tablename || regexp_replace(indexdef, '.*USING btree', '') FROM pg_indexes"
        f" WHERE schemaname = '{warehouse.schema}' AND indexname NOT LIKE '%pkey'",
    )
    return {text for [text] in rows}


def scanned_rows(warehouse: Warehouse) -> int:
    """Return how many records of the fact were read by scans of the whole table."""
    [[rows]] = query(
        warehouse, f"SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = '{FACT}'"
    )
    return int(rows)


def lengthen(warehouse: Warehouse) -> None:
    """Give the fact many records of other orders, unknown to the server's statistics."""
    columns = [
        name
        for [name] in query(
            warehouse,
            f"SELECT column_name::text FROM information_schema.columns WHERE table_name = '{FACT}'"
            f" AND table_schema = '{warehouse.schema}' AND column_name NOT IN"
            " ('sales_record_id', 'sales_order_id') ORDER BY ordinal_position",
        )
    ]
    others = ", ".join(f'"{name}"' for name in columns)
    query(
        warehouse,
        f"INSERT INTO {FACT} (sales_order_id, {others}) SELECT 1000000 + i, {others}"
        f" FROM generate_series(1, {RECORDS}) AS i, (SELECT * FROM {FACT} LIMIT 1) AS one",
    )


def test_a_managed_warehouse_gets_an_index_on_each_history(managed: Functions) -> None:
    """Also one that an earlier version made, which keeps its rows."""
    managed.run()

    wanted = {f"{name} ({key})" for name, key in (
        ("fact_sales_order", "sales_order_id, sales_record_id"),
        ("fact_purchase_order", "purchase_order_id, purchase_record_id"),
        ("fact_payment", "payment_id, payment_record_id"),
    )}  # fmt: skip
    assert wanted <= indexes(managed.warehouse)

    found = indexes(managed.warehouse)
    change(managed.source, "UPDATE payment SET payment_amount = 1 WHERE payment_id = 3")
    managed.run()
    assert indexes(managed.warehouse) == found


def test_a_small_batch_reads_no_history_from_end_to_end(managed: Functions) -> None:
    """New, changed, unchanged and returning states are as without an index."""
    managed.run()
    lengthen(managed.warehouse)
    before = scanned_rows(managed.warehouse)
    change(
        managed.source,
        "UPDATE sales_order SET units_sold = units_sold + 1 WHERE sales_order_id <= 20",
        "UPDATE sales_order SET last_updated = last_updated WHERE sales_order_id = 30",
        "INSERT INTO sales_order SELECT 9000, created_at, last_updated, design_id, staff_id,"
        " counterparty_id, units_sold, unit_price, currency_id, agreed_delivery_date,"
        " agreed_payment_date, agreed_delivery_location_id FROM sales_order"
        " WHERE sales_order_id = 1",
    )

    managed.run()

    assert scanned_rows(managed.warehouse) == before
    query(managed.warehouse, f"DELETE FROM {FACT} WHERE sales_order_id > 1000000")
    assert views(managed.warehouse) == source_facts(managed.source)
    assert len(history(managed.warehouse, FACT, 7)) == 2
    assert len(history(managed.warehouse, FACT, 30)) == 1


def test_an_index_of_a_prepared_warehouse_is_used_and_asked_for(functions: Functions) -> None:
    """`doctor` has the statements; the role that loads creates none."""
    statement = 'CREATE INDEX ON "public"."fact_sales_order" ("sales_order_id", "sales_record_id")'
    functions.run()
    assert statement.replace('"', "") in wished(functions).replace('"', "")

    query(functions.warehouse, "CREATE INDEX ON fact_sales_order (sales_order_id)")
    assert "fact_sales_order" not in wished(functions)

    change(functions.source, "UPDATE sales_order SET units_sold = 7 WHERE sales_order_id <= 20")
    functions.run()
    assert current(functions.warehouse) == expected(functions.source)


def wished(functions: Functions) -> str:
    """Return what is said of a warehouse that can be loaded."""
    with connect(functions.warehouse.loader_url) as connection:
        return ready_module.ready(connection, "public", PIPELINE.targets[0], is_managed=False)
