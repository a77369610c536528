"""stripe: the events that Stripe posts, a staging table for each family of types.

How to set it up, and what the tables and views say, is in `docs/stripe.md`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from etl import (
    WHOLE,
    BigInteger,
    Boolean,
    Column,
    EventFeed,
    EventList,
    Events,
    Json,
    Pipeline,
    PostgresWarehouse,
    RowExport,
    StampedSignature,
    Table,
    Text,
    UnixTime,
    View,
    once,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series

COLUMNS: dict[str, Column] = {
    "id": Text(), "type": Text(), "created": UnixTime(), "api_version": Text(nullable=True),
    "livemode": Boolean(nullable=True), "object_id": Text(nullable=True),
    "amount": BigInteger(nullable=True), "currency": Text(nullable=True),
    "customer": Text(nullable=True), "status": Text(nullable=True), "raw": Json(binary=True),
}  # fmt: skip


# Of a type without a family nothing is known: its objects may have anything in these fields.
OF_OBJECTS = ("amount", "currency", "customer", "status")
ANYTHING = {**COLUMNS, **dict.fromkeys(OF_OBJECTS, Json(nullable=True))}


def family(
    name: str, *types: str, amount: str = "amount", columns: Mapping[str, Column] = COLUMNS
) -> EventFeed:
    """Return the feed of a family of types, whose objects have their amount in a field."""
    fields = {
        **{column: column for column in ("id", "type", "created", "api_version", "livemode")},
        **{column: f"data.object.{column}" for column in ("currency", "customer", "status")},
        "object_id": "data.object.id",
        "amount": f"data.object.{amount}",
        "raw": WHOLE,
    }
    return EventFeed(Table(name, key="id", columns=columns), types, fields)


# An event goes to the first family that it fits.
FAMILIES = (
    family("refund", "refund.*", "charge.refund.*"),
    family("dispute", "charge.dispute.*"),
    family("charge", "charge.*"),
    family("subscription", "customer.subscription.*"),
    family("customer", "customer.*"),
    family("invoice", "invoice.*", amount="total"),
    family("payment_intent", "payment_intent.*"),
    family("payout", "payout.*"),
    family("product", "product.*"),
    family("price", "price.*", amount="unit_amount"),
    family("checkout_session", "checkout.session.*", amount="amount_total"),
    family("other", "*", columns=ANYTHING),
)

# `created` has whole seconds: which of several events of the newest one came last is not known.
CURRENT = """
SELECT object_id, id AS event_id, type, created, api_version, livemode, amount, currency, customer,
       status, raw -> 'data' -> 'object' AS object, is_tied
FROM (
    SELECT *,
           rank() OVER (PARTITION BY object_id ORDER BY created DESC) AS place,
           count(*) OVER (PARTITION BY object_id, created) > 1 AS is_tied
    FROM {staging}
    WHERE object_id IS NOT NULL
) AS events
WHERE place = 1
"""


def payment_source(event: Mapping[str, Any]) -> dict[str, str] | None:
    """Return `data.object.source` of an event as cells; None where there is none."""
    match json.loads(event["raw"], parse_float=str):
        case {"data": {"object": {"source": dict(source)}}}:
            return dict(flattened(source))
    return None


def flattened(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of an object, and those of objects in it as `outer.inner`, as text."""
    for name, value in fields.items():
        match value:
            case dict():
                yield from flattened(value, f"{prefix}{name}.")
            case None | str():
                yield f"{prefix}{name}", value or ""
            case _:
                yield f"{prefix}{name}", json.dumps(value)


@once(key="id", columns=COLUMNS)
def other_staging(other: "DataFrame") -> "DataFrame":
    """Events of other types; NULL where a field is not what it is in a family."""
    from pandas import Series

    def values(column: str, is_one: Callable[[Any], bool], kind: str) -> "Series[Any]":
        found = [json.loads(text) if isinstance(text, str) else None for text in other[column]]
        return Series([each if is_one(each) else None for each in found], other.index, kind)

    return other.assign(
        amount=values("amount", is_bigint, "Int64"),
        **{name: values(name, is_text, "string") for name in OF_OBJECTS[1:]},
    )


def is_bigint(value: object) -> bool:
    """Return whether a value of JSON is a whole number of 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_text(value: object) -> bool:
    """Return whether a value of JSON is a text."""
    return isinstance(value, str)


STAGING = {
    each.table.name: once(each.table, name=f"{each.table.name}_staging") for each in FAMILIES[:-1]
} | {"other": other_staging}

PIPELINE = Pipeline(
    sources=[
        Events(
            "stripe", StampedSignature(), FAMILIES, required=("created", "data.object"),
            missed=EventList("https://api.stripe.com/v1/events"),
        ),
    ],
    targets=[
        PostgresWarehouse(
            "warehouse", tuple(STAGING.values()), schema="stripe",
            views=tuple(
                View(f"current_{name}", CURRENT.format(staging=table.name))
                for name, table in STAGING.items()
            ),
            row_exports=tuple(
                RowExport(table, payment_source, name=("type", "id")) for table in STAGING.values()
            ),
        )
    ],
)  # fmt: skip
