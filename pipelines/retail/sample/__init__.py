"""The files that `deploy.py local` drops: those of a made-up shop, in the form of a real one's."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from pipelines.retail.pipeline import FEEDS

ORDERS = 10_000
REVIEWS = 7_000
DAYS = 613  # of trading, up to yesterday
PRODUCTS = (
    "Adire Scarf", "Agbada", "Aso Oke Cap", "Bead Necklace", "Brass Bangle", "Calabash Bowl",
    "Camwood Soap", "Cowrie Bracelet", "Djembe", "Ebony Mask", "Gele", "Goatskin Bag",
    "Hand Broom", "Indigo Cloth", "Kente Stole", "Kola Dish", "Leather Pouffe", "Palm Basket",
    "Raffia Mat", "Shea Butter", "Talking Drum", 'Tray, "Bida" brass', "Udu Pot", "Woven Fan",
    "Zobo Tea",
)  # fmt: skip

Rows = Sequence[tuple[object, ...]]

_HEADERS = {feed.pattern: tuple(feed.table.columns) for feed in FEEDS}


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the files of a drop, by key; `now` is in UTC, without a zone. The same each time."""
    rng = Random(1)  # noqa: S311  # nosec B311  a sample is no secret
    orders, shipments = _orders(rng, now)
    rows: dict[str, Rows] = {
        "orders.csv": orders,
        "reviews.csv": [(rng.randint(1, 5), _product(rng)) for _ in range(REVIEWS)],
        "shipment_deliveries.csv": shipments,
        "products.csv": list(enumerate(PRODUCTS, 1)),
    }
    return {key: _csv(key, each) for key, each in rows.items()}


def bad_files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return a later drop of the files that belong together, with some rows that are refused."""
    good = files(source, now)
    wrong = {
        "orders.csv": [
            f"{ORDERS + 1},7,{now:%Y}-02-30,3,250,ten,2500",
            f"{ORDERS + 2},7,{now:%Y}-01-02,3,250",
            "",
        ],
        "reviews.csv": ["five,21", "3,1,5"],
        "shipment_deliveries.csv": [f"{ORDERS + 1},,{now:%Y}-01-09,"],
    }
    return {
        key: good[key] + "".join(f"{line}\n" for line in lines).encode()
        for key, lines in wrong.items()
    }


def _orders(rng: Random, now: datetime) -> tuple[Rows, Rows]:
    """Return orders, and a shipment of each: two thirds of them are not shipped yet."""
    orders: list[tuple[object, ...]] = []
    shipments: list[tuple[object, ...]] = []
    last = now.date() - timedelta(days=1)
    for number in range(1, ORDERS + 1):
        ordered = last - timedelta(days=rng.randrange(DAYS))
        price, pieces = rng.randint(100, 999), rng.randint(1, 10)
        customer = rng.randint(1, 25)
        orders.append((number, customer, ordered, _product(rng), price, pieces, price * pieces))
        shipped = ordered + timedelta(days=rng.randint(1, 6))
        delivered = shipped + timedelta(days=rng.randint(1, 3))
        is_shipped, is_delivered = rng.random() < 1 / 3, rng.random() < 2 / 3
        shipments.append(
            (
                number,
                number,
                shipped if is_shipped else "",
                delivered if is_shipped and is_delivered else "",
            )
        )
    return orders, shipments


def _product(rng: Random) -> int:
    return rng.randint(1, len(PRODUCTS))


def _csv(key: str, rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADERS[key])
    writer.writerows(rows)
    return text.getvalue().encode()
