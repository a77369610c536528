"""Quotes of an exchange, which wants a key, and news, which may be there or not."""

from etl import (
    ApiKey,
    Csv,
    Cursor,
    Integer,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Resource,
    Rest,
    Table,
    Text,
    at_most,
    history,
    latest,
)

quote = Table("quote", key="symbol", columns={"symbol": Text(), "price": Numeric(12, 4)})
news = Table("news", key="id", columns={"id": Integer(), "headline": Text(nullable=True)})

PIPELINE = Pipeline(
    sources=[
        Rest(
            "exchange",
            (Resource(quote, "/quotes", paging=Cursor("after", "next"), rows="quotes"),),
            key=ApiKey("X-Api-Key", ""),
            at_most=at_most("EXCHANGE_AT_MOST", "10 minutes"),
        ),
        Rest("press", (Resource(news, format=Csv()),), optional=True),
    ],
    targets=[
        PostgresWarehouse(
            "warehouse",
            (
                history(quote, columns={"symbol": Text(), "price": Numeric(12, 4)}),
                latest(news, columns={"id": Integer(), "headline": Text(nullable=True)}),
            ),
        )
    ],
)
