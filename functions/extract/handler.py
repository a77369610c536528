"""The Lambda function `extract`: woken by a schedule, writes a batch if the source changed."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl.loading import load
from functions.common.batchlog import BatchLog
from functions.common.database import connection, database_from_secret
from functions.common.errors import BatchContended, NoSuchBatch
from functions.common.manifests import IngestionManifest
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.extract.repair import Repair, asked_for
from functions.extract.replay import replay
from functions.sources.postgres.capture import Captured, capture
from functions.sources.postgres.snapshot import SESSION_PARAMETERS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ATTEMPTS = 3  # of a batch whose number another run claimed first


@dataclass(frozen=True)
class Lake:
    """The ingestion bucket and its log, kept between invocations of a warm function."""

    secrets: "SecretsManagerClient"
    secret_id: str
    bucket: Bucket
    log: BatchLog[IngestionManifest]


@cache
def _lake() -> Lake:
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "INGESTION_BUCKET")
    )
    [source] = load(required(os.environ, "PIPELINE")).sources
    return Lake(
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        required(os.environ, "SOURCE_SECRET_ID"),
        bucket,
        BatchLog(bucket, source.name, IngestionManifest),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Copy what changed in the source into the ingestion bucket, as one batch.

    An event {"replay": n} asks for the rows of batch n once more instead. One that names tables to
    `read`, as reconcile's answer does, has these read whole. What else an event says does not
    matter.

    Returns `batch` (None when nothing had changed), `rows` and `deleted` by source table,
    `stopped`: why a table could not be read, `drift`: how the source's tables have changed, and
    `postponed`: why the source was not read, so that the next run has to (None when it was).
    """
    started = time.monotonic()
    batch = _asked_for(event)
    captured = (
        _capture(_lake(), asked_for(event), context.get_remaining_time_in_millis() / 1000)
        if batch is None
        else _replay(_lake(), batch)
    )
    result = _summary(captured) | {"seconds": round(time.monotonic() - started, 3)}
    _report(captured, result)
    return result


def _report(captured: Captured, result: dict[str, Any]) -> None:
    """Log and count what a run found."""
    metrics.add_metric("ExtractsPostponed", MetricUnit.Count, int(bool(captured.postponed)))
    if captured.postponed:
        # No sign of life: runs that are postponed for half an hour must ring an alarm.
        logger.warning(f"nothing was read: {captured.postponed}", extra=result)
        return
    metrics.add_metric("TablesStopped", MetricUnit.Count, len(captured.stopped))
    metrics.add_metric("SchemaChanges", MetricUnit.Count, len(captured.drift))
    metrics.add_metric("RowsExtracted", MetricUnit.Count, sum(result["rows"].values()))
    for message in captured.stopped.values():
        logger.error(message)
    for message in captured.drift:
        logger.warning(message)
    logger.info("batch extracted" if result["batch"] else "nothing new", extra=result)


def _asked_for(event: object) -> int | None:
    """Return the batch that an event asks to replay, None if it asks for none."""
    if not isinstance(event, dict) or "replay" not in event:
        return None
    batch = event["replay"]
    if type(batch) is not int:  # True is an int to Python, and 1.5 becomes one
        raise NoSuchBatch(
            f"the event asks to replay a {type(batch).__name__}: give the number of a batch, as in "
            '{"replay": 7}'
        )
    return batch


def _capture(lake: Lake, repair: Repair, seconds: float) -> Captured:
    source = database_from_secret(lake.secrets, lake.secret_id)
    with connection(source, seconds, **SESSION_PARAMETERS) as opened:
        return _claiming(
            lambda run: capture(opened, lake.bucket, lake.log, run, _utc_now, repair=repair)
        )


def _replay(lake: Lake, batch: int) -> Captured:
    return _claiming(
        lambda run: Captured(replay(lake.bucket, lake.log, batch, run, _utc_now), stopped={})
    )


def _claiming(attempt: Callable[[str], Captured]) -> Captured:
    """Make an attempt at a batch; begin anew when another run claims its number first."""
    run = str(uuid4())  # not the request id: an event that comes twice brings the same one
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt(run)
        except BatchContended:
            logger.info("batch number taken, once more from the newest batch")
    return attempt(run)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _summary(captured: Captured) -> dict[str, Any]:
    manifest = captured.manifest
    tables = manifest.tables if manifest else {}
    return {
        "batch": manifest.batch if manifest else None,
        "rows": {name: table.changed for name, table in tables.items() if table.changed},
        "deleted": {name: table.deleted for name, table in tables.items() if table.deleted},
        "stopped": captured.stopped,
        "drift": captured.drift,
        "postponed": captured.postponed,
    }
