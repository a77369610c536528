"""Requests and replies in the format of API Gateway.

Payload format 2.0 of HTTP APIs:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from functions.common.errors import Refusal


class Reply(NamedTuple):
    """An HTTP status, and the text of the body."""

    status: int
    said: str


STORED = Reply(200, "stored")
BAD_SIGNATURE = Reply(400, "bad signature")
BAD_BODY = Reply(400, "bad body")
NOT_FOUND = Reply(404, "not found")
NOT_ALLOWED = Reply(405, "method not allowed")
TOO_LARGE = Reply(413, "too large")
NOT_STORED = Reply(500, "not stored")


class RequestError(Refusal):
    """A request is not accepted: the reply, and the `reason` that is logged.

    Neither quotes the request.
    """

    def __init__(self, reply: Reply, reason: str) -> None:
        super().__init__(reason)
        self.reply = reply
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """A request; header names are in lower case, and the body is as API Gateway encoded it."""

    id: str
    method: str
    path: str
    headers: Mapping[str, str]
    text: str
    is_base64: bool

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        """Return the request of an event; raises KeyError for other events than of an HTTP API."""
        context = event["requestContext"]
        return cls(
            id=str(context.get("requestId", "")),
            method=context["http"]["method"],
            path=event["rawPath"],
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            text=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
        )

    def body(self, max_bytes: int) -> bytes:
        """Return the bytes that were posted; raise RequestError for more than `max_bytes` of them.

        The length is checked before decoding.
        """
        least = len(self.text) // 4 * 3 - 2 if self.is_base64 else len(self.text)
        if least > max_bytes:
            raise RequestError(TOO_LARGE, "too_large")
        try:
            # Text that is not valid UTF-8 was not posted as such, and fits no signature.
            body = (
                b64decode(self.text, validate=True)
                if self.is_base64
                else self.text.encode("utf-8", "surrogatepass")
            )
        except ValueError:
            raise RequestError(BAD_BODY, "not_base64") from None
        if len(body) > max_bytes:
            raise RequestError(TOO_LARGE, "too_large")
        return body


def answer(reply: Reply) -> dict[str, Any]:
    """Return a reply in the format of API Gateway."""
    name = "status" if reply.status == STORED.status else "error"
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if reply is NOT_ALLOWED:
        headers["allow"] = "POST"
    return {
        "statusCode": reply.status,
        "headers": headers,
        "body": json.dumps({name: reply.said}),
        "isBase64Encoded": False,
    }
