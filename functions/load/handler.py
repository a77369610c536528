"""The Lambda function `load`: invoked at intervals, applies processed batches to the warehouse."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Files
from etl.loading import folder, load
from etl.pipeline import Pipeline
from etl.targets import Target
from functions.common import selfcheck
from functions.common.batchlog import BatchLog
from functions.common.errors import raise_first
from functions.common.loaded import LoadedMarker
from functions.common.logs import MarkerLog, is_in_use
from functions.common.manifests import ProcessedManifest
from functions.common.notices import give_notice, give_notices
from functions.common.outcomes import stores_outcomes
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.load.loading import Step, load_pending
from functions.load.notices import file_notices, notice, step_notices
from functions.load.pace import Pace
from functions.targets import Feed, Place, kind_of, needs_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SPARE_MILLISECONDS = 60_000  # a batch is not begun with less time than this left


@dataclass(frozen=True)
class Lake:
    """The pipeline, and the processed bucket with each source's log; kept by a warm function."""

    pipeline: Pipeline
    folder: Path
    secrets: "SecretsManagerClient"
    bucket: Bucket
    logs: dict[str, BatchLog[ProcessedManifest]]


@cache
def _lake() -> Lake:
    name = required(os.environ, "PIPELINE")
    pipeline = load(name)
    bucket = Bucket(
        boto3.client("s3", config=CLIENT_CONFIG), required(os.environ, "PROCESSED_BUCKET")
    )
    return Lake(
        pipeline,
        folder(name),
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        bucket,
        {each.name: BatchLog(bucket, each.name, ProcessedManifest) for each in pipeline.sources},
    )


@dataclass
class Result:
    """The outcome of one source's batches; `is_busy` if another loader holds the lock."""

    loaded: list[LoadedMarker] = field(default_factory=list)
    retried: list[LoadedMarker] = field(default_factory=list)
    is_busy: bool = False
    exports: list[str] = field(default_factory=list)

    def add(self, step: Step, bucket: str) -> None:
        """Add a batch, or a retry of refused rows."""
        (self.retried if step.progress == "retried" else self.loaded).append(step.marker)
        self.exports += [f"s3://{bucket}/{key}" for key in step.applied.exports]


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("PROCESSED_BUCKET", "batches/", "loaded/")
    yield from needs_of(_places(_lake()).values())


@selfcheck.answers_checks(_needs)
@stores_outcomes("load", "PROCESSED_BUCKET")
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Apply every processed batch that its target lacks, in order, one transaction each.

    Returns `sources`: for each the numbers of its `batches`; by target table the `rows` inserted,
    updated or deleted, and the rows `refused`; the `exports` written; and whether it was `busy`:
    another loader held the lock, and nothing was done. The same for all sources together. Raises
    the first source's error, after all were tried.
    """
    started = time.monotonic()
    lake = _lake()
    results: dict[str, Result] = {}
    failures: list[Exception] = []
    feeds = _feeds(lake)
    for later, (place, feed) in zip(reversed(range(len(feeds))), feeds, strict=True):
        # The sources after this one get their share of the time.
        reserve = context.get_remaining_time_in_millis() * later // len(feeds)
        result = results[feed.log.source] = Result()
        try:
            _load_feed(place, feed, result, context, max(SPARE_MILLISECONDS, reserve))
        except Exception as error:  # the other sources are still loaded
            logger.error(f"{feed.log.source}: {error}")
            failures.append(error)
    raise_first(failures)
    return _summary(results) | {"seconds": round(time.monotonic() - started, 3)}


def _places(lake: Lake) -> dict[str, Place]:
    """Return the targets by name, with the settings of this function."""
    options = {each.name: each.value() for each in lake.pipeline.settings}
    return {
        target.name: Place(target, lake.folder, os.environ, lake.secrets, options)
        for target in lake.pipeline.targets
    }


def _feeds(lake: Lake) -> list[tuple[Place, Feed]]:
    """Return each source's tables, with the target that they are loaded into."""
    places = _places(lake)
    return [
        (
            places[target.name],
            Feed(
                lake.pipeline.mappings(source.name),
                lake.logs[source.name],
                MarkerLog(lake.bucket, source.name),
            ),
        )
        for source in lake.pipeline.sources
        if is_in_use(source, lake.logs[source.name])
        and (target := lake.pipeline.target_of(source.name))
    ]


def _load_feed(
    place: Place, feed: Feed, result: Result, context: LambdaContext, spare: int
) -> None:
    """Load the batches of a source; begin none with less than `spare` milliseconds left."""
    milliseconds = context.get_remaining_time_in_millis()
    of_files = isinstance(_lake().pipeline.source(feed.log.source), Files)
    with kind_of(place.target).loader(place, feed, milliseconds / 1000) as loader:
        result.is_busy = loader is None
        if loader is not None:
            pace = Pace(context.get_remaining_time_in_millis, spare, milliseconds)
            for step in load_pending(loader, feed, pace.has_time):
                result.add(step, feed.log.bucket.name)
                _report(step, place.target, feed.log.bucket.name, of_files=of_files)


def _summary(results: dict[str, Result]) -> dict[str, Any]:
    """Return the outcome of each source's batches, and of all together."""
    total = Result(
        [marker for each in results.values() for marker in each.loaded],
        [marker for each in results.values() for marker in each.retried],
        any(each.is_busy for each in results.values()),
        [export for each in results.values() for export in each.exports],
    )
    # No metric while another loader holds the lock: one that never ends must raise an alarm.
    if not total.is_busy:
        metrics.add_metric("BatchesLoaded", MetricUnit.Count, len(total.loaded))
    sources = {name: _described(each) for name, each in results.items()}
    return {"sources": sources, **_described(total)}


def _described(result: Result) -> dict[str, Any]:
    return {
        "batches": [marker.batch for marker in result.loaded],
        "rows": _total(result.loaded + result.retried),
        "refused": _refused(result.loaded),
        "busy": result.is_busy,
        "exports": list(dict.fromkeys(result.exports)),
    }


def _report(step: Step, target: Target, bucket: str, *, of_files: bool) -> None:
    marker, progress = step.marker, step.progress
    metrics.add_metric("RowsLoaded", MetricUnit.Count, sum(_total([marker]).values()))
    refused = _refused([marker]) if progress != "retried" else {}
    metrics.add_metric("RowsRefused", MetricUnit.Count, sum(refused.values()))
    if progress == "new":  # not one that is applied again to a restored warehouse
        metrics.add_metric("SourceToWarehouse", MetricUnit.Seconds, marker.age_seconds)
        give_notice("every-batch", *notice(step, target, bucket))
        if of_files:
            give_notices("every-file", file_notices(step, target, bucket))
            give_notices("steps", step_notices(step, target, bucket))
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
            if rows := table.inserted + table.updated + table.deleted:
                total[name] = total.get(name, 0) + rows
    return total


def _refused(markers: list[LoadedMarker]) -> dict[str, int]:
    total: dict[str, int] = {}
    for marker in markers:
        for name, table in marker.rows.items():
            if table.refused:
                total[name] = total.get(name, 0) + table.refused
    return total
