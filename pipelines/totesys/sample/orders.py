"""The shop's trades: an order, with its transaction and its payment.

All of it is invented. Both the sample (`history`) and the business day that is simulated while the
sandbox is up (`business_day`) make their rows here. It does no I/O and reads no clock.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from string import ascii_uppercase, digits
from typing import NamedTuple

ADDRESSES = 30
COUNTERPARTIES = 20
CURRENCIES = 3
STAFF = 20

SALES_RECEIPT = 1
PURCHASE_PAYMENT = 3


# The fields of a row are the columns of its table, in the order of source.sql. Stamps are
# `yyyy-mm-dd hh:mm:ss.mmm`, dates `yyyy-mm-dd` and money decimal text: exact, and fast to make.
class SalesOrder(NamedTuple):
    """A row of `sales_order`."""

    sales_order_id: int
    created_at: str
    last_updated: str
    design_id: int
    staff_id: int
    counterparty_id: int
    units_sold: int
    unit_price: str
    currency_id: int
    agreed_delivery_date: str
    agreed_payment_date: str
    agreed_delivery_location_id: int


class PurchaseOrder(NamedTuple):
    """A row of `purchase_order`."""

    purchase_order_id: int
    created_at: str
    last_updated: str
    staff_id: int
    counterparty_id: int
    item_code: str
    item_quantity: int
    item_unit_price: str
    currency_id: int
    agreed_delivery_date: str
    agreed_payment_date: str
    agreed_delivery_location_id: int


class Transaction(NamedTuple):
    """A row of `transaction`."""

    transaction_id: int
    transaction_type: str
    sales_order_id: int | None
    purchase_order_id: int | None
    created_at: str
    last_updated: str


class Payment(NamedTuple):
    """A row of `payment`."""

    payment_id: int
    created_at: str
    last_updated: str
    transaction_id: int
    counterparty_id: int
    payment_amount: str
    currency_id: int
    payment_type_id: int
    paid: bool
    payment_date: str
    company_ac_number: int
    counterparty_ac_number: int


class Trade(NamedTuple):
    """One order with its transaction and its payment: all three or none are written."""

    order: SalesOrder | PurchaseOrder
    transaction: Transaction
    payment: Payment


@dataclass(frozen=True)
class Occasion:
    """When a trade is made, and the ids that its three rows get."""

    order_id: int
    transaction_id: int
    payment_id: int
    day: date
    stamp: str


def sale(rng: Random, on: Occasion, design_id: int) -> Trade:
    """Make a sales order for a design, not paid yet."""
    price, units = rng.randrange(200, 401), rng.randrange(1_000, 100_000)
    order = SalesOrder(
        sales_order_id=on.order_id,
        created_at=on.stamp,
        last_updated=on.stamp,
        design_id=design_id,
        staff_id=rng.randrange(STAFF) + 1,
        counterparty_id=rng.randrange(COUNTERPARTIES) + 1,
        units_sold=units,
        unit_price=_money(price),
        currency_id=rng.randrange(CURRENCIES) + 1,
        agreed_delivery_date=_within(rng, on.day, 7),
        agreed_payment_date=_within(rng, on.day, 6),
        agreed_delivery_location_id=rng.randrange(ADDRESSES) + 1,
    )
    transaction = Transaction(
        on.transaction_id, "SALE", on.order_id, None, created_at=on.stamp, last_updated=on.stamp
    )
    return Trade(order, transaction, _payment(rng, on, order, price * units, SALES_RECEIPT))


def purchase(rng: Random, on: Occasion) -> Trade:
    """Make a purchase order, not paid yet."""
    price, quantity = rng.randrange(300, 100_000), rng.randrange(2, 1_000)
    order = PurchaseOrder(
        purchase_order_id=on.order_id,
        created_at=on.stamp,
        last_updated=on.stamp,
        staff_id=rng.randrange(STAFF) + 1,
        counterparty_id=rng.randrange(COUNTERPARTIES) + 1,
        item_code=item_code(rng),
        item_quantity=quantity,
        item_unit_price=_money(price),
        currency_id=rng.randrange(CURRENCIES) + 1,
        agreed_delivery_date=_within(rng, on.day, 7),
        agreed_payment_date=_within(rng, on.day, 6),
        agreed_delivery_location_id=rng.randrange(ADDRESSES) + 1,
    )
    transaction = Transaction(
        on.transaction_id, "PURCHASE", None, on.order_id, created_at=on.stamp, last_updated=on.stamp
    )
    return Trade(order, transaction, _payment(rng, on, order, price * quantity, PURCHASE_PAYMENT))


def item_code(rng: Random) -> str:
    """Make the code of something the shop buys: seven letters and digits."""
    return "".join(rng.choices(ascii_uppercase + digits, k=7))


def _payment(
    rng: Random, on: Occasion, order: SalesOrder | PurchaseOrder, cents: int, payment_type: int
) -> Payment:
    return Payment(
        payment_id=on.payment_id,
        created_at=on.stamp,
        last_updated=on.stamp,
        transaction_id=on.transaction_id,
        counterparty_id=order.counterparty_id,
        payment_amount=_money(cents),
        currency_id=order.currency_id,
        payment_type_id=payment_type,
        paid=False,
        payment_date=order.agreed_payment_date,
        company_ac_number=rng.randrange(10_000_000, 100_000_000),
        counterparty_ac_number=rng.randrange(10_000_000, 100_000_000),
    )


def _within(rng: Random, day: date, days: int) -> str:
    return (day + timedelta(days=rng.randrange(days + 1))).isoformat()


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
