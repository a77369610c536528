"""The three analyses of retail in plain Python, written apart from the pipeline's SQL.

Rows are dictionaries of Python's values; an empty date is None.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from holidays import country_holidays

Row = Mapping[str, Any]
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
STARS = ("one", "two", "three", "four", "five")


@dataclass
class Shop:
    """The rows of a shop's files."""

    orders: Sequence[Row]
    reviews: Sequence[Row] = ()
    shipments: Sequence[Row] = ()
    products: Sequence[Row] = ()
    country: str = "NG"
    dates: dict[int, list[date | None]] = field(init=False)
    newest: date | None = field(init=False)

    def __post_init__(self) -> None:
        self.dates = {}
        for order in self.orders:
            self.dates.setdefault(order["order_id"], []).append(order["order_date"])
        self.newest = max(
            (day for days in self.dates.values() for day in days if day), default=None
        )
        self.holidays = country_holidays(self.country)


def public_holidays(shop: Shop, day: date) -> dict[str, Any]:
    """Count the orders of the year up to the newest one, on holidays that are no weekend."""
    before = _a_year_before(shop.newest) if shop.newest else date.max
    counted = Counter(
        ordered.month
        for ordered in (order["order_date"] for order in shop.orders)
        if ordered is not None
        and before < ordered
        and ordered.weekday() not in (5, 6)
        and ordered in shop.holidays
    )
    months = {f"tt_order_hol_{name}": counted[number] for number, name in enumerate(MONTHS, 1)}
    return {"ingestion_date": day, **months}


def shipments(shop: Shop, day: date, reading: str = "at-least") -> dict[str, Any]:
    """Count what is late and what is undelivered."""
    late = undelivered = 0
    for shipment in shop.shipments:
        for ordered in shop.dates.get(shipment["order_id"], []):
            late += _is_late(shipment, ordered)
            if shipment["shipment_date"] or shipment["delivery_date"] or not ordered:
                continue
            assert shop.newest
            age = shop.newest - ordered
            fifteen = timedelta(15)
            undelivered += age == fifteen if reading == "exactly" else age >= fifteen
    return {
        "ingestion_date": day, "tt_late_shipments": late, "tt_undelivered_items": undelivered,
    }  # fmt: skip


def best_product(shop: Shop, day: date) -> dict[str, Any]:
    """Describe the product with most review points, the lowest number among equals."""
    points: Counter[int] = Counter()
    for review in shop.reviews:
        points[review["product_id"]] += review["review"]
    best = min(points, key=lambda product: (-points[product], product), default=None)
    its = [each["review"] for each in shop.reviews if each["product_id"] == best]
    ordered = _busiest_day(shop, best)
    early, late = _delays(shop, best)
    return {
        "ingestion_date": day,
        "product_name": _name(shop, best),
        "most_ordered_day": ordered,
        "is_public_holiday": ordered is not None and ordered in shop.holidays,
        "tt_review_points": points[best] if best is not None else 0,
        **{
            f"pct_{name}_star_review": _percentage(number == each for each in its)
            for number, name in enumerate(STARS, 1)
        },
        "pct_early_shipments": _percentage(early),
        "pct_late_shipments": _percentage(late),
    }


def _a_year_before(day: date) -> date:
    is_leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - 1, day=28 if is_leap_day else day.day)


def _is_late(shipment: Row, ordered: date | None) -> bool:
    shipped = shipment["shipment_date"]
    if shipped is None or ordered is None or shipment["delivery_date"] is not None:
        return False
    return bool((shipped - ordered).days >= 6)


def _busiest_day(shop: Shop, product: int | None) -> date | None:
    pieces: Counter[date] = Counter()
    for order in shop.orders:
        if order["product_id"] == product and order["order_date"]:
            pieces[order["order_date"]] += order["quantity"]
    return min(pieces, key=lambda each: (-pieces[each], each), default=None)


def _delays(shop: Shop, product: int | None) -> tuple[list[bool], list[bool]]:
    """Return of each shipped order of a product whether it is early, and whether it is late."""
    early, late = [], []
    of_product = {each["order_id"] for each in shop.orders if each["product_id"] == product}
    for shipment in shop.shipments:
        if shipment["shipment_date"] is None or shipment["order_id"] not in of_product:
            continue
        [ordered] = shop.dates[shipment["order_id"]]
        early.append(ordered is not None and (shipment["shipment_date"] - ordered).days < 6)
        late.append(_is_late(shipment, ordered))
    return early, late


def _name(shop: Shop, product: int | None) -> str | None:
    if product is None:
        return None
    names = [each["product_name"] for each in shop.products if each["product_id"] == product]
    return min(names, default=f"product {product}")


def _percentage(hits: Iterable[bool]) -> Decimal | None:
    found = list(hits)
    if not found:
        return None
    exact = Decimal(100 * sum(found)) / Decimal(len(found))
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
