"""Files of a market day, and of one on which a clerk was in a hurry."""

from collections.abc import Mapping
from datetime import datetime

PRICES = b"fruit;price\napple;0.50\npear;0.70\n"
STALLS = b'{"stall_id": 1, "owner": "Ann"}\n{"stall_id": 2, "owner": "Bob"}\n'


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return what is dropped for a source."""
    if source == "stalls":
        return {"north/stalls.json": STALLS}
    sales = "".join(f"apple,{pieces},{now:%Y-%m-%d}\n" for pieces in range(1, 41))
    return {"price.csv": PRICES, "sale.csv": f"fruit,pieces,day\n{sales}".encode()}


def bad_files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the later drop: one sale of `ten` pieces."""
    if source == "stalls":
        return {}
    dropped = dict(files(source, now))
    dropped["sale.csv"] += f"pear,ten,{now:%Y-%m-%d}\n".encode()
    return dropped
