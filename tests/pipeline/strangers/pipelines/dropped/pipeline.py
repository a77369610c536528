"""Files of three kinds: some that add up by key, some with a history, and one that is the table."""

from etl import (
    BigInteger,
    Date,
    Feed,
    Files,
    Integer,
    JsonDocuments,
    Model,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    history,
    latest,
    replace,
)

visits = Table(
    "visits",
    key="visit_id",
    columns={
        "visit_id": Integer(),
        "day": Date(nullable=True),
        "amount": Numeric(10, 2),
        "note": Text(nullable=True),
    },
)
prices = Table(
    "prices",
    key=("shop", "sku"),
    columns={"shop": Integer(), "sku": Text(), "price": Numeric(10, 2)},
)
stock = Table("stock", key=(), columns={"sku": Text(), "pieces": Integer(nullable=True)})

STOCK, VISITS = replace(stock), latest(visits)
DAYS = Model(
    "visits_by_day",
    inputs=[VISITS],
    sql="""SELECT coalesce(day, '1900-01-01') AS day, count(*) AS visits, sum(amount) AS amount
           FROM visits GROUP BY 1""",
    key="day",
    way="replace",
    columns={"day": Date(), "visits": BigInteger(), "amount": Numeric()},
)

PIPELINE = Pipeline(
    sources=[
        Files(
            "source",
            (
                Feed(visits, "visits/*.csv", max_rejects=0.3),
                Feed(prices, "prices/*.json", JsonDocuments(), max_rejects=0.3),
                Feed(stock, "stock.csv", max_rejects=1.0),
            ),
        )
    ],
    targets=[
        PostgresWarehouse(
            "warehouse",
            (VISITS, history(prices), STOCK),
            models=(DAYS,),
            exports=(DAYS,),
        )
    ],
)
