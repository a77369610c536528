"""The orders of `orders_file`, into a table of MySQL that has a key."""

from benchmarks.pipelines.orders_file.pipeline import orders as lines
from etl import Feed, Files, MysqlWarehouse, Pipeline, Table, latest

orders = Table("orders", key="order_id", columns=lines.columns)

PIPELINE = Pipeline(
    sources=[Files("source", (Feed(orders, "orders.csv"),))],
    targets=[MysqlWarehouse("warehouse", (latest(orders),))],
)
