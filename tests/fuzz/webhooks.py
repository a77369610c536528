"""Fuzz targets for what is posted to the endpoint, and for what is in the queue behind it."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from unittest.mock import Mock, patch

from aws_lambda_powertools.utilities.typing import LambdaContext
from hypothesis import strategies as st

from etl import WHOLE
from functions.common.errors import InvalidEventError, InvalidMessageError
from functions.common.fields import MAX_DEPTH, event_of, value_at
from functions.common.received import Received
from functions.receive import handler as receive
from tests.fuzz.mutations import JSON, damaged, rewritten
from tests.fuzz.target import Target
from tests.webhooks import SIGNERS, SOURCES, request

MARK = "MARK07700900123"  # in what may never be logged
EVENT = {"id": MARK, "type": "charge.succeeded", "data": {"object": {"amount": 1.10, "x": [{}]}}}
QUEUED = Received("payments", datetime(2026, 11, 22, tzinfo=UTC), {"x": "y"}, b'{"id": 1}')
OTHER_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
SECONDS = 300
STATUSES = {200, 400, 404, 405, 413}


class Queue:
    """A queue that has everything that is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, str]:  # noqa: N803
        self.bodies.append(Received.of(MessageBody).body)
        return {"MessageId": "1"}


@contextmanager
def _endpoint() -> Iterator[tuple[Queue, StringIO]]:
    """Be the function's surroundings: its settings, the secrets, the queue, and the log."""
    queue, log = Queue(), StringIO()
    names = {source.secret_setting: name for name, source in SOURCES.items()}
    secrets = Mock(of=lambda secret_id: (SIGNERS[secret_id].secret,))
    sources = {source.url_path: source for source in SOURCES.values()}
    with ExitStack() as stack:
        stack.enter_context(patch.dict("os.environ", {**names, "EVENTS_QUEUE_URL": "queue"}))
        for name, value in (("_sources", sources), ("_secrets", secrets), ("_queue", queue)):
            stack.enter_context(patch.object(receive, name, lambda value=value: value))
        stack.enter_context(patch.object(receive.logger.registered_handler, "stream", log))
        yield queue, log


def _posted(event: dict[str, Any]) -> tuple[int, list[bytes]]:
    """Return the status of the answer, and what is in the queue; the log has nothing of it."""
    context = Mock(spec=LambdaContext, function_name="f", memory_limit_in_mb=1)
    context.configure_mock(invoked_function_arn="arn", aws_request_id="id")
    with _endpoint() as (queue, log):
        answer = receive.handler(event, context)
    said = log.getvalue() + json.dumps(answer)
    assert MARK not in said
    assert all(signer.secret not in said for signer in SIGNERS.values())
    assert len(queue.bodies) == (answer["statusCode"] == 200)
    return answer["statusCode"], queue.bodies


def signed_events(given: tuple[str, bytes]) -> None:
    """A signed body is stored as it came if it is one JSON object, and refused if not."""
    name, body = given
    signer = SIGNERS[name]
    headers = signer.headers(signer.secret, body, int(time.time()))
    status, stored = _posted(request(SOURCES[name].url_path, headers, body, is_base64=True))
    assert (status, stored) == ((200, [body]) if _is_object(body) else (400, []))


