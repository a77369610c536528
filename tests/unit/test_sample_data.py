"""The sample behaves as the live system does, so that what works on it works on the real thing."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import pytest

from pipelines.totesys.sample.dimensions import Row
from pipelines.totesys.sample.history import business_days, sample
from pipelines.totesys.sample.orders import Payment, PurchaseOrder, SalesOrder, Transaction

NOW = datetime(2024, 11, 16, 12)  # a Saturday
TODAY = date(2024, 11, 15)


class Shop(NamedTuple):
    """The sample by table; the four big tables as the rows' own types."""

    tables: dict[str, list[Row]]
    sales: list[SalesOrder]
    purchases: list[PurchaseOrder]
    transactions: list[Transaction]
    payments: list[Payment]


@cache
def shop(scale: float = 1.0, seed: int = 1) -> Shop:
    tables: dict[str, list[Row]] = {}
    for table, rows in sample(scale, seed, NOW):
        tables.setdefault(table, []).extend(rows)
    return Shop(
        tables,
        [SalesOrder._make(row) for row in tables["sales_order"]],
        [PurchaseOrder._make(row) for row in tables["purchase_order"]],
        [Transaction._make(row) for row in tables["transaction"]],
        [Payment._make(row) for row in tables["payment"]],
    )


def column(table: str, number: int) -> list[object]:
    return [row[number] for row in shop().tables[table]]


def test_the_sample_has_about_the_size_of_the_real_thing() -> None:
    """A demonstration at scale 1 is as large as the live system, and so says something about it."""
    assert {table: len(rows) for table, rows in shop().tables.items()} == {
        "address": 30,
        "counterparty": 20,
        "currency": 3,
        "department": 8,
        "payment_type": 4,
        "staff": 20,
        "design": 600,
        "sales_order": 11_000,
        "purchase_order": 4_600,
        "transaction": 15_600,
        "payment": 15_600,
    }


def test_scale_multiplies_what_grows_and_nothing_else() -> None:
    """`--scale` makes more orders of the same shop."""
    counts = {table: len(rows) for table, rows in shop(0.1).tables.items()}
    assert (counts["sales_order"], counts["purchase_order"]) == (1_100, 460)
    assert (counts["transaction"], counts["payment"], counts["design"]) == (1_560, 1_560, 60)
    assert (counts["address"], counts["staff"]) == (30, 20)


def test_the_same_arguments_give_the_same_shop() -> None:
    """A number that somebody reports can be checked by somebody else."""
    assert list(sample(0.1, 1, NOW)) == list(sample(0.1, 1, NOW))
    assert shop(0.1, seed=1).sales != shop(0.1, seed=2).sales


def test_ids_count_from_one_without_gaps() -> None:
    """The sequences can go on where the sample ends."""
    for table, rows in shop().tables.items():
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), table


def test_one_order_makes_one_transaction_and_one_payment() -> None:
    """The three facts and dim_transaction agree with each other, to the penny and millisecond."""
    made = shop()
    transactions = {each.transaction_id: each for each in made.transactions}
    sales = {each.sales_order_id: each for each in made.sales}
    purchases = {each.purchase_order_id: each for each in made.purchases}
    for payment in made.payments:
        transaction = transactions.pop(payment.transaction_id)
        order: SalesOrder | PurchaseOrder
        if transaction.sales_order_id is not None:
            order = sales.pop(transaction.sales_order_id)
            amount = order.units_sold * Decimal(order.unit_price)
            kind = ("SALE", 1)
        else:
            order = purchases.pop(transaction.purchase_order_id or 0)
            amount = order.item_quantity * Decimal(order.item_unit_price)
            kind = ("PURCHASE", 3)
        assert (transaction.transaction_type, payment.payment_type_id) == kind
        assert None in (transaction.sales_order_id, transaction.purchase_order_id)
        assert (payment.created_at, transaction.created_at) == (order.created_at, order.created_at)
        assert Decimal(payment.payment_amount) == amount
        assert payment.counterparty_id == order.counterparty_id
        assert payment.currency_id == order.currency_id
        assert payment.payment_date == order.agreed_payment_date
    assert (transactions, sales, purchases) == ({}, {}, {})


