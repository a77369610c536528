"""The shop that `deploy.py local` runs as a source: two years of trading, and ongoing business.

`local.sample` defines what a sample provides.
"""

from datetime import datetime
from pathlib import Path

import pg8000.native
from pg8000.native import identifier

from local.connection import copy_rows
from pipelines.totesys.sample.business_day import trade
from pipelines.totesys.sample.history import sample
from pipelines.totesys.sample.rates import answer
from pipelines.totesys.sample.targets import bad_files, files

__all__ = ["answer", "bad_files", "delete", "files", "fill", "trade"]

SEED = 1
TABLES = Path(__file__).with_name("source.sql")


def fill(connection: pg8000.native.Connection, now: datetime, scale: float) -> None:
    """Create the shop's tables, with its trades up to the last business day before `now`.

    Scale 1.0 is 11,000 sales orders, 0 leaves all tables empty.
    """
    connection.run(TABLES.read_text())
    if scale <= 0:
        return
    # Foreign keys are not checked row by row while the sample is loaded: four times as fast, and
    # the sample's parents all exist, which its tests prove.
    connection.run("SET LOCAL session_replication_role = replica")
    tables = set()
    for table, rows in sample(scale, SEED, now):
        copy_rows(connection, table, rows)
        tables.add(table)
    connection.run("SET LOCAL session_replication_role = DEFAULT")
    for table in tables:
        key = f"{table}_id"
        connection.run(
            f"SELECT setval(pg_get_serial_sequence(:table, :key), max({key})) "  # nosec B608
            f"FROM {identifier(table)}",
            table=table,
            key=key,
        )


def delete(connection: pg8000.native.Connection) -> None:
    """Delete the newest sales order and the rows that refer to it; the shop's role may not."""
    newest = "SELECT max(sales_order_id) FROM sales_order"
    its = f"SELECT transaction_id FROM transaction WHERE sales_order_id = ({newest})"
    connection.run(f"DELETE FROM payment WHERE transaction_id IN ({its})")
    connection.run(f"DELETE FROM transaction WHERE transaction_id IN ({its})")
    connection.run(f"DELETE FROM sales_order WHERE sales_order_id = ({newest})")
