"""The function `receive`: its answers and stored events, with SQS and Secrets Manager of moto."""

import json
import time
from dataclasses import replace
from functools import cache
from io import StringIO
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from functions.common.received import Received
from functions.common.secrets import SECONDS, Secrets
from functions.receive import handler as receive
from tests.webhooks import PIPELINE, SIGNERS, SOURCES, pipeline_of, request

BODY = '{"id": "evt_1", "type": "charge.succeeded", "name": "Zoë of the body"}'.encode()
every_provider = pytest.mark.parametrize("name", SIGNERS)


class Endpoint:
    """The function behind its URL, and what is in the queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.logged = StringIO()

    def send(self, event: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """Return status and body of the answer."""
        answer = receive.handler(event, context())
        assert answer["headers"]["content-type"] == "application/json"
        return answer["statusCode"], json.loads(answer["body"])

    def post(self, name: str, body: bytes, **changed: Any) -> tuple[int, dict[str, str]]:
        """Send an event that its provider has signed now."""
        signer = SIGNERS[name]
        headers = signer.headers(signer.secret, body, int(time.time()))
        return self.send(request(SOURCES[name].url_path, headers, body, **changed))

    def stored(self) -> list[Received]:
        """Return what is in the queue."""
        client = boto3.client("sqs")
        found = client.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [Received.of(message["Body"]) for message in found.get("Messages", [])]


def context() -> LambdaContext:
    found = LambdaContext()
    found._function_name = "receive"
    found._memory_limit_in_mb = 256
    found._invoked_function_arn = "arn:aws:lambda:eu-west-2:123456789012:function:receive"
    found._aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    return found


@pytest.fixture
def endpoint(aws: None, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.setenv("PIPELINE", "shop")
    monkeypatch.setattr(receive, "load", lambda _: PIPELINE)
    queue = boto3.client("sqs").create_queue(
        QueueName="events", Attributes={"MaximumMessageSize": "1048576"}
    )
    monkeypatch.setenv("EVENTS_QUEUE_URL", queue["QueueUrl"])
    secrets = boto3.client("secretsmanager")
    for name, signer in SIGNERS.items():
        monkeypatch.setenv(SOURCES[name].secret_setting, f"shop/{name}")
        text = json.dumps({"secrets": [signer.secret]})
        secrets.create_secret(Name=f"shop/{name}", SecretString=text)
    for name in ("_sources", "_secrets", "_queue"):
        monkeypatch.setattr(receive, name, cache(getattr(receive, name).__wrapped__))
    endpoint = Endpoint(queue["QueueUrl"])
    monkeypatch.setattr(receive.logger.registered_handler, "stream", endpoint.logged)
    return endpoint


@every_provider
@pytest.mark.parametrize("is_base64", [False, True])
def test_a_signed_event_is_stored_as_it_came(
    name: str, is_base64: bool, endpoint: Endpoint
) -> None:
    """The queue has the very bytes, and of the headers those with fields in them alone."""
    before = time.time()
    assert endpoint.post(name, BODY, is_base64=is_base64) == (200, {"status": "stored"})

    [stored] = endpoint.stored()
    assert (stored.source, stored.body) == (name, BODY)
    assert before <= stored.received_at.timestamp() <= time.time()
    assert stored.headers == (
        {}
        if name != "pushes"
        else {"x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "x-github-event": "push"}
    )


@pytest.mark.parametrize("body", [b"{}", b'{"id": null}', b'{"type": 5, "deep": [[[]]]}'])
def test_a_signed_event_without_an_id_is_stored(body: bytes, endpoint: Endpoint) -> None:
    """An event that the provider signed is never dropped on arrival: collect refuses it."""
    assert endpoint.post("payments", body)[0] == 200
    assert [stored.body for stored in endpoint.stored()] == [body]


@every_provider
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"{",
        b'{"a": 1, "a": 1}',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=["empty", "list", "cut off", "duplicate keys", "NaN", "not UTF-8", "deep"],
)
def test_a_signed_body_that_is_no_json_object_is_refused(
    name: str, body: bytes, endpoint: Endpoint
) -> None:
    """Different parsers would read it differently: 400, and it is not stored."""
    assert endpoint.post(name, body, is_base64=True) == (400, {"error": "bad body"})
    assert endpoint.stored() == []


@every_provider
def test_a_forged_event_is_refused(name: str, endpoint: Endpoint) -> None:
    """Without the secret nothing is stored: 400, which does not say more."""
    signer = SIGNERS[name]
    headers = signer.headers("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BODY, int(time.time()))
    for wrong in (headers, {}):
        event = request(SOURCES[name].url_path, wrong, BODY)
        assert endpoint.send(event) == (400, {"error": "bad signature"})
    assert endpoint.stored() == []


def test_header_names_may_have_capitals(endpoint: Endpoint) -> None:
    """HTTP ignores their case."""
    signer = SIGNERS["payments"]
    headers = signer.headers(signer.secret, BODY, int(time.time()))
    event = request("/webhooks/payments", {"Stripe-Signature": headers["stripe-signature"]}, BODY)
    assert endpoint.send(event)[0] == 200


@pytest.mark.parametrize("is_base64", [False, True])
@pytest.mark.parametrize("extra", [1, 1_000_000])
def test_too_large_an_event_is_refused(extra: int, is_base64: bool, endpoint: Endpoint) -> None:
    """413, before anything is decoded or verified; one byte less is stored."""
    body = b'{"id": "' + b"x" * (750_000 - 10) + b'"}'
    assert endpoint.post("payments", body, is_base64=is_base64)[0] == 200
    longer = body[:-2] + b"x" * extra + b'"}'
    answer = endpoint.post("payments", longer, is_base64=is_base64)
    assert answer == (413, {"error": "too large"})
    assert [len(stored.body) for stored in endpoint.stored()] == [750_000]


def test_characters_of_several_bytes_count_as_their_bytes(endpoint: Endpoint) -> None:
    """The limit is one of bytes."""
    body = '{"id": "' + "ü" * 400_000 + '"}'
    assert endpoint.post("payments", body.encode())[0] == 413


@pytest.mark.parametrize("path", ["/", "", "/webhooks", "/webhooks/payments/", "/webhooks/other"])
def test_another_path_is_not_found(path: str, endpoint: Endpoint) -> None:
    """404, and the path is not logged."""
    assert endpoint.send(request(path, {}, BODY)) == (404, {"error": "not found"})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_allowed(method: str, endpoint: Endpoint) -> None:
    """405, with the one that is."""
    event = request("/webhooks/payments", {}, BODY, method=method)
    assert receive.handler(event, context()) == {
        "statusCode": 405,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "allow": "POST",
        },
        "body": '{"error": "method not allowed"}',
        "isBase64Encoded": False,
    }


def test_what_is_not_base64_is_refused(endpoint: Endpoint) -> None:
    """It cannot be what was signed."""
    event = request("/webhooks/payments", {}, BODY) | {"isBase64Encoded": True, "body": "{}ü"}
    assert endpoint.send(event) == (400, {"error": "bad body"})


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "Zoë"}}, "SendMessage"),
        EndpointConnectionError(endpoint_url="https://sqs.eu-west-2.amazonaws.com"),
        ReadTimeoutError(endpoint_url="https://sqs.eu-west-2.amazonaws.com"),
        RuntimeError("Zoë of the body"),
    ],
)
def test_what_may_not_be_stored_is_not_acknowledged(
    error: Exception, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500, so that the provider sends it again, whatever the queue may have."""
    monkeypatch.setattr(receive, "_queue", lambda: Mock(send_message=Mock(side_effect=error)))
    assert endpoint.post("payments", BODY) == (500, {"error": "not stored"})


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"secrets": []}', '{"secrets": "s"}', '{"secrets": [""]}']
)
def test_without_a_secret_nothing_is_accepted(text: str, endpoint: Endpoint) -> None:
    """A secret that is not set, or empty, is an error of ours and never opens the door."""
    client = boto3.client("secretsmanager")
    client.delete_secret(SecretId="shop/payments", ForceDeleteWithoutRecovery=True)
    if text:
        client.create_secret(Name="shop/payments", SecretString=text)
    headers = SIGNERS["payments"].headers("", BODY, int(time.time()))
    answer = endpoint.send(request("/webhooks/payments", headers, BODY))
    assert answer == (500, {"error": "not stored"})
    assert endpoint.stored() == []


