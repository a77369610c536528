"""Events: what counts as one, where its fields are, and how it travels through the queue."""

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import WHOLE, BodySignature, EventFeed, Events, Table, Text
from functions.common.errors import InvalidEventError, InvalidMessageError
from functions.common.fields import MAX_DEPTH, event_of, headers_of, value_at
from functions.common.jsontext import Number, encoded
from functions.common.received import MAX_BYTES, Received
from tests.fuzz.mutations import JSON

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVENT = {"id": "evt_1", "data": {"object": {"amount": 5, "items": [{"id": "one"}, None]}}}


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "it is not JSON"),
        (b'{"a": "\xff"}', "it is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "it is not UTF-8"),
        (b"[]", "it is not one JSON object"),
        (b"5", "it is not one JSON object"),
        (b'"text"', "it is not one JSON object"),
        (b"{} {}", "it is not one JSON object"),
        (b'{"a": 1, "a": 1}', "it has a field twice, or a number that is not JSON"),
        (b'{"b": [{"a": 1, "a": 2}]}', "it has a field twice, or a number that is not JSON"),
        (b'{"a": NaN}', "it has a field twice, or a number that is not JSON"),
        (b'{"a": -Infinity}', "it has a field twice, or a number that is not JSON"),
        (nested(MAX_DEPTH + 1), "it is nested too deeply"),
        (nested(100_000), "it is nested too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested too deeply"),
    ],
)
def test_what_is_not_one_json_object_is_no_event(raw: bytes, reason: str) -> None:
    """A body that parsers read differently, or not at all, is refused with a reason."""
    with pytest.raises(InvalidEventError) as error:
        event_of(raw)
    assert str(error.value) == reason


def test_numbers_are_as_they_were_written() -> None:
    """An amount loses no digit, and a long number is neither rounded nor refused."""
    event = event_of(b' {"a": 1.10, "b": 12345678901234567890123, "c": 1e400}\r\n')

    assert event == {
        "a": Number("1.10"),
        "b": Number("12345678901234567890123"),
        "c": Number("1e400"),
    }
    assert encoded(event) == '{"a": 1.10, "b": 12345678901234567890123, "c": 1e400}'


def test_an_event_may_be_nested_to_a_limit() -> None:
    """Receive and collect take the same events, however deep their own stacks are."""
    assert value_at(event_of(nested(MAX_DEPTH)), {}, ".".join("a" * MAX_DEPTH)) == Number("1")


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_any_json_object_is_an_event(event: dict[str, Any]) -> None:
    """Any standard JSON is accepted, with nothing changed in it."""
    try:
        raw = json.dumps(event, allow_nan=False).encode()
    except ValueError:
        return
    assert json.loads(encoded(event_of(raw))) == event


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "evt_1"),
        ("data.object.amount", 5),
        ("data.object.items.0.id", "one"),
        ("data.object.items.1.id", None),
        ("data.object.items.7", None),
        ("data.object.items.id", None),
        ("data.objects.amount", None),
        ("id.id", None),
        ("header:X-GitHub-Delivery", "d-1"),
        ("header:X-GitHub-Event", None),
        (WHOLE, EVENT),
    ],
)
def test_a_path_leads_to_a_value_or_to_none(path: str, value: object) -> None:
    """A field that an event does not have is NULL, whatever is on the way to it."""
    assert value_at(EVENT, {"x-github-delivery": "d-1"}, path) == value


def test_only_headers_with_fields_are_kept() -> None:
    """Cookies and tokens of a request never reach the lake."""
    table = Table("pushes", key="id", columns={"id": Text(), "ref": Text(), "hook": Text()})
    fields = {"id": "header:X-GitHub-Delivery", "ref": "ref", "hook": "header:X-Hook"}
    source = Events(
        "github",
        BodySignature(),
        (EventFeed(table, ("push",), fields),),
        id="header:X-GitHub-Delivery",
        type="header:X-GitHub-Event",
        required=("header:X-Site", "repository"),
    )

    assert headers_of(source) == {"x-github-delivery", "x-github-event", "x-hook", "x-site"}


@given(
    st.text(max_size=20),
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3),
    st.binary(max_size=2000),
)
def test_a_message_says_what_was_received(
    source: str, moment: datetime, headers: dict[str, str], body: bytes
) -> None:
    """Whatever an event consists of, collect gets the very bytes, in a message SQS accepts."""
    received = Received(source, moment, headers, body)

    assert Received.of(received.message()) == received
    assert received.message().isascii()
    assert received.message().isprintable()


def test_the_largest_event_fits_into_a_message() -> None:
    """SQS takes 1 MiB, and random bytes do not become smaller."""
    body = b"".join(zlib.crc32(bytes([i % 256, i >> 8])).to_bytes(4, "big") for i in range(1 << 16))
    body = (body * 3)[:MAX_BYTES]
    stored = Received("s", NOON, {}, body)
    longest = len(base64.b64encode(zlib.compress(body, 0))) + 10_240  # headers that AWS lets pass

    assert longest < 1 << 20
    assert Received.of(stored.message()).body == body


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"source": "s", "received_at": "x", "headers": {}, "body": ""}',
        '{"source": "s", "received_at": "2026-11-22T12:00:00Z", "headers": [], "body": ""}',
        '{"source": "s", "received_at": "2026-11-22T12:00:00Z", "headers": {}, "body": "eJw="}',
        '{"source": "s", "received_at": "2026-11-22T12:00:00Z", "headers": {}, "body": 5}',
        '{"source": "s", "received_at": "0001-01-01T00:00:00+14:00", "headers": {}, "body": ""}',
        "[" * 100_000,
    ],
)
def test_another_message_is_not_received(message: str) -> None:
    """A message that somebody else sent to the queue is reported as that, and not quoted."""
    with pytest.raises(InvalidMessageError, match=r"^it is no message of the function receive$"):
        Received.of(message)


def test_a_message_never_unpacks_into_more_than_was_received() -> None:
    """A small message cannot fill the memory of collect."""
    bomb = base64.b64encode(zlib.compress(bytes(50 * MAX_BYTES))).decode()
    said = {"source": "s", "received_at": NOON.isoformat(), "headers": {}, "body": bomb}
    with pytest.raises(InvalidMessageError):
        Received.of(json.dumps(said))
