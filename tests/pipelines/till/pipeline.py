"""A till that posts each sale, signed as Stripe does it, and a stock that signs as GitHub does."""

from etl import (
    WHOLE,
    BodySignature,
    EventFeed,
    Events,
    Json,
    Pipeline,
    PostgresWarehouse,
    StampedSignature,
    Table,
    Text,
    once,
)

WHAT = {"id": Text(), "type": Text(), "amount": Text(nullable=True), "raw": Json(binary=True)}
WHERE = {"id": "id", "type": "type", "amount": "data.amount", "raw": WHOLE}

sale = Table("sale", key="id", columns=WHAT)
other = Table("other", key="id", columns=WHAT)
delivery = Table("delivery", key="id", columns={"id": Text(), "raw": Json(binary=True)})

PIPELINE = Pipeline(
    sources=[
        Events(
            "till",
            StampedSignature("Till-Signature"),
            feeds=(EventFeed(sale, ("sale.*",), WHERE), EventFeed(other, ("*",), WHERE)),
        ),
        Events(
            "stock",
            BodySignature(),
            feeds=(EventFeed(delivery, ("*",), {"id": "header:X-GitHub-Delivery", "raw": WHOLE}),),
            id="header:X-GitHub-Delivery",
            type="header:X-GitHub-Event",
            optional=True,
        ),
    ],
    targets=[
        PostgresWarehouse(
            "warehouse", tables=(once(sale), once(other), once(delivery)), schema="till"
        )
    ],
)
