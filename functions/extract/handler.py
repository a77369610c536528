"""The Lambda function `extract`: invoked by a schedule, writes a batch of each changed source."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Events, Pipeline, Postgres
from etl.loading import load
from etl.sources import Source
from functions.common import selfcheck
from functions.common.batchlog import BatchLog
from functions.common.errors import BatchConflictError, PipelineError, raise_first
from functions.common.manifests import IngestionManifest
from functions.common.notices import give_notices
from functions.common.outcomes import stores_outcomes
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.extract.notices import step_notices
from functions.extract.replay import replay
from functions.extract.requests import ExtractRequest, request_of
from functions.sources import (
    NO_REPAIR,
    Captured,
    Read,
    Repair,
    needs_of,
    reader_of,
    releasing,
)

ATTEMPTS = 3  # at a batch number that another run claims first

Log = BatchLog[IngestionManifest]


@cache
def _pipeline() -> Pipeline:
    return load(required(os.environ, "PIPELINE"))


@cache
def _log(source: str) -> Log:
    """Return the log of a source, kept between invocations of a warm function."""
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "INGESTION_BUCKET")
    )
    return BatchLog(bucket, source, IngestionManifest)


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("INGESTION_BUCKET", "batches/")
    yield from needs_of(_pipeline().sources)


@selfcheck.answers_checks(_needs)
@stores_outcomes("extract", "INGESTION_BUCKET")
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write what changed in each source as one batch of the ingestion bucket.

    An event {"source": name} requests one source only, {"now": true} also sources that are not due
    yet. {"replay": n} requests the rows of batch n again, and {"release": true} nothing but to drop
    the replication slots, which returns `slots`: for each source whether one was `dropped`, or the
    `error`. An event with tables to `read`, such as
    reconcile's answer, requests these tables whole. The event of a schedule, or of a bucket, leaves
    tables that show no activity, until the interval that their source declares is over. Anything
    else is ignored.

    Returns `sources`: for each its last `batch` (None if nothing had changed), `rows` and `deleted`
    by table, `stopped`: why tables could not be read, `drift`: how tables have changed,
    `postponed`: why it was not read and the next run has to (None if it was read), `waiting`: what
    is not due yet, and whether there is `more` to read. The same for the only source, if there is
    one, and `seconds`. Raises the first source's error, after all were tried.
    """
    started = time.monotonic()
    if isinstance(event, dict) and event.get("release") is True:
        return {"slots": dict(_released())}
    request = request_of(event, tuple(filter(_is_there, _pipeline().sources)))
    results: dict[str, dict[str, Any]] = {}
    failures: list[Exception] = []
    for left, source in zip(range(len(request.sources), 0, -1), request.sources, strict=True):
        # A source that hangs takes no more than its share of the time.
        seconds = context.get_remaining_time_in_millis() / 1000 / left
        try:
            batches = _extract(source, request, seconds)
        except Exception as error:  # the other sources are still read
            logger.exception(f"source {source.name} could not be read")
            failures.append(error)
        else:
            results[source.name] = _summary(batches)
            _report(batches[-1], results[source.name])
    if not request.sources:  # of events alone: this run finished its work as well
        metrics.add_metric("RowsExtracted", MetricUnit.Count, 0)
    raise_first(failures)
    only = next(iter(results.values())) if len(results) == 1 else {}
    return {"sources": results, **only, "seconds": round(time.monotonic() - started, 3)}


def _released() -> Iterator[tuple[str, dict[str, Any]]]:
    """Drop the slot in each database; yield whether there was one, or the error."""
    bucket = required(os.environ, "INGESTION_BUCKET")
    for source in filter(_is_there, _pipeline().sources):
        if isinstance(source, Postgres):
            try:
                yield source.name, {"dropped": releasing(source).release(source, bucket)}
            except PipelineError as error:  # the other sources are still asked
                logger.warning(f"source {source.name}: its slot is not dropped: {error}")
                yield source.name, {"error": str(error)}


def _is_there(source: Source) -> bool:
    """Return whether a source is configured, as an optional one may not be."""
    if isinstance(source, Events):
        return True
    return not source.optional or reader_of(source).is_configured(source)


def _report(last: Captured, result: dict[str, Any]) -> None:
    """Log and count the findings of a run in a source."""
    metrics.add_metric("ExtractsPostponed", MetricUnit.Count, int(bool(last.postponed)))
    if last.retained is not None:
        metrics.add_metric("LogRetained", MetricUnit.Bytes, last.retained)
    if last.postponed:
        # No heartbeat metric: runs that are postponed for half an hour must raise an alarm.
        logger.warning(f"nothing was read: {last.postponed}", extra=result)
        return
    metrics.add_metric("TablesStopped", MetricUnit.Count, len(last.stopped))
    metrics.add_metric("SchemaChanges", MetricUnit.Count, len(result["drift"]))
    metrics.add_metric("RowsExtracted", MetricUnit.Count, sum(result["rows"].values()))
    for message in last.stopped.values():
        logger.error(message)
    for message in result["drift"]:
        logger.warning(message)
    logger.info("batch extracted" if result["batch"] else "nothing new", extra=result)


def _extract(source: Source, request: ExtractRequest, seconds: float) -> list[Captured]:
    """Write the next batches of a source, while there are more and half of the time is left."""
    end = time.monotonic() + seconds / 2
    with _reading(source, request, seconds) as read:
        batches = [_noticed(_claiming(read, request.repair))]
        while batches[-1].more and time.monotonic() < end:
            batches.append(_noticed(_claiming(read, NO_REPAIR)))
    return batches


def _noticed(captured: Captured) -> Captured:
    """Send the notices of a batch's files, if there is a batch."""
    if captured.manifest is not None:
        give_notices("steps", step_notices(captured.manifest))
    return captured


@contextmanager
def _reading(source: Source, request: ExtractRequest, seconds: float) -> Iterator[Read]:
    """Yield the function that attempts to write a source's next batch."""
    pipeline, log = _pipeline(), _log(source.name)
    if (batch := request.replay) is not None:
        yield lambda run, _: Captured(
            replay(log, source, pipeline, batch, run=run, now=_utc_now), stopped={}
        )
        return
    with reader_of(source).opened(
        source, pipeline, log, seconds, now=request.now, scheduled=request.scheduled
    ) as read:
        yield read


def _claiming(read: Read, repair: Repair) -> Captured:
    """Attempt to write a batch; start again if another run claims its number first."""
    run = str(uuid4())  # not the request id, which a repeated event shares
    for _ in range(ATTEMPTS - 1):
        try:
            return read(run, repair)
        except BatchConflictError:
            logger.info("batch number taken, starting over from the newest batch")
    return read(run, repair)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _summary(batches: Sequence[Captured]) -> dict[str, Any]:
    """Return the outcome of a source; `batch` is the last one."""
    manifests = [each.manifest for each in batches if each.manifest]
    rows: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    for manifest in manifests:
        for name, table in manifest.tables.items():
            rows[name] += table.changed
            deleted[name] += table.deleted
    last = batches[-1]
    return {
        "batch": manifests[-1].batch if manifests else None,
        "rows": dict(+rows),
        "deleted": dict(+deleted),
        "stopped": last.stopped,
        "drift": [message for each in batches for message in each.drift],
        "postponed": last.postponed,
        "waiting": last.waiting,
        "more": last.more,
    }
