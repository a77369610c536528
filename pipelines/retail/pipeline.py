"""retail: the CSV files that a shop drops, staged as they are, and three analyses of them.

What the analyses count, and how to drop files, is in `docs/retail.md`.
"""

from typing import TYPE_CHECKING

from etl import (
    BigInteger,
    Boolean,
    Date,
    Feed,
    Files,
    Integer,
    Model,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Setting,
    Table,
    Text,
    at_most,
    replace,
)
from pipelines.retail import countries
from pipelines.retail.sentences import best_product, holiday_orders, shipping

if TYPE_CHECKING:
    from pandas import DataFrame

RETAIL_AT_MOST = at_most("RETAIL_AT_MOST", "1 day")
RETAIL_COUNTRY = Setting(
    "RETAIL_COUNTRY", countries.DEFAULT, countries.has_holidays,
    "is no country whose holidays are known: write a code such as NG or GB",
)  # fmt: skip
RETAIL_UNDELIVERED = Setting(
    "RETAIL_UNDELIVERED", "at-least", {"at-least", "exactly"}.__contains__,
    "is neither at-least nor exactly",
)  # fmt: skip

# The files. No table has a key: a staging table has each line of its file, equal ones included.

orders = Table("orders", key=(), columns={
    "order_id": Integer(), "customer_id": Integer(), "order_date": Date(nullable=True),
    "product_id": Integer(), "unit_price": Numeric(), "quantity": Integer(),
    "total_price": Numeric(),
})  # fmt: skip

reviews = Table("reviews", key=(), columns={"review": Integer(), "product_id": Integer()})

shipment_deliveries = Table("shipment_deliveries", key=(), columns={
    "shipment_id": Integer(), "order_id": Integer(),
    "shipment_date": Date(nullable=True), "delivery_date": Date(nullable=True),
})  # fmt: skip

products = Table("products", key=(), columns={"product_id": Integer(), "product_name": Text()})

FEEDS = (
    Feed(orders, "orders.csv"),
    Feed(reviews, "reviews.csv"),
    Feed(shipment_deliveries, "shipment_deliveries.csv"),
    Feed(products, "products.csv", optional=True),
)

# The warehouse: the files as they are, and the holidays, which SQL does not know.


@replace(columns={
    "order_id": Integer(), "order_date": Date(nullable=True), "holiday": Text(nullable=True),
})  # fmt: skip
def order_holidays(orders: "DataFrame") -> "DataFrame":
    """Orders, each with the public holiday that its day is."""
    from holidays import country_holidays

    names = country_holidays(RETAIL_COUNTRY.value(), language="en_US")
    holiday = orders["order_date"].map(names.get, na_action="ignore").astype("string[pyarrow]")
    return orders[["order_id", "order_date"]].assign(holiday=holiday)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
STARS = ("one", "two", "three", "four", "five")
DAY = {"ingestion_date": Date()}
PERCENT = Numeric(5, 2, nullable=True)

staging = {table.name: replace(table) for table in (orders, reviews, shipment_deliveries, products)}

agg_public_holiday = Model(
    "agg_public_holiday", [order_holidays], "agg_public_holiday.sql",
    {**DAY, **{f"tt_order_hol_{month}": BigInteger() for month in MONTHS}},
    key="ingestion_date", schema="analytics", says=holiday_orders,
)  # fmt: skip

agg_shipments = Model(
    "agg_shipments", [staging["orders"], staging["shipment_deliveries"]], "agg_shipments.sql",
    {**DAY, "tt_late_shipments": BigInteger(), "tt_undelivered_items": BigInteger()},
    key="ingestion_date", schema="analytics", says=shipping,
)  # fmt: skip

best_performing_product = Model(
    "best_performing_product", [*staging.values(), order_holidays], "best_performing_product.sql",
    {
        **DAY, "product_name": Text(nullable=True), "most_ordered_day": Date(nullable=True),
        "is_public_holiday": Boolean(), "tt_review_points": BigInteger(),
        **{f"pct_{stars}_star_review": PERCENT for stars in STARS},
        "pct_early_shipments": PERCENT, "pct_late_shipments": PERCENT,
    },
    key="ingestion_date", schema="analytics", says=best_product,
)  # fmt: skip

MODELS = (agg_public_holiday, agg_shipments, best_performing_product)

PIPELINE = Pipeline(
    sources=[Files("shop", FEEDS, together=True, at_most=RETAIL_AT_MOST)],
    targets=[
        PostgresWarehouse(
            "warehouse", (*staging.values(), order_holidays), schema="staging",
            models=MODELS, exports=MODELS,
        )
    ],
    settings=[RETAIL_COUNTRY, RETAIL_UNDELIVERED],
    notify="every-batch",
)  # fmt: skip
