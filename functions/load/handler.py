"""The Lambda function `load`: woken at intervals, applies what is processed and not yet loaded."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pg8000.native
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.batchlog import BatchLog
from functions.common.database import connection, database_from_secret
from functions.common.errors import LogCorrupted
from functions.common.manifests import Loaded, LoadedMarker, ProcessedManifest
from functions.common.notices import give_notice
from functions.common.parquet import read_parts, read_rows
from functions.common.settings import required, switched_on
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.load.apply import insert_fact, upsert_dimension
from functions.load.calendar import Calendar
from functions.load.ddl import make_missing_tables
from functions.load.deletions import Deletions, deletions_of, make_deletions
from functions.load.markers import marker_log
from functions.load.notices import notice
from functions.load.stage import SESSION_PARAMETERS, stage_of
from functions.load.star import DIMENSIONS, FACTS, Star, inspect_star
from functions.load.views import make_views

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
    return Lake(
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        required(os.environ, "WAREHOUSE_SECRET_ID"),
        required(os.environ, "WAREHOUSE_SCHEMA"),
        switched_on(os.environ, "WAREHOUSE_MANAGED"),
        bucket,
        BatchLog(bucket, "batches/", ProcessedManifest, DIMENSIONS | FACTS),
    )


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Apply every processed batch that is not in the warehouse, in order, one transaction each.

    Returns `batches`, `rows` inserted or updated by star table, and `busy`: True when another
    loader is at work, so that this one did nothing.
    """
    started = time.monotonic()
    lake = _lake()
    warehouse = database_from_secret(lake.secrets, lake.secret_id)
    loaded: list[LoadedMarker] = []
    seconds = context.get_remaining_time_in_millis() / 1000
    with (
        connection(warehouse, seconds, **SESSION_PARAMETERS) as opened,
        _only_loader(opened, lake) as alone,
    ):
        if alone:
            for marker in _load_pending(opened, lake, context):
                loaded.append(marker)
                _report(marker)
                subject = f"Batch {marker.batch} is in the warehouse"
                give_notice("every-batch", subject, notice(marker))
    # No sign of life while another loader is at work: one that never ends must ring an alarm.
    if alone:
        metrics.add_metric("BatchesLoaded", MetricUnit.Count, len(loaded))
    return {
        "batches": [marker.batch for marker in loaded],
        "rows": _total(loaded),
        "busy": not alone,
        "seconds": round(time.monotonic() - started, 3),
    }


@contextmanager
def _only_loader(opened: pg8000.native.Connection, lake: Lake) -> Iterator[bool]:
    """Hold the warehouse's advisory lock while the context lasts; yield False if it is taken."""
    [[alone]] = opened.run(
        "SELECT pg_try_advisory_lock(hashtext('totesys-etl'), hashtext(:schema))",
        schema=lake.schema,
    )
    yield alone  # the lock goes with the connection, also when that breaks


def _load_pending(
    opened: pg8000.native.Connection, lake: Lake, context: LambdaContext
) -> Iterator[LoadedMarker]:
    if lake.managed:
        make_missing_tables(opened, lake.schema)
    star = inspect_star(opened, lake.schema)
    markers = marker_log(lake.bucket, star.identity)
    if lake.managed:
        make_views(opened, star, make_deletions(opened, lake.schema, lake.log, markers.newest()))
    deletions = deletions_of(opened, lake.schema)
    for batch in range(markers.newest() + 1, lake.log.newest() + 1):
        manifest = lake.log.read(batch)
        rows = _apply(opened, lake.bucket, star, deletions, manifest)
        now = datetime.now(UTC)
        marker = LoadedMarker(
            batch=batch,
            written_at=now,
            run=str(uuid4()),
            source=manifest.source,
            warehouse=star.identity,
            rows=rows,
            age_seconds=(now - manifest.source.snapshot_at).total_seconds(),
        )
        if not markers.claim(marker):
            raise LogCorrupted(f"batch {batch} was marked as loaded behind the back of its loader")
        yield marker
        if context.get_remaining_time_in_millis() < SPARE_MILLISECONDS:
            return


def _apply(
    opened: pg8000.native.Connection,
    bucket: Bucket,
    star: Star,
    deletions: Deletions | None,
    manifest: ProcessedManifest,
) -> dict[str, Loaded]:
    """Bring one batch into the warehouse, in one transaction; return the rows by star table."""
    rows = {}
    opened.run("BEGIN")
    for name in DIMENSIONS:
        batches = read_rows(bucket, manifest.tables[name].files)
        rows[name] = upsert_dimension(opened, stage_of(star, name), batches)
    calendar = Calendar(opened, star)
    for name in FACTS:
        parts = read_parts(bucket, manifest.tables[name].files)
        rows[name] = insert_fact(opened, stage_of(star, name), parts, calendar)
    rows[calendar.table.name] = Loaded(calendar.added, calendar.added, 0)
    if deletions:
        deletions.tell(bucket, [manifest])
    opened.run("COMMIT")
    return {name: table for name, table in rows.items() if table.staged}


def _report(marker: LoadedMarker) -> None:
    metrics.add_metric("RowsLoaded", MetricUnit.Count, sum(_total([marker]).values()))
    metrics.add_metric("SourceToWarehouse", MetricUnit.Seconds, marker.age_seconds)
    logger.info(
        "batch loaded",
        extra={"batch": marker.batch, "rows": _total([marker]), "age": marker.age_seconds},
    )


def _total(markers: list[LoadedMarker]) -> dict[str, int]:
    total: dict[str, int] = {}
    for marker in markers:
        for name, table in marker.rows.items():
            if rows := table.inserted + table.updated:
                total[name] = total.get(name, 0) + rows
    return total
