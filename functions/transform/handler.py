"""The Lambda function `transform`: invoked by new batches, remodels each into target tables.

An event is only a trigger: every batch of the ingestion log that is not yet in the processed log is
processed, in order. So a lost event only costs time, and a repeated one does no harm.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import UNSET, structs

from etl import Events, Files, Pipeline
from etl.loading import load
from etl.sources import Source
from functions.common import selfcheck
from functions.common.accounts import FileAccount
from functions.common.errors import CorruptLogError
from functions.common.logs import Logs, is_in_use
from functions.common.manifests import ProcessedManifest
from functions.common.notices import give_notices
from functions.common.outcomes import stores_outcomes
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.transform.batch import remodel_batch
from functions.transform.batchkeys import index_of
from functions.transform.notices import step_notices
from functions.transform.sweep import sweep_all
from functions.transform.trial import try_all

SPARE_MILLISECONDS = 60_000  # no batch is begun with less time left

_swept: set[tuple[str, date]] = set()


@cache
def _pipeline() -> Pipeline:
    return load(required(os.environ, "PIPELINE"))


@cache
def _logs() -> list[Logs]:
    client = boto3.client("s3", config=CLIENT_CONFIG)
    lake = Bucket(client, required(os.environ, "INGESTION_BUCKET"))
    processed = Bucket(client, required(os.environ, "PROCESSED_BUCKET"))
    return [Logs.of(lake, processed, source.name) for source in _pipeline().sources]


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("INGESTION_BUCKET", "batches/")
    yield selfcheck.bucket("PROCESSED_BUCKET", "batches/")
    yield selfcheck.Need("functions of the pipeline", partial(try_all, _pipeline()))


@selfcheck.answers_checks(_needs)
@stores_outcomes("transform", "PROCESSED_BUCKET")
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Remodel all pending batches; with little time left, leave the rest to the next event.

    Returns `sources`: for each the numbers of the `batches` that this run remodelled, and by source
    table how many of their rows are in quarantine or refused (`quarantined`). The same for the only
    source, if there is one, and `seconds`. Raises the first source's error, after all were tried.
    """
    started = time.monotonic()
    sources: dict[str, dict[str, Any]] = {}
    errors: list[Exception] = []
    for source, logs in zip(_pipeline().sources, _logs(), strict=True):
        try:
            if is_in_use(source, logs.ingested):
                sources[source.name] = _work_off(source, logs, context)
        except Exception as error:  # the other sources are still remodelled
            logger.error(f"{logs.ingested.source}: {error}")
            errors.append(error)
    if errors:
        raise errors[0]
    if not sources:  # none is in use yet: this run finished its work as well
        metrics.add_metric("BatchesTransformed", MetricUnit.Count, 0)
    alone = next(iter(sources.values())) if len(sources) == 1 else {}
    return alone | {"sources": sources, "seconds": round(time.monotonic() - started, 3)}


def _work_off(source: Source, logs: Logs, context: LambdaContext) -> dict[str, Any]:
    """Remodel the pending batches of one source."""
    batches: list[int] = []
    quarantined: Counter[str] = Counter()
    for done in work_off(_pipeline(), logs, str(uuid4()), _utc_now, lambda: _has_time(context)):
        batches.append(done.batch)
        if isinstance(source, Files):
            give_notices("steps", step_notices(done, logs.processed.bucket.name))
        quarantined.update(_account_for(source, done))
    metrics.add_metric("BatchesTransformed", MetricUnit.Count, len(batches))
    if not batches:
        _sweep_daily(logs, context)
    return {"batches": batches, "quarantined": dict(quarantined)}


def _sweep_daily(logs: Logs, context: LambdaContext) -> None:
    """Remove orphaned objects, at most once a day for each warm function and source."""
    today, source = _utc_now().date(), logs.ingested.source
    if (source, today) not in _swept:
        sweep_all(_pipeline(), logs, today, lambda: _has_time(context))
        _swept.add((source, today))


def work_off(
    pipeline: Pipeline,
    logs: Logs,
    run: str,
    now: Callable[[], datetime],
    has_time: Callable[[], bool],
    *,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[ProcessedManifest]:
    """Remodel the pending batches in order; yield the manifest of each that this run claimed.

    If another run claims a batch first, the next batch builds on that run's manifest. Stops after a
    batch when there is no time for another. Raises CorruptLogError when the processed log is ahead
    of the ingestion log.
    """
    done, newest = logs.processed.newest(), logs.ingested.newest()
    if done > newest:
        raise CorruptLogError(
            f"s3://{logs.processed.bucket.name} has batch {done}, but the newest of "
            f"s3://{logs.ingested.bucket.name} is {newest}: was that emptied? Empty both"
        )
    before = logs.processed.read(done) if done else None
    if before is not None and newest > done:
        _require_same_log(logs, before)
    for number in range(done + 1, newest + 1):
        ingested = logs.ingested.read(number)
        manifest = remodel_batch(
            pipeline, logs, ingested, before, run=run, now=now, environment=environment
        )
        manifest = structs.replace(
            manifest,
            ingested_sha256=logs.ingested.digest(number),
            index=index_of(logs.processed, manifest) or UNSET,
        )
        ours = logs.processed.claim(manifest)
        before = manifest if ours else logs.processed.read(number)
        if ours:
            yield manifest
        if not has_time():
            return


def _require_same_log(logs: Logs, before: ProcessedManifest) -> None:
    """Raise CorruptLogError if the ingestion log was restarted since the newest batch."""
    if logs.ingested.read(before.batch).source != before.source:
        raise CorruptLogError(
            f"batch {before.batch} of s3://{logs.processed.bucket.name} was not made from the one "
            f"in s3://{logs.ingested.bucket.name}: was that emptied? Empty both"
        )


def _account_for(source: Source, done: ProcessedManifest) -> dict[str, int]:
    """Log and count a batch; return how many of its rows are quarantined, by source table."""
    rows = {name: table.rows for name, table in done.tables.items() if table.rows}
    held = {table: kept.quarantined for table, kept in done.balance.items() if kept.quarantined}
    logger.info("batch transformed", extra={"batch": done.batch, "rows": rows, "quarantined": held})
    refused = [account for account in done.files if account.refused or account.reason]
    if isinstance(source, Events):
        for account in refused:
            logger.warning("events refused", extra=_as_logged(account, account.file.key))
        metrics.add_metric("EventsRefused", MetricUnit.Count, sum(held.values()))
    elif isinstance(source, Files):
        for account in refused:
            what = "file refused" if account.reason else "rows of a file refused"
            url = f"s3://{account.file.bucket}/{account.file.key}"
            logger.warning(what, extra=_as_logged(account, url))
        metrics.add_metric("FilesRefused", MetricUnit.Count, len(refused))
    else:
        metrics.add_metric("RowsQuarantined", MetricUnit.Count, sum(held.values()))
    return held


def _as_logged(account: FileAccount, file: str) -> dict[str, Any]:
    """Return the log entry of a file with refused rows, without their values."""
    return {
        "file": file,
        "version": account.file.version,
        "rows": account.rows,
        "refused": account.refused,
        "errors": account.errors,
        "reason": account.reason,
    }


def _has_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() >= SPARE_MILLISECONDS


def _utc_now() -> datetime:
    return datetime.now(UTC)
