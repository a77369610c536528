"""A market's two files that belong together, and those of the stalls in somebody else's bucket."""

from etl import (
    Csv,
    Date,
    Feed,
    Files,
    Integer,
    JsonDocuments,
    Model,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Setting,
    Table,
    Text,
    at_most,
    latest,
    replace,
)

price = Table("price", key="fruit", columns={"fruit": Text(), "price": Numeric(8, 2)})
sale = Table("sale", key=(), columns={"fruit": Text(), "pieces": Integer(), "day": Date()})
stall = Table("stall", key="stall_id", columns={"stall_id": Integer(), "owner": Text()})

prices, sales, stalls = replace(price), replace(sale), latest(stall)

takings = Model(
    "takings",
    inputs=(prices, sales),
    sql="takings.sql",
    columns={"day": Date(), "takings": Numeric(12, 2)},
    key="day",
    schema="reports",
    says=lambda rows: f"The market took {rows[0]['takings']}.",
)

PIPELINE = Pipeline(
    sources=[
        Files(
            "desk",
            feeds=(Feed(price, "price.csv", Csv(delimiter=";")), Feed(sale, "sale.csv")),
            together=True,
            at_most=at_most("MARKET_AT_MOST"),
        ),
        Files(
            "stalls",
            feeds=(Feed(stall, "**/*.json", JsonDocuments()),),
            remote=True,
            optional=True,
        ),
    ],
    targets=[
        PostgresWarehouse(
            "warehouse",
            tables=(prices, sales, stalls),
            schema="staging",
            models=(takings,),
            exports=(takings,),
        )
    ],
    settings=[Setting("MARKET_TAX", "5", str.isdecimal, "is no whole number of percent")],
    notify="every-batch",
)