def _is_object(body: bytes) -> bool:
    """Return whether bytes are one JSON object, as the standard library alone sees it."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        found = json.loads(
            body.decode(),
            object_pairs_hook=unique,
            parse_constant=constant,
            parse_int=str,
            parse_float=str,
        )
    except ValueError:
        return False
    return isinstance(found, dict) and _depth(found) <= MAX_DEPTH


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0)


def forged_events(given: tuple[str, bool, bytes, bytes | None, dict[str, str]]) -> None:
    """Another secret, another body or another header than was signed: nothing is stored."""
    name, has_secret, signed, other, changed = given
    signer = SIGNERS[name]
    now = int(time.time())
    sent = signed if other is None else other
    headers = signer.headers(signer.secret if has_secret else OTHER_SECRET, signed, now) | changed
    right = signer.headers(signer.secret, sent, now)
    if all(headers[header] == value for header, value in right.items()):
        return  # it is no forgery
    status, stored = _posted(request(SOURCES[name].url_path, headers, sent, is_base64=True))
    assert (status, stored) == (400, [])


def old_events(given: tuple[str, int]) -> None:
    """A stamp may be five minutes away, and no more, though it is signed."""
    name, away = given
    signer = SIGNERS[name]
    now = 1_795_000_000
    body = json.dumps(EVENT).encode()
    headers = signer.headers(signer.secret, body, now + away)
    with patch("functions.receive.handler.time.time", return_value=float(now)):
        status, _ = _posted(request(SOURCES[name].url_path, headers, body))
    assert status == (200 if abs(away) <= SECONDS else 400)


def requests(given: dict[str, Any]) -> None:
    """Whatever API Gateway hands over is answered, and nothing of it is stored."""
    event = request(given["path"], given["headers"], b"", method=given["method"])
    event |= {"body": given["body"], "isBase64Encoded": given["is_base64"]}
    status, stored = _posted(event)
    assert status in STATUSES
    assert stored == []


def messages(text: str) -> None:
    """Whatever is in the queue is an event that was received, or is refused in one line."""
    try:
        received = Received.of(text)
    except InvalidMessageError as error:
        assert MARK not in str(error)
    else:
        assert Received.of(received.message()) == received


def event_paths(given: tuple[bytes, list[str]]) -> None:
    """Any path leads into any event, or to nothing."""
    body, steps = given
    try:
        event = event_of(body)
    except InvalidEventError as error:
        assert MARK not in str(error)
        return
    value_at(event, {}, ".".join(steps))
    assert value_at(event, {}, WHOLE) is event


NAMES = st.sampled_from(list(SIGNERS))
BODIES = (
    rewritten(EVENT)
    | damaged(st.just(json.dumps(EVENT).encode()))
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.integers(0, 2 * MAX_DEPTH).map(lambda deep: b'{"a":' * deep + b"1" + b"}" * deep)
    | st.binary()
)
SIGNATURE_HEADERS = st.sampled_from(
    [
        "stripe-signature",
        "x-hub-signature-256",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ]
)
STAMPS = st.sampled_from(["t=1795000000,", "t=0,", "v1=", "v1,", " ", "sha256=", "0" * 64])
VALUES = st.text(max_size=40) | st.lists(STAMPS | st.text(max_size=8), max_size=6).map("".join)
TEXT = st.text(max_size=60)

TARGETS = (
    Target(signed_events, st.tuples(NAMES, BODIES)),
    Target(
        forged_events,
        st.tuples(
            NAMES,
            st.booleans(),
            BODIES,
            st.none() | BODIES,
            st.dictionaries(SIGNATURE_HEADERS, VALUES, max_size=2),
        ),
    ),
    Target(
        old_events, st.tuples(st.sampled_from(["payments", "mails"]), st.integers(-(10**6), 10**6))
    ),
    Target(
        requests,
        st.fixed_dictionaries(
            {
                "path": st.sampled_from([each.url_path for each in SOURCES.values()]) | TEXT,
                "method": st.sampled_from(["POST", "GET", "post"]) | TEXT,
                "headers": st.dictionaries(SIGNATURE_HEADERS, VALUES) | st.dictionaries(TEXT, TEXT),
                "body": TEXT | st.just("A" * 1_000_001) | st.none(),
                "is_base64": st.booleans(),
            }
        ),
    ),
    Target(
        messages,
        damaged(st.just(QUEUED.message().encode())).map(
            lambda text: text.decode("utf-8", "replace")
        )
        | rewritten(json.loads(QUEUED.message())).map(bytes.decode)
        | st.text(),
    ),
    Target(event_paths, st.tuples(BODIES, st.lists(st.sampled_from(["data", "object", "0", "x"])))),
)
