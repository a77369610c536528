"""The Lambda function `collect`: invoked by the queue of events, writes them as batches.

A message is deleted from the queue only once its event is in a batch of the log. An event that the
queue delivers twice is dropped by load, by its key.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from random import random
from time import sleep
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Events, Pipeline
from etl.loading import load
from functions.common import selfcheck
from functions.common.batchlog import BatchLog
from functions.common.errors import BatchConflictError, InvalidMessageError, raise_first
from functions.common.manifests import IngestionManifest
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.sources.events.capture import Capture
from functions.sources.events.messages import Message

# At a batch number that another run claims first. Two runs at a time: one that fails leaves its
# messages invisible in the queue for minutes, and one that pauses lets the other finish.
ATTEMPTS = 20
LONGEST_PAUSE = 1.0  # seconds


@cache
def _pipeline() -> Pipeline:
    return load(required(os.environ, "PIPELINE"))


@cache
def _log(source: str) -> BatchLog[IngestionManifest]:
    """Return the log of a source, kept between invocations of a warm function."""
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "INGESTION_BUCKET")
    )
    return BatchLog(bucket, source, IngestionManifest)


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("INGESTION_BUCKET", "batches/")


@selfcheck.answers_checks(_needs)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write the events of the queue, one batch per source.

    Returns `batchItemFailures`: the messages that stay in the queue, because receive did not write
    them or their batch could not be written. Raises the first source's error if no batch could be
    written: then all messages stay, and the invocation fails.
    """
    records = event["Records"]
    messages, failed = _messages(records)
    failures: list[Exception] = []
    for source in _pipeline().events:
        if not (of_source := messages.get(source.name)):
            continue
        try:
            _collect(source, _queue(records), of_source)
        except Exception as error:  # the other sources' events are still written
            logger.exception(f"events of {source.name} could not be written")
            failures.append(error)
            failed += [message.id for message in of_source]
    if len(failures) == len(messages):  # of sources
        raise_first(failures)
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def _messages(
    records: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, list[Message]], list[str]]:
    """Return the messages by source, and the ids of those that receive did not write."""
    sources = {source.name for source in _pipeline().events}
    found: dict[str, list[Message]] = {}
    failed: list[str] = []
    for record in records:
        try:
            message = Message.of(record)
            if message.source not in sources:
                raise InvalidMessageError("its source is not declared")
        except InvalidMessageError as error:
            logger.error(f"message {record['messageId']} stays in the queue: {error}")
            failed.append(record["messageId"])
        else:
            found.setdefault(message.source, []).append(message)
    metrics.add_metric("MessagesRefused", MetricUnit.Count, len(failed))
    return found, failed


def _queue(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the queue from its ARN."""
    return str(records[0]["eventSourceARN"]).rpartition(":")[2]


def _collect(source: Events, queue: str, messages: Sequence[Message]) -> None:
    """Write the events of one source; start again if another run claims the batch number."""
    capture = Capture(source, _pipeline(), _log(source.name), queue, lambda: datetime.now(UTC))
    manifest = _claimed(capture, messages)
    rows = {name: table.changed for name, table in manifest.tables.items() if table.changed}
    taken = {"batch": manifest.batch, "messages": len(messages), "rows": rows}
    logger.info("batch collected", extra={"source": source.name, **taken})
    metrics.add_metric("EventsCollected", MetricUnit.Count, sum(rows.values()))


def _claimed(capture: Capture, messages: Sequence[Message]) -> IngestionManifest:
    run = str(uuid4())  # not the request id, which messages delivered twice may share
    for _ in range(ATTEMPTS - 1):
        try:
            return capture.run(run, messages)
        except BatchConflictError:
            logger.info("batch number taken, starting over from the newest batch")
            sleep(LONGEST_PAUSE * random())  # noqa: S311  # nosec B311
    return capture.run(run, messages)
