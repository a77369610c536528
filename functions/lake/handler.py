"""The Lambda function `lake`: invoked at intervals, keeps Iceberg tables equal to the warehouse."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl.loading import load
from etl.pipeline import Pipeline
from functions.common import selfcheck
from functions.common.batchlog import BatchLog
from functions.common.errors import raise_first
from functions.common.logs import MarkerLog, is_in_use
from functions.common.manifests import ProcessedManifest
from functions.common.outcomes import stores_outcomes
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.lake.commits import Feed, Progress, keep_up
from functions.lake.files import location
from functions.lake.tables import Catalog
from functions.lake.upkeep import tidy

FOLDER = "lake"
SPARE_MILLISECONDS = 300_000  # a commit is not begun with less time than this left


@dataclass(frozen=True)
class Lake:
    """The pipeline, its tables with their logs, and the catalogue; kept by a warm function."""

    pipeline: Pipeline
    bucket: Bucket
    catalog: Catalog
    feeds: tuple[Feed, ...]


@cache
def _lake() -> Lake:
    pipeline = load(required(os.environ, "PIPELINE"))
    name = required(os.environ, "PROCESSED_BUCKET")
    bucket = Bucket(boto3.client("s3", config=CLIENT_CONFIG), name)
    catalog = Catalog(required(os.environ, "LAKE_DATABASE"), location(bucket, FOLDER))
    return Lake(pipeline, bucket, catalog, tuple(_feeds(pipeline, bucket)))


def _feeds(pipeline: Pipeline, bucket: Bucket) -> Iterator[Feed]:
    for source in pipeline.sources:
        log = BatchLog(bucket, source.name, ProcessedManifest)
        if is_in_use(source, log):
            markers = MarkerLog(bucket, source.name)
            for mapping in pipeline.mappings(source.name):
                yield Feed(mapping.target, bucket, log, markers)


def _needs() -> Iterator[selfcheck.Need]:
    lake = _lake()
    yield selfcheck.bucket("PROCESSED_BUCKET", "batches/", "loaded/", f"{FOLDER}/")
    yield selfcheck.Need("tables in Glue", partial(_look, lake))


def _look(lake: Lake) -> str:
    found = [feed.target.id for feed in lake.feeds[:1] if lake.catalog.find(feed.target.id)]
    return "can be read" if found else "none yet"


@selfcheck.answers_checks(_needs)
@stores_outcomes("lake", "PROCESSED_BUCKET")
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Commit to each table what was loaded since its last commit, and tidy it.

    Returns for each of the `tables` the `batch` that it has, and the number of `commits`. Raises
    the first table's error, after all were tried.
    """
    started = time.monotonic()
    lake = _lake()

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > SPARE_MILLISECONDS

    for feed in lake.feeds:
        feed.markers.forget()
    done: dict[str, Progress] = {}
    failures: list[Exception] = []
    for feed in lake.feeds:
        try:
            done[feed.target.id] = _kept_up(lake.catalog, feed, has_time)
        except Exception as error:  # the other tables are still committed
            logger.error(f"{feed.target.id}: {error}")
            failures.append(error)
    behind = max((_seconds_behind(feed, done) for feed in lake.feeds), default=0.0)
    metrics.add_metric("LakeBehind", MetricUnit.Seconds, behind)
    raise_first(failures)
    tables = {
        name: {"batch": each.position.batch, "commits": each.commits} for name, each in done.items()
    }
    return {"tables": tables, "seconds": round(time.monotonic() - started, 3)}


def _kept_up(catalog: Catalog, feed: Feed, has_time: Callable[[], bool]) -> Progress:
    progress = keep_up(catalog, feed, has_time)
    if progress.commits:
        logger.info(
            "table committed",
            extra={"table": feed.target.id, "batch": progress.position.batch},
        )
        tidy(catalog, feed.target, feed.bucket, has_time)
    return progress


def _seconds_behind(feed: Feed, done: dict[str, Progress]) -> float:
    """Return for how long a table has lacked what was loaded; 0 if it lacks nothing."""
    progress = done.get(feed.target.id)
    if progress is None or not progress.is_behind:
        return 0.0
    marker = feed.markers.read(progress.position.marker + 1)
    return (datetime.now(UTC) - marker.written_at).total_seconds()
