"""A provider that posts events at random, forgers who do so too, and what each is to be answered.

The signatures are made by the standard library alone.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Literal
from uuid import uuid4

SECRET = "whsec_of the tests"
PATH = "/webhooks/source"
TYPES = ["charge.paid", "charge.failed", "customer.made", "payout.paid", "x"]
DUPLICATES = 0.1
FORGED = 0.1

Forgery = Literal["secret", "byte", "stamp", "header", "form", "path", "method", "size"]
ANSWERS: dict[Forgery, int] = {
    "secret": 400,
    "byte": 400,
    "stamp": 400,
    "header": 400,
    "form": 400,
    "path": 404,
    "method": 405,
    "size": 413,
}
NO_EVENTS = [b"[]", b"\xff", b'{"id": NaN}', b'{"id": "a", "id": "b"}', b"{", b""]


@dataclass(frozen=True)
class Post:
    """A request: a body, and what is forged about it; `answer` is the expected status.

    `id` is that of an event that is to be in the table `table`, or in its errors if it `is_wrong`.
    """

    body: bytes
    answer: int = 200
    forged: Forgery | None = None
    id: str = ""
    table: str = ""
    is_wrong: bool = False

    def request(self) -> dict[str, Any]:
        """Return the request of an HTTP API, signed now."""
        stamp = int(time.time()) - (301 if self.forged == "stamp" else 0)
        body = self.body + b" " * (750_001 if self.forged == "size" else 0)
        secret = "whsec_another" if self.forged == "secret" else SECRET
        headers = {"Stripe-Signature": _signature(secret, stamp, body)}
        if self.forged == "header":
            headers = {"Stripe-Signature": "t=now,v1="}
        changed = body.replace(b"1", b"2") + b" " if self.forged == "byte" else body
        return {
            "version": "2.0",
            "rawPath": "/webhooks" if self.forged == "path" else PATH,
            "headers": {name.lower(): value for name, value in headers.items()},
            "requestContext": {
                "requestId": str(uuid4()),
                "http": {"method": "PUT" if self.forged == "method" else "POST"},
            },
            "body": base64.b64encode(changed).decode(),
            "isBase64Encoded": True,
        }


def _signature(secret: str, stamp: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return f"t={stamp},v1={digest.hexdigest()}"


def posts(random: Random, events: int) -> list[Post]:
    """Return posts of so many events, and those of them that come twice, in random order."""
    made = [_event(random, number) for number in range(events)]
    again = random.sample(made, int(events * DUPLICATES))
    forged = [_forgery(random, number) for number in range(int(events * FORGED))]
    mixed = [*made, *again, *forged]
    random.shuffle(mixed)
    return mixed


def _event(random: Random, number: int) -> Post:
    name = f"evt_{number}"
    kind = random.choice(TYPES)
    event: dict[str, Any] = {"id": name, "type": kind, "created": 1_700_000_000 + number}
    event["data"] = {"object": {"amount": random.choice([None, number, 10**18]), "note": "é\n"}}
    family = kind.partition(".")[0]
    table = {"charge": "charges", "customer": "customers"}.get(family, "others")
    is_wrong = random.random() < 0.03
    if is_wrong:
        random.choice([_without_id, _without_object, _of_text])(event)
    event["nonce"] = name
    return Post(json.dumps(event).encode(), id=name, table=table, is_wrong=is_wrong)


def _without_id(event: dict[str, Any]) -> None:
    del event["id"]


def _without_object(event: dict[str, Any]) -> None:
    event["data"] = {}


def _of_text(event: dict[str, Any]) -> None:
    event["data"]["object"]["amount"] = "much"


def _forgery(random: Random, number: int) -> Post:
    forged = random.choice(list(ANSWERS))
    body = json.dumps({"id": f"forged_{number}1", "type": "charge.paid", "data": {"object": {}}})
    if forged == "form":  # it is signed, and no event
        return Post(random.choice(NO_EVENTS), ANSWERS[forged])
    return Post(body.encode(), ANSWERS[forged], forged)


def ids_of(of: list[Post], table: str, *, is_wrong: bool) -> set[str]:
    """Return the ids of the events that are to be in a table, or in its errors."""
    return {post.id for post in of if post.id and post.table == table and post.is_wrong is is_wrong}


def shares(of: list[Post], parts: int) -> Iterator[list[Post]]:
    """Divide posts among connections."""
    for part in range(parts):
        yield of[part::parts]
