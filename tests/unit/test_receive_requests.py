"""What a request is, and how large its body may be."""

import json
from base64 import b64encode
from typing import Any

import pytest

from functions.receive.requests import (
    BAD_BODY,
    NOT_ALLOWED,
    STORED,
    TOO_LARGE,
    Reply,
    Request,
    RequestError,
    answer,
)

EVENT: dict[str, Any] = {
    "requestContext": {"http": {"method": "POST"}, "requestId": "r-1"},
    "rawPath": "/events/shop",
    "headers": {"Signature": "t=1"},
    "body": "{}",
    "isBase64Encoded": False,
}


def posted(text: str, *, is_base64: bool) -> Request:
    return Request("", "POST", "/", {}, text, is_base64)


def test_a_request_is_what_the_api_says_of_it() -> None:
    """Names of headers are in lower case; API Gateway leaves out what is empty."""
    whole = Request.of(EVENT)
    bare = Request.of(
        {
            "requestContext": {"http": {"method": "GET"}},
            "rawPath": "/",
            "headers": None,
            "body": None,
        }
    )

    assert whole == Request("r-1", "POST", "/events/shop", {"signature": "t=1"}, "{}", False)
    assert bare == Request("", "GET", "/", {}, "", False)
    assert Request.of({**EVENT, "isBase64Encoded": True}).is_base64
    for name in ("requestContext", "rawPath"):
        with pytest.raises(KeyError, match=name):
            Request.of({each: value for each, value in EVENT.items() if each != name})


@pytest.mark.parametrize("size", [0, 1, 2, 8, 9, 10])
def test_a_body_may_have_as_many_bytes_as_its_source_says(size: int) -> None:
    """However it is encoded."""
    body = b"x" * size

    assert posted(body.decode(), is_base64=False).body(size) == body
    assert posted(b64encode(body).decode(), is_base64=True).body(size) == body


@pytest.mark.parametrize(
    ("text", "is_base64", "reply", "reason"),
    [
        ("x" * 10, False, TOO_LARGE, "too_large"),
        ("é" * 5, False, TOO_LARGE, "too_large"),
        (b64encode(b"x" * 10).decode(), True, TOO_LARGE, "too_large"),
        ("!" * 16, True, TOO_LARGE, "too_large"),
        ("!" * 12, True, BAD_BODY, "not_base64"),
    ],
)
def test_a_body_that_is_too_large_is_not_decoded(
    text: str, is_base64: bool, reply: Reply, reason: str
) -> None:
    """Of 9 bytes; 16 characters in base 64 are 10 at least."""
    with pytest.raises(RequestError) as raised:
        posted(text, is_base64=is_base64).body(9)

    assert (raised.value.reply, raised.value.reason, str(raised.value)) == (reply, reason, reason)


@pytest.mark.parametrize(
    ("reply", "body", "more"),
    [
        (STORED, {"status": STORED.said}, {}),
        (TOO_LARGE, {"error": "too large"}, {}),
        (NOT_ALLOWED, {"error": "method not allowed"}, {"allow": "POST"}),
    ],
)
def test_a_reply_is_json_that_nobody_keeps(
    reply: Reply, body: dict[str, str], more: dict[str, str]
) -> None:
    """Only a method that is not allowed is answered with the one that is."""
    found = answer(reply)

    assert json.loads(found.pop("body")) == body
    assert found == {
        "statusCode": reply.status,
        "headers": {"content-type": "application/json", "cache-control": "no-store", **more},
        "isBase64Encoded": False,
    }
