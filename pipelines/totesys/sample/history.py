"""The shop's sample data: two years of trading, invented, the same for the same arguments.

It behaves like the live system: one order makes one transaction and one payment with the same
stamp, stamps repeat, ids are not quite in the order of time, and a payment that falls due on a
weekday turns paid at 07:55:11 that morning. It does no I/O and reads no clock.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from random import Random

from pipelines.totesys.sample.dimensions import Row, design, dimensions
from pipelines.totesys.sample.orders import Occasion, Payment, SalesOrder, Trade, purchase, sale

TRADING_DAYS = 520
SALES_ORDERS = 11_000
PURCHASE_ORDERS = 4_600
DESIGNS = 600
DESIGNS_AT_OPENING = 8

# Rows are handed out by so many trades at a time: memory stays the same at any scale.
CHUNK = 20_000

LARGEST_BURST = 37
BURSTS = 0.002
SWAPS = 0.02
# Orders whose delivery was put off later on, which leaves no trace in `last_updated`.
PUT_OFF = 0.007


def sample(scale: float, seed: int, now: datetime) -> Iterator[tuple[str, list[Row]]]:
    """Yield (table, rows) with parents before children; the last business day before `now` ends it.

    Rows have the columns of source.sql. `scale` multiplies designs, orders, transactions and
    payments; 1.0 is 11,000 sales orders and 4,600 purchase orders.
    """
    rng = Random(seed)  # noqa: S311  # nosec B311  # must repeat; nothing here is a secret
    days = business_days(now.date(), TRADING_DAYS)
    opening = f"{days[0]} 07:30:00.000"
    yield from dimensions(rng, opening)

    design_days = _design_days(rng, max(DESIGNS_AT_OPENING, round(DESIGNS * scale)))
    yield "design", list(_designs(rng, design_days, days, opening))

    trades = _trades(
        rng, round(SALES_ORDERS * scale), round(PURCHASE_ORDERS * scale), design_days, days
    )
    while chunk := list(islice(trades, CHUNK)):
        sales = [trade.order for trade in chunk if isinstance(trade.order, SalesOrder)]
        yield "sales_order", list[Row](sales)
        purchases = [trade.order for trade in chunk if not isinstance(trade.order, SalesOrder)]
        yield "purchase_order", list[Row](purchases)
        yield "transaction", [trade.transaction for trade in chunk]
        yield "payment", [trade.payment for trade in chunk]


def business_days(before: date, count: int) -> list[date]:
    """Return the last `count` days from Monday to Friday before a day, oldest first."""
    days: list[date] = []
    day = before
    while len(days) < count:
        day -= timedelta(days=1)
        if day.weekday() < 5:
            days.append(day)
    return days[::-1]


def _design_days(rng: Random, designs: int) -> list[int]:
    """Return for each design the number of the trading day on which it was drawn, ascending."""
    later = (rng.randrange(TRADING_DAYS - 1) for _ in range(designs - DESIGNS_AT_OPENING))
    return [0] * DESIGNS_AT_OPENING + sorted(later)


def _designs(
    rng: Random, design_days: Sequence[int], days: Sequence[date], opening: str
) -> Iterator[Row]:
    for i, day in enumerate(design_days):
        stamp = opening if i < DESIGNS_AT_OPENING else _stamp(days[day], _moment(rng))
        yield design(rng, i + 1, stamp)


def _trades(
    rng: Random, sales: int, purchases: int, design_days: Sequence[int], days: Sequence[date]
) -> Iterator[Trade]:
    """Yield all trades by id; sales and purchases are mixed at random and come out exactly."""
    total = sales + purchases
    sold = bought = 0
    paid_at = _paying_runs(rng, days)
    for number, day in enumerate(days):
        # Designs of the same day may be younger than the order.
        designs = max(DESIGNS_AT_OPENING, bisect_right(design_days, number - 1))
        count = total * (number + 1) // len(days) - total * number // len(days)
        for stamp in _stamps(rng, day, count):
            serial = sold + bought + 1
            if rng.random() * (total - serial + 1) < sales - sold:
                sold += 1
                on = Occasion(sold, serial, serial, day, stamp)
                trade = sale(rng, on, rng.randrange(designs) + 1)
            else:
                bought += 1
                trade = purchase(rng, Occasion(bought, serial, serial, day, stamp))
            yield _as_it_is_now(rng, trade, day, days[-1], paid_at)


def _stamps(rng: Random, day: date, count: int) -> Iterator[str]:
    """Yield the stamps of one day's orders in the order of their ids: nearly that of time."""
    moments: list[int] = []
    while len(moments) < count:
        burst = rng.randint(2, LARGEST_BURST) if rng.random() < BURSTS else 1
        moments += [_moment(rng)] * burst
    moments = sorted(moments[:count])
    for i in range(1, count):
        if rng.random() < SWAPS:
            moments[i - 1], moments[i] = moments[i], moments[i - 1]
    return (_stamp(day, moment) for moment in moments)


def _moment(rng: Random) -> int:
    """Return a moment from 08:00 to 18:59, in milliseconds from 08:00."""
    # The shop's own jobs start on the minute and write some ten seconds later.
    return rng.randrange(11 * 60) * 60_000 + rng.randrange(9_700, 10_700)


def _stamp(day: date, moment: int) -> str:
    minutes, milliseconds = divmod(moment, 60_000)
    hour, minute = divmod(minutes, 60)
    return f"{day} {8 + hour:02}:{minute:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _paying_runs(rng: Random, days: Sequence[date]) -> Mapping[str, str]:
    """Return for each business day the stamp at which all payments of that day turn paid."""
    return {f"{day}": f"{day} 07:55:11.{rng.randrange(1000):03}" for day in days}


def _as_it_is_now(
    rng: Random, trade: Trade, day: date, today: date, paid_at: Mapping[str, str]
) -> Trade:
    """Return the trade with what has happened to it since: delivery put off, payment made."""
    order, transaction, payment = trade
    if rng.random() < PUT_OFF:
        put_off = day + timedelta(days=rng.randrange(8, 100))
        latest = min(put_off, today + timedelta(days=7))
        order = order._replace(agreed_delivery_date=latest.isoformat())
    return Trade(order, transaction, _settled(payment, day, paid_at))


def _settled(payment: Payment, day: date, paid_at: Mapping[str, str]) -> Payment:
    stamp = paid_at.get(payment.payment_date)
    # A payment that is due on the day of its order has missed that morning's run for good.
    if stamp is None or payment.payment_date == day.isoformat():
        return payment
    return payment._replace(paid=True, last_updated=stamp)
