"""Files as a kind of source, for extract."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import boto3

from etl import Files, Pipeline
from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.sources import Read
from functions.sources.files.capture import Capture
from functions.sources.files.listing import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@cache
def _client(region: str | None) -> "S3Client":
    return boto3.client("s3", config=CLIENT_CONFIG, region_name=region)


def is_configured(source: Files) -> bool:
    """Return whether the environment names the bucket of a source."""
    return bool(os.environ.get(source.bucket_setting))


def look(source: Files) -> str:
    """Return that the files can be listed; raise SettingsError if not."""
    place = place_of(source)
    next(place.versions(), None)
    return f"s3://{place.bucket}/{place.prefix} can be listed"


def place_of(source: Files) -> Place:
    """Return where the files of a source are; raise SettingsError if the environment lacks it."""
    region = os.environ.get(source.region_setting) if source.remote else None
    prefix = os.environ.get(source.prefix_setting, "").strip("/") if source.remote else ""
    return Place(
        _client(region or None),
        required(os.environ, source.bucket_setting),
        f"{prefix}/" if prefix else "",
        source.bucket_setting,
        source.region_setting,
    )


@contextmanager
def opened(
    source: Files,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    seconds: float,
    *,
    now: bool = False,
    scheduled: bool = False,
) -> Iterator[Read]:
    """Yield the function that captures a batch; no file is begun after half of the time."""
    end = time.monotonic() + seconds / 2
    capture = Capture(
        source,
        pipeline,
        place_of(source),
        log,
        _processed(source),
        now=lambda: datetime.now(UTC),
        has_time=lambda: time.monotonic() < end,
        lifted=now,
    )
    yield capture.run


def _processed(source: Files) -> BatchLog[ProcessedManifest] | None:
    if source.at_most is None:
        return None
    bucket = Bucket(_client(None), required(os.environ, "PROCESSED_BUCKET"))
    return BatchLog(bucket, source.name, ProcessedManifest)
