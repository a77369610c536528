"""The functions behind an endpoint, from a request to the warehouse, and providers that post."""

import base64
import csv
import hashlib
import hmac
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from functions.collect import handler as collect
from functions.receive import handler as receive
from local.connection import connect
from tests.pipeline.conftest import Context, Functions

SECRET = "whsec_of the tests"


@dataclass(frozen=True)
class Request:
    """A request to post."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Endpoint:
    """A pipeline of events at work; `path` is that of its one source."""

    functions: Functions
    path: str
    queue: str

    def post(self, request: Request) -> int:
        """Post a request, and return the status of the answer."""
        event = {
            "version": "2.0",
            "rawPath": self.path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "requestContext": {"requestId": "r", "http": {"method": "POST"}},
            "body": base64.b64encode(request.body).decode(),
            "isBase64Encoded": True,
        }
        context: Any = Context("receive")
        status: int = receive.handler(event, context)["statusCode"]
        return status

    def collect(self, *, twice: bool = False) -> None:
        """Collect what is in the queue in one batch; `twice` has the queue repeat it in another."""
        sqs, records = boto3.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                records.append(
                    {
                        "messageId": message["MessageId"],
                        "body": message["Body"],
                        "eventSourceARN": "arn:aws:sqs:eu-west-2:123456789012:events",
                    }
                )
        context: Any = Context("collect")
        for _ in range(2 if twice else 1):
            assert collect.handler({"Records": records}, context) == {"batchItemFailures": []}

    def load(self) -> None:
        """Work off the batches."""
        self.functions.transform()
        self.functions.load()

    def query(self, sql: str) -> list[list[Any]]:
        """Return rows of the warehouse."""
        with connect(self.functions.warehouse.superuser_url) as connection:
            connection.run(f'SET search_path = "{self.functions.warehouse.schema}"')
            rows: list[list[Any]] = connection.run(sql)
            return rows

    def written(self, prefix: str) -> dict[str, str]:
        """Return the objects of the processed bucket under a prefix."""
        processed = self.functions.processed
        keys = self.functions.keys(processed, prefix)
        return {key: self.functions.body(processed, key).decode() for key in keys}

    def refused(self) -> list[tuple[str, str]]:
        """Return table and reasons of the events in errors/."""
        return [
            (key.split("/")[1], row["reasons"])
            for key, text in self.written("errors/").items()
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]


def endpoint_of(
    name: str, functions: Functions, path: str, monkeypatch: pytest.MonkeyPatch
) -> Endpoint:
    """Return the endpoint of a pipeline, whose secret is being rolled over to SECRET."""
    prefix = functions.ingestion.removesuffix("-ingestion")
    boto3.client("secretsmanager").create_secret(
        Name=f"{prefix}/webhook", SecretString=json.dumps({"secrets": ["whsec_old", SECRET]})
    )
    queue = boto3.client("sqs").create_queue(QueueName=f"{prefix}-events")["QueueUrl"]
    monkeypatch.setenv(f"{name.upper()}_SECRET_ID", f"{prefix}/webhook")
    monkeypatch.setenv("EVENTS_QUEUE_URL", queue)
    for cached in (receive._sources, receive._secrets, receive._queue):
        cached.cache_clear()
    for kept in (collect._pipeline, collect._log):
        kept.cache_clear()
    return Endpoint(functions, path, queue)


@dataclass(frozen=True)
class Provider:
    """A provider: its pipeline, the table that its events go to, and how it signs."""

    name: str
    path: str
    table: str
    sign: Callable[[str, str, bytes], Mapping[str, str]]
    event: Callable[[str], Mapping[str, Any]]
    lacks_id: str

    def request(self, number: int, secret: str = SECRET, identity: str | None = None) -> Request:
        """Return the request of an event, signed."""
        identity = f"event-{number}" if identity is None else identity
        body = json.dumps({**self.event(identity), "number": number}).encode()
        return Request(self.sign(secret, identity, body), body)


def _stripe_signs(secret: str, identity: str, body: bytes) -> Mapping[str, str]:
    stamp = int(time.time())
    signed = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={'0' * 64},v1={signed}"}


def _stripe_event(identity: str) -> Mapping[str, Any]:
    named = {"id": identity} if identity else {}
    return {**named, "type": "charge.paid", "created": 1, "data": {"object": {}}}


def _github_signs(secret: str, identity: str, body: bytes) -> Mapping[str, str]:
    named = {"X-GitHub-Delivery": identity} if identity else {}
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {**named, "X-GitHub-Event": "issues", "X-Hub-Signature-256": f"sha256={signed}"}


PROVIDERS: Sequence[Provider] = (
    Provider(
        "stripe", "/webhooks/stripe", "charge_staging", _stripe_signs, _stripe_event, "it has no id"
    ),
    Provider(
        "github",
        "/webhooks/github",
        "deliveries",
        _github_signs,
        lambda _: {"action": "opened", "repository": {"full_name": "a/b"}},
        "it has no header:X-GitHub-Delivery",
    ),
)