def test_other_events_than_of_the_api_store_nothing(endpoint: Endpoint) -> None:
    """Invoking the function directly is an error."""
    for event in ({}, {"rawPath": "/webhooks/payments"}, {"requestContext": None}):
        assert endpoint.send(event)[0] == 500
    assert endpoint.stored() == []


def test_the_log_has_nothing_of_the_request(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reason, source, size and the id of the request; no header, no body, no path, no secret."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    endpoint.post("payments", BODY)
    endpoint.post("payments", b'{"name": "Zoe of the body"')
    endpoint.send(request("/Zoe/of/the/path", {"authorization": "Zoe-token"}, BODY))
    headers = SIGNERS["payments"].headers("Zoe of the forgers", BODY, int(time.time()))
    endpoint.send(request("/webhooks/payments", headers, BODY))
    refused = RuntimeError("Zoë of the body")
    monkeypatch.setattr(receive, "_queue", lambda: Mock(send_message=Mock(side_effect=refused)))
    endpoint.post("payments", BODY)

    lines = [json.loads(line) for line in endpoint.logged.getvalue().splitlines()]
    assert [
        (line["level"], line["message"], line.get("reason"), line.get("source"), line.get("size"))
        for line in lines
    ] == [
        ("INFO", "stored", None, "payments", len(BODY)),
        ("WARNING", "refused", "it is not JSON", "payments", 26),
        ("WARNING", "refused", "unknown_path", None, None),
        ("WARNING", "refused", "signature_wrong", "payments", len(BODY)),
        ("ERROR", "not stored", "RuntimeError", "payments", len(BODY)),
    ]
    assert {line["request"] for line in lines} == {"JKJaXmPLvHcESHA="}
    signature = headers["stripe-signature"].rpartition("=")[2]
    for hidden in ("Zo", signature, *(signer.secret for signer in SIGNERS.values())):
        assert hidden not in endpoint.logged.getvalue()


def test_an_optional_provider_without_a_secret_is_not_there(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline may ship with providers that not everybody has."""
    monkeypatch.delenv(SOURCES["mails"].secret_setting)
    assert endpoint.post("mails", BODY)[0] == 500
    optional = pipeline_of(replace(SOURCES["mails"], optional=True))
    monkeypatch.setattr(receive, "_sources", cache(receive._sources.__wrapped__))
    monkeypatch.setattr(receive, "load", lambda _: optional)
    assert endpoint.post("mails", BODY)[0] == 404


def test_a_roll_over_takes_effect_within_five_minutes(aws: None) -> None:
    """A warm function asks Secrets Manager once in five minutes, and no more."""
    now = [1000.0]
    client = Mock()
    client.get_secret_value.return_value = {"SecretString": '{"secrets": ["old"]}'}
    secrets = Secrets(client, lambda: now[0])
    assert (secrets.of("id"), secrets.of("id")) == (("old",), ("old",))
    client.get_secret_value.return_value = {"SecretString": '{"secrets": ["new", "old"]}'}
    now[0] += SECONDS - 1
    assert secrets.of("id") == ("old",)
    now[0] += 1
    assert secrets.of("id") == ("new", "old")
    assert client.get_secret_value.call_count == 2
    assert SECONDS <= 300