def test_every_parent_exists() -> None:
    """The sample is loaded without checks of foreign keys, and they hold all the same."""
    made = shop()
    ids = {table: {row[0] for row in rows} for table, rows in made.tables.items()}
    orders: list[SalesOrder | PurchaseOrder] = [*made.sales, *made.purchases]
    assert {each.design_id for each in made.sales} <= ids["design"]
    assert {each.staff_id for each in orders} <= ids["staff"]
    assert {each.counterparty_id for each in orders} <= ids["counterparty"]
    assert {each.currency_id for each in orders} <= ids["currency"]
    assert {each.agreed_delivery_location_id for each in orders} <= ids["address"]
    assert {each.payment_type_id for each in made.payments} <= ids["payment_type"]
    assert set(column("counterparty", 2)) <= ids["address"]
    assert set(column("staff", 3)) <= ids["department"]


def test_an_order_is_younger_than_its_design() -> None:
    """No history shows a design sold before it was drawn."""
    drawn = dict(zip(column("design", 0), column("design", 1), strict=True))
    assert [each for each in shop().sales if str(drawn[each.design_id]) > each.created_at] == []


def test_the_shop_trades_on_weekdays_in_office_hours() -> None:
    """No order is made at a weekend, at night, or later than the last business day before now."""
    stamps = [datetime.fromisoformat(each.created_at) for each in shop().transactions]
    assert {stamp.weekday() for stamp in stamps} == {0, 1, 2, 3, 4}
    assert {stamp.hour for stamp in stamps} == set(range(8, 19))
    assert max(stamps).date() == TODAY


def test_stamps_repeat_and_ids_are_not_in_their_order() -> None:
    """A pipeline that relies on stamps to be unique, or ids to be in their order, fails on this."""
    stamps = [each.created_at for each in shop().transactions]
    assert 10 <= max(Counter(stamps).values()) <= 37
    assert any(earlier > later for earlier, later in pairwise(stamps))


@pytest.mark.parametrize("seed", range(5))
def test_a_payment_is_paid_on_the_morning_of_its_day(seed: int) -> None:
    """`paid` and `last_updated` move together, at 07:55:11 on a weekday after the order's own."""
    for payment in shop(0.1, seed).payments:
        due, made = date.fromisoformat(payment.payment_date), payment.created_at[:10]
        run_has_been = due.weekday() < 5 and due <= TODAY and payment.payment_date > made
        assert payment.paid == run_has_been
        if payment.paid:
            assert payment.last_updated[:19] == f"{due} 07:55:11"
        else:
            assert payment.last_updated == payment.created_at


def test_dates_run_about_a_week_past_today_and_no_further() -> None:
    """The calendar dimension is needed beyond today, as in the live system."""
    orders: list[SalesOrder | PurchaseOrder] = [*shop().sales, *shop().purchases]
    deliveries = [each.agreed_delivery_date for each in orders]
    assert (TODAY + timedelta(days=5)).isoformat() < max(deliveries)
    assert max(deliveries) <= (TODAY + timedelta(days=7)).isoformat()
    assert max(each.payment_date for each in shop().payments) <= max(deliveries)


def test_some_deliveries_were_put_off_without_a_trace() -> None:
    """As in the live system, an order's delivery may have changed while its stamps say nothing."""
    late = [
        each
        for each in shop().sales
        if date.fromisoformat(each.agreed_delivery_date) - date.fromisoformat(each.created_at[:10])
        > timedelta(days=7)
    ]
    assert 40 <= len(late) <= 120
    assert {each.last_updated == each.created_at for each in late} == {True}


@pytest.mark.parametrize("seed", range(5))
def test_text_is_as_awkward_as_the_real_text(seed: int) -> None:
    """NULLs, apostrophes, accents, commas and leading zeros are in every sample to go wrong on."""
    tables = shop(0.1, seed).tables
    addresses = [[str(value) for value in row] for row in tables["address"]]
    assert (sum(row[2] == "None" for row in addresses)) == 20
    assert (sum(row[3] == "None" for row in addresses)) == 14
    assert sum(row[5].startswith("0") for row in addresses) >= 6
    assert all(row[7].startswith("0") for row in addresses)
    assert any("'" in row[6] for row in addresses)
    staff = [str(row[2]) for row in tables["staff"]]
    assert any("'" in name for name in staff)
    assert any(not name.isascii() for name in staff)
    assert any("," in str(row[1]) for row in tables["counterparty"])
    assert len({row[4] for row in tables["staff"]}) == 20


def test_business_days_leave_weekends_out() -> None:
    """Monday follows Friday."""
    assert business_days(date(2024, 11, 19), 3) == [
        date(2024, 11, 14),
        date(2024, 11, 15),
        date(2024, 11, 18),
    ]
