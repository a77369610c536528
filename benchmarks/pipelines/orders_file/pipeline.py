"""Orders as many shops export them: numbers, a day, money, and short texts."""

from etl import (
    BigInteger,
    Date,
    Feed,
    Files,
    Integer,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    SmallInteger,
    Table,
    Text,
    replace,
)

orders = Table(
    "orders",
    key=(),
    columns={
        "order_id": BigInteger(),
        "customer_id": Integer(),
        "product_id": Integer(),
        "ordered_on": Date(),
        "delivered_on": Date(nullable=True),
        "quantity": SmallInteger(),
        "unit_price": Numeric(10, 2),
        "total": Numeric(12, 2),
        "status": Text(),
        "note": Text(nullable=True),
    },
)

PIPELINE = Pipeline(
    sources=[Files("source", (Feed(orders, "orders.csv"),))],
    targets=[PostgresWarehouse("warehouse", (replace(orders),))],
)
