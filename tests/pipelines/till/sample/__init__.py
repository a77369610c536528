"""The posts of a till: each sale, one twice, one without an id, two with a wrong signature."""

import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime

Post = tuple[dict[str, str], bytes, int]


def posts(source: str, secrets: Sequence[str], now: datetime) -> list[Post]:
    """Return what is posted to the till; a stock posts nothing."""
    if source != "till":
        return []
    stamp, secret = str(int(now.replace(tzinfo=UTC).timestamp())), secrets[0]
    sales = [_body({"id": f"s{number}", "type": "sale.made"}) for number in range(40)]
    events = [*sales, sales[7], _body({"id": "c1", "type": "closed"}), _body({"type": "sale.made"})]
    return [
        *((_signed(secret, stamp, body), body, 200) for body in events),
        (_signed("another", stamp, sales[0]), sales[0], 400),
        ({}, sales[0], 400),
    ]


def _body(event: dict[str, str]) -> bytes:
    return json.dumps({**event, "data": {"amount": "2.50"}}).encode()


def _signed(secret: str, stamp: str, body: bytes) -> dict[str, str]:
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, "sha256").hex()
    return {"content-type": "application/json", "till-signature": f"t={stamp},v1={digest}"}
