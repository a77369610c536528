"""Events of two families, and one table for all others."""

from etl import (
    WHOLE,
    BigInteger,
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

COLUMNS = {
    "id": Text(),
    "type": Text(),
    "amount": BigInteger(nullable=True),
    "raw": Json(binary=True),
}
FIELDS = {"id": "id", "type": "type", "amount": "data.object.amount", "raw": WHOLE}

charges = Table("charges", key="id", columns=COLUMNS)
customers = Table("customers", key="id", columns=COLUMNS)
others = Table("others", key="id", columns=COLUMNS)

PIPELINE = Pipeline(
    sources=[
        Events(
            "source",
            StampedSignature(),
            (
                EventFeed(charges, ("charge.*",), FIELDS),
                EventFeed(customers, ("customer.*",), FIELDS),
                EventFeed(others, ("*",), FIELDS),
            ),
            required=("data.object",),
        )
    ],
    targets=[PostgresWarehouse("warehouse", (once(charges), once(customers), once(others)))],
)
