"""The Lambda function `load`: woken at intervals, applies what is processed and not yet loaded."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl.loading import load
from functions.common.batchlog import BatchLog
from functions.common.database import connection, database_from_secret
from functions.common.manifests import LoadedMarker, ProcessedManifest
from functions.common.notices import give_notice
from functions.common.settings import required, switched_on
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.load.loading import Progress, load_pending
from functions.load.markers import MarkerLog
from functions.load.notices import notice
from functions.targets.postgres.batch import Warehouse
from functions.targets.postgres.ddl import make_missing_tables
from functions.targets.postgres.deletions import deletions_of, make_deletions
from functions.targets.postgres.lock import LoaderLock, only_loader
from functions.targets.postgres.stage import SESSION_PARAMETERS
from functions.targets.postgres.standing import standing_of
from functions.targets.postgres.star import inspect_star
from functions.targets.postgres.views import make_views

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SPARE_MILLISECONDS = 60_000  # a batch is not begun with less time than this left


@dataclass(frozen=True)
class Lake:
    """The processed bucket and its log, kept between invocations of a warm function.

    `managed` says that the warehouse's schema is ours to shape.
    """

    secrets: "SecretsManagerClient"
    secret_id: str
    schema: str
    managed: bool
    bucket: Bucket
    log: BatchLog[ProcessedManifest]


@cache
def _lake() -> Lake:
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "PROCESSED_BUCKET")
    )
    [source] = load(required(os.environ, "PIPELINE")).sources
    return Lake(
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        required(os.environ, "WAREHOUSE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SCHEMA"),
        switched_on(os.environ, "WAREHOUSE_MANAGED"),
        bucket,
        BatchLog(bucket, source.name, ProcessedManifest),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Apply every processed batch that is not in the warehouse, in order, one transaction each.

    Returns `batches`, `rows` inserted or updated and rows `refused`, both by star table, and
    `busy`: True when another loader is at work, so that this one did nothing.
    """
    started = time.monotonic()
    lake = _lake()
    warehouse = database_from_secret(lake.secrets, lake.secret_id)
    loaded: list[LoadedMarker] = []
    retried: list[LoadedMarker] = []
    seconds = context.get_remaining_time_in_millis() / 1000
    with (
        connection(warehouse, seconds, **SESSION_PARAMETERS) as opened,
        only_loader(opened, lake.schema) as lock,
    ):
        if lock:
            for marker, progress in _load_pending(lock, lake, context):
                (retried if progress == "retried" else loaded).append(marker)
                _report(marker, progress)
    # No sign of life while another loader is at work: one that never ends must ring an alarm.
    if lock:
        metrics.add_metric("BatchesLoaded", MetricUnit.Count, len(loaded))
    return {
        "batches": [marker.batch for marker in loaded],
        "rows": _total(loaded + retried),
        "refused": _refused(loaded),
        "busy": lock is None,
        "seconds": round(time.monotonic() - started, 3),
    }


def _load_pending(
    lock: LoaderLock, lake: Lake, context: LambdaContext
) -> Iterator[tuple[LoadedMarker, Progress]]:
    opened = lock.connection
    if lake.managed:
        make_missing_tables(opened, lake.schema)
    star, markers = inspect_star(opened, lake.schema), MarkerLog(lake.bucket, lake.log.source)
    standing = standing_of(opened, markers, star)
    if not standing.is_recorded:
        logger.warning("the warehouse is not as it was left", extra={"batches": standing.has})
    if lake.managed:
        make_views(opened, star, make_deletions(opened, lake.schema, lake.log, standing.loaded))
    warehouse = Warehouse(lock, star, deletions_of(opened, lake.schema))
    return load_pending(
        warehouse,
        lake.log,
        markers,
        standing,
        has_time=lambda: context.get_remaining_time_in_millis() >= SPARE_MILLISECONDS,
    )


def _report(marker: LoadedMarker, progress: Progress) -> None:
    metrics.add_metric("RowsLoaded", MetricUnit.Count, sum(_total([marker]).values()))
    refused = _refused([marker]) if progress != "retried" else {}
    metrics.add_metric("RowsRefused", MetricUnit.Count, sum(refused.values()))
    if progress == "new":  # and not one that a restored warehouse gets again
        metrics.add_metric("SourceToWarehouse", MetricUnit.Seconds, marker.age_seconds)
        subject = f"Batch {marker.batch} is in the warehouse"
        give_notice("every-batch", subject, notice(marker))
    logger.info(
        "batch loaded" if progress != "retried" else "refused rows tried again",
        extra={
            "batch": marker.batch,
            "rows": _total([marker]),
            "refused": _refused([marker]),
            "age": marker.age_seconds,
        },
    )


def _total(markers: list[LoadedMarker]) -> dict[str, int]:
    total: dict[str, int] = {}
    for marker in markers:
        for name, table in marker.rows.items():
            if rows := table.inserted + table.updated:
                total[name] = total.get(name, 0) + rows
    return total


def _refused(markers: list[LoadedMarker]) -> dict[str, int]:
    total: dict[str, int] = {}
    for marker in markers:
        for name, table in marker.rows.items():
            if table.refused:
                total[name] = total.get(name, 0) + table.refused
    return total
