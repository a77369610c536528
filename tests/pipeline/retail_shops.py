"""Made-up shops for retail's models: few days and products, so that ties and borders are common."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from tests.pipeline.retail_oracle import Row, Shop

# Near the ends of years and of Februaries, and on holidays.
NEWEST = (
    date(2022, 9, 5), date(2024, 2, 29), date(2025, 2, 28), date(2024, 12, 31), date(2025, 1, 1),
    date(2022, 10, 1), date(2023, 10, 3),
)  # fmt: skip


def random_shop(rng: Random) -> Shop:
    """Return a shop of a year and a half."""
    newest = rng.choice(NEWEST)
    orders = [_order(rng, number, newest) for number in range(1, rng.choice((2, 40, 300)))]
    reviews = [
        {"review": rng.randint(1, 5), "product_id": rng.randint(1, 4)}
        for _ in range(rng.choice((0, 3, 12, 60)))
    ]
    products = [{"product_id": number, "product_name": f"Nr, {number}"} for number in (1, 3, 3)]
    shipments = list(_shipments(rng, orders))
    return Shop(orders, reviews, shipments, products if rng.random() < 0.5 else [])


def _order(rng: Random, number: int, newest: date) -> Row:
    # Half of the orders are of days on which something counts or just does not.
    edges = (0, 1, 14, 15, 16, 364, 365, 366, 367)
    back = rng.choice(edges) if rng.random() < 0.5 else rng.randrange(540)
    return {
        "order_id": number,
        "customer_id": rng.randint(1, 25),
        "order_date": newest - timedelta(back) if rng.random() < 0.98 else None,
        "product_id": rng.randint(1, 4),
        "unit_price": rng.randint(100, 999),
        "quantity": rng.randint(1, 3),
        "total_price": 0,
    }


def _shipments(rng: Random, orders: Sequence[Row]) -> Iterator[Row]:
    for number, order in enumerate(orders, 1):
        ordered = order["order_date"] or date(2022, 1, 1)
        shipped = ordered + timedelta(rng.choice((0, 1, 5, 6, 7, 20)))
        is_shipped = rng.random() < 0.6
        yield {
            "shipment_id": number,
            "order_id": order["order_id"],
            "shipment_date": shipped if is_shipped else None,
            "delivery_date": shipped + timedelta(2) if rng.random() < 0.4 else None,
        }
