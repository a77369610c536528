"""The events that `deploy.py local` posts: those of a made-up shop, signed, in Stripe's form.

Among them are events that come twice or out of order, forgeries, and one that has no id.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

CUSTOMERS = 40
DUPLICATES = 0.1
API_VERSION = "2025-10-29.clover"

Event = dict[str, Any]
Post = tuple[Mapping[str, str], bytes, int]
"""Headers, body, and the status with which a post is to be answered."""


def posts(source: str, secrets: Sequence[str], now: datetime) -> list[Post]:
    """Return what is posted, in this order; `now` is in UTC, without a zone.

    Events are signed with the first of the secrets. The same each time, but for stamps.
    """
    rng = Random(1)  # noqa: S311  # nosec B311
    secret, stamp = secrets[0], int(now.replace(tzinfo=UTC).timestamp())
    bodies = [json.dumps(event, indent=2).encode() for event in events(rng, now)]
    genuine = [*bodies, *rng.sample(bodies, int(len(bodies) * DUPLICATES)), _without_id(bodies[0])]
    rng.shuffle(genuine)
    posted = [(signed(secret, stamp, body), body, 200) for body in genuine]
    for forged in _forgeries(secret, stamp, bodies[0]):
        posted.insert(rng.randrange(len(posted)), forged)
    return posted


def signed(secret: str, stamp: int, body: bytes) -> Mapping[str, str]:
    """Return the headers with which Stripe posts a body at a time, in seconds since 1970.

    https://docs.stripe.com/webhooks#verify-manually
    """
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, "sha256").hex()
    return {
        "content-type": "application/json; charset=utf-8",
        "stripe-signature": f"t={stamp},v1={digest}",
    }


def events(rng: Random, now: datetime) -> list[Event]:
    """Return what happened in the shop, in that order."""
    last = int(now.replace(tzinfo=UTC).timestamp())
    shop = _Shop(rng, last - int(timedelta(days=20).total_seconds()))
    for name in ("Basic", "Plus"):
        shop.offer(name)
    for number in range(1, CUSTOMERS + 1):
        shop.serve(number)
    shop.happens("payout.paid", _payout(shop))
    shop.happens("balance.available", {"object": "balance", "available": [], "livemode": False})
    return shop.events


class _Shop:
    """A shop as time passes: each event is some hours after the one before, or at once."""

    def __init__(self, rng: Random, start: int) -> None:
        self.rng = rng
        self.events: list[Event] = []
        self.now = start
        self._prices: list[Mapping[str, Any]] = []

    def id(self, prefix: str) -> str:
        """Return a new id."""
        letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
        return f"{prefix}_{''.join(self.rng.choices(letters, k=24))}"

    def happens(self, type_of_event: str, of: Mapping[str, Any], after: int = 600) -> None:
        """Add the event that an object, as it is now, is in; `after` seconds at most."""
        self.now += self.rng.randint(0, after)
        self.events.append(
            {
                "id": self.id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now,
                "data": {"object": dict(of)},
                "livemode": False,
                "pending_webhooks": 1,
                "request": {"id": self.id("req"), "idempotency_key": None},
                "type": type_of_event,
            }
        )

    def offer(self, name: str) -> None:
        """Make a product with a price."""
        product = {"id": self.id("prod"), "object": "product", "active": True, "name": name}
        price = {
            "id": self.id("price"),
            "object": "price",
            "currency": "gbp",
            "product": product["id"],
            "unit_amount": self.rng.randint(5, 50) * 100,
        }
        self._prices.append(price)
        self.happens("product.created", product)
        self.happens("price.created", price, after=0)

    def serve(self, number: int) -> None:
        """Have a customer subscribe to a price and pay, or fail to, or have the money back."""
        price = self.rng.choice(self._prices)
        customer = {
            "id": self.id("cus"),
            "object": "customer",
            "email": f"customer{number}@example.com",
            "name": f"Customer {number}",
            "currency": "gbp",
        }
        of_customer = {"customer": customer["id"], "currency": "gbp"}
        subscription = {"id": self.id("sub"), "object": "subscription", **of_customer}
        amount = {**of_customer, "amount": price["unit_amount"]}
        intent = {"id": self.id("pi"), "object": "payment_intent", **amount}
        invoice = {"id": self.id("in"), "object": "invoice", **of_customer}
        invoice |= {"total": price["unit_amount"]}
        self.happens("customer.created", customer, after=40_000)
        self.happens("customer.subscription.created", subscription | {"status": "incomplete"})
        self.happens("invoice.created", invoice | {"status": "draft"}, after=1)
        self.happens("payment_intent.created", intent | {"status": "requires_confirmation"}, 1)
        charge = self._charge(amount, number)
        if self.rng.random() < 0.15:
            failed = charge | {"status": "failed", "paid": False, "failure_code": "card_declined"}
            self.happens("charge.failed", failed, after=2)
            self.happens("payment_intent.payment_failed", intent | {"status": "canceled"}, 1)
            return
        self.happens("charge.succeeded", charge, after=2)
        self.happens("payment_intent.succeeded", intent | {"status": "succeeded"}, after=1)
        self.happens("invoice.paid", invoice | {"status": "paid"}, after=1)
        self.happens("customer.subscription.updated", subscription | {"status": "active"}, 1)
        if self.rng.random() < 0.15:
            self._refund(charge)

    def _charge(self, amount: Mapping[str, Any], number: int) -> Event:
        """Return a charge by card."""
        card = {
            "id": self.id("card"),
            "object": "card",
            "brand": self.rng.choice(["Visa", "MasterCard", "American Express"]),
            "country": "GB",
            "customer": amount["customer"],
            "exp_month": self.rng.randint(1, 12),
            "exp_year": 2029,
            "last4": f"{self.rng.randrange(10_000):04}",
            "name": f"Customer {number}",
            "address_zip": None,
            "metadata": {"channel": "web"},
        }
        charge = {"id": self.id("ch"), "object": "charge", **amount, "paid": True}
        return charge | {"refunded": False, "status": "succeeded", "source": card}

    def _refund(self, charge: Mapping[str, Any]) -> None:
        refund = {"id": self.id("re"), "object": "refund", "charge": charge["id"]}
        refund |= {"amount": charge["amount"], "currency": "gbp", "status": "succeeded"}
        self.happens("charge.refunded", {**charge, "refunded": True})
        self.happens("refund.created", refund, after=0)


def _payout(shop: _Shop) -> Event:
    amounts = [
        event["data"]["object"]["amount"]
        for event in shop.events
        if event["type"] == "charge.succeeded"
    ]
    payout = {"id": shop.id("po"), "object": "payout", "amount": sum(amounts)}
    return payout | {"currency": "gbp", "status": "paid"}


def _without_id(body: bytes) -> bytes:
    event = json.loads(body)
    del event["id"]
    return json.dumps(event).encode()


def _forgeries(secret: str, stamp: int, body: bytes) -> list[Post]:
    """Return posts of an attacker, who has no secret or replays an old post."""
    genuine = signed(secret, stamp, body)
    headers: list[Mapping[str, str]] = [
        signed("whsec_guessed", stamp, body),
        signed(secret, stamp - 3600, body),
        signed(secret, stamp + 3600, body),
        {**genuine, "stripe-signature": "v1=0"},
        {"content-type": "application/json"},
    ]
    return [
        *((each, body, 400) for each in headers),
        (genuine, body.replace(b'"created"', b'"Created"'), 400),
    ]
