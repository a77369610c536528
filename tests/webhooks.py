"""A pipeline of three providers, and their signatures computed without the module `hmac`."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from etl import (
    WHOLE,
    BodySignature,
    EventFeed,
    Events,
    Json,
    Pipeline,
    PostgresWarehouse,
    StampedSignature,
    StandardWebhooks,
    Table,
    Text,
    once,
)
from etl.events import Signature

STAMPED_SECRET = "whsec_0123456789abcdefStampedOne"
BODY_SECRET = "It's a Secret to Everybody"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Signer(NamedTuple):
    """How a provider signs: its scheme, its secret, and headers for a body at a time."""

    scheme: Signature
    secret: str
    headers: Callable[[str, bytes, int], dict[str, str]]


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256 as RFC 2104 defines it, for keys of at most 64 bytes."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def stamped(secret: str, body: bytes, now: int) -> dict[str, str]:
    signature = hmac_sha256(secret.encode(), f"{now}.".encode() + body).hex()
    return {"stripe-signature": f"t={now},v1={signature}"}


def of_body(secret: str, body: bytes, now: int) -> dict[str, str]:
    signature = hmac_sha256(secret.encode(), body).hex()
    return {
        "x-hub-signature-256": f"sha256={signature}",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "push",
    }


def standard(secret: str, body: bytes, now: int) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac_sha256(key, f"msg_1.{now}.".encode() + body)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


SIGNERS = {
    "payments": Signer(StampedSignature(), STAMPED_SECRET, stamped),
    "pushes": Signer(BodySignature(), BODY_SECRET, of_body),
    "mails": Signer(StandardWebhooks(), STANDARD_SECRET, standard),
}


def _source(name: str, signer: Signer) -> Events:
    by_header = name == "pushes"
    id_path = "header:X-GitHub-Delivery" if by_header else "id"
    table = Table(name, key="id", columns={"id": Text(), "raw": Json(binary=True)})
    return Events(
        name,
        signer.scheme,
        (EventFeed(table, ("*",), {"id": id_path, "raw": WHOLE}),),
        id=id_path,
        type="header:X-GitHub-Event" if by_header else "type",
    )


SOURCES = {name: _source(name, signer) for name, signer in SIGNERS.items()}


def pipeline_of(*sources: Events) -> Pipeline:
    warehouse = PostgresWarehouse("warehouse", tuple(once(each.tables[0]) for each in sources))
    return Pipeline(sources=sources, targets=[warehouse])


PIPELINE = pipeline_of(*SOURCES.values())


def request(
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str = "POST",
    is_base64: bool = False,
) -> dict[str, Any]:
    """Return what API Gateway hands over for a request: payload format 2.0."""
    text = base64.b64encode(body).decode() if is_base64 else body.decode("utf-8", "replace")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "user-agent": "provider/1", **headers},
        "requestContext": {
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }
