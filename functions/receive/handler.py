"""The Lambda function `receive`: verifies an event that a provider posts, stores it, and answers.

It uses no database, and imports nothing heavy: a provider waits while it starts. Its logs and
answers have nothing of the request but its size and the id from API Gateway.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Events
from etl.loading import load
from functions.common import selfcheck
from functions.common.errors import InvalidEventError
from functions.common.fields import event_of, headers_of
from functions.common.received import Received
from functions.common.secrets import Secrets
from functions.common.settings import required
from functions.receive.requests import (
    BAD_BODY,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_STORED,
    STORED,
    Reply,
    Request,
    RequestError,
    answer,
)
from functions.receive.signatures import verify
from functions.receive.storing import CLIENT_CONFIG, store

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

logger = Logger(utc=True)


@cache
def _sources() -> dict[str, Events]:
    """Return the sources by path, without optional ones that have no secret."""
    events = load(required(os.environ, "PIPELINE")).events
    return {
        source.url_path: source
        for source in events
        if not source.optional or os.environ.get(source.secret_setting)
    }


@cache
def _secrets() -> Secrets:
    return Secrets(boto3.client("secretsmanager", config=CLIENT_CONFIG))


@cache
def _queue() -> "SQSClient":
    return boto3.client("sqs", config=CLIENT_CONFIG)


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    _sources()


# Explicitly, because an environment variable could have whole events logged.
@selfcheck.answers_checks(_needs)
@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of an HTTP API, payload format 2.0.

    200 only after the queue has the event; 400 for a bad signature or a body that is no JSON
    object, 404, 405, 413; 500 if it is perhaps not stored, so that the provider sends it again.
    """
    try:
        request = Request.of(event)
        logger.append_keys(request=request.id)
        return answer(_received(request))
    except RequestError as refused:
        logger.warning("refused", reason=refused.reason)
        return answer(refused.reply)
    except Exception as error:  # its text may quote the request: never log it
        logger.error("not stored", reason=selfcheck.said(error))
        return answer(NOT_STORED)


def _received(request: Request) -> Reply:
    """Verify and store the event of a request; raise RequestError if it has none."""
    source = _sources().get(request.path)
    if source is None:
        raise RequestError(NOT_FOUND, "unknown_path")
    logger.append_keys(source=source.name)
    if request.method != "POST":
        raise RequestError(NOT_ALLOWED, "method_not_allowed")
    now = time.time()
    body = request.body(source.max_bytes)
    logger.append_keys(size=len(body))
    secrets = _secrets().of(required(os.environ, source.secret_setting))
    verify(source.signature, secrets, request.headers, body, now)
    _require_event(body)
    wanted = headers_of(source)
    kept = {name: value for name, value in request.headers.items() if name in wanted}
    received = Received(source.name, datetime.fromtimestamp(now, UTC), kept, body, signed=True)
    message = store(_queue(), required(os.environ, "EVENTS_QUEUE_URL"), received)
    logger.info("stored", message_id=message)
    return STORED


def _require_event(body: bytes) -> None:
    """Raise RequestError for a body that is no JSON object; collect reports missing fields."""
    try:
        event_of(body)
    except InvalidEventError as error:
        raise RequestError(BAD_BODY, str(error)) from None
