"""The Lambda function `page`: renders the page of the pipeline when there is something new to show.

It is invoked by the marker of a loaded batch, and by a sweep. An event is only a trigger: the logs
say whether there is something new. No other function depends on it.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl.loading import folder, load
from etl.pipeline import Pipeline
from functions.common import selfcheck
from functions.common.batchlog import BatchLog
from functions.common.errors import PipelineError
from functions.common.logs import Logs, MarkerLog, is_in_use
from functions.common.outcomes import stores_outcomes
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import logger
from functions.page.asking import Answers, asked
from functions.page.batches import Change, SourceState, state_of
from functions.page.document import document
from functions.page.sections import TableState, batches, freshness, put_aside, tables
from functions.page.storing import KEY, put_page, stored_page
from functions.targets import Place
from functions.targets.reading import needs_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

AT_MOST_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Lake:
    """The pipeline, and the logs of each of its sources; kept while the function is warm."""

    pipeline: Pipeline
    folder: Path
    secrets: "SecretsManagerClient"
    processed: Bucket
    logs: Mapping[str, tuple[Logs, MarkerLog]]


@cache
def _lake() -> Lake:
    name = required(os.environ, "PIPELINE")
    pipeline, client = load(name), boto3.client("s3", config=CLIENT_CONFIG)
    ingestion = Bucket(client, required(os.environ, "INGESTION_BUCKET"))
    processed = Bucket(client, required(os.environ, "PROCESSED_BUCKET"))
    return Lake(
        pipeline,
        folder(name),
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        processed,
        {
            each.name: (
                Logs.of(ingestion, processed, each.name),
                MarkerLog(processed, each.name),
            )
            for each in pipeline.sources
        },
    )


def _needs() -> Iterator[selfcheck.Need]:
    yield from selfcheck.of_settings()
    yield selfcheck.bucket("INGESTION_BUCKET", "batches/")
    yield selfcheck.bucket("PROCESSED_BUCKET", "batches/", "loaded/")
    yield from needs_of(_places(_lake()), selfcheck.SECONDS)


@selfcheck.answers_checks(_needs)
@stores_outcomes("page", "PROCESSED_BUCKET")
@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Render the page if there is something new and the last one is a minute old, or with `now`.

    Returns whether it was `made`, and then its `key`, its `bytes` and the `seconds` that it took.
    The page says what could not be read, and why.
    """
    began, now, lake = time.monotonic(), datetime.now(UTC), _lake()
    news, before = _news(lake, now), stored_page(lake.processed)
    is_due = before is None or (before.news != news and now - before.at >= AT_MOST_EVERY)
    if not is_due and not event.get("now"):
        return {"made": False}
    body = _page(lake, now)
    put_page(lake.processed, body, news)
    seconds = round(time.monotonic() - began, 3)
    logger.info("page made", extra={"bytes": len(body), "seconds": seconds})
    return {"made": True, "key": KEY, "bytes": len(body), "seconds": seconds}


def _news(lake: Lake, now: datetime) -> str:
    """Return a digest of what the page shows: the logs, the figures, and the hour."""
    numbers = [
        _newest(log)
        for logs, markers in lake.logs.values()
        for log in (logs.ingested, logs.processed, markers)
    ]
    figures = [
        (str(each), each.kind, each.statement(lake.folder)) for each in lake.pipeline.figures
    ]
    said = repr((f"{now:%Y-%m-%d %H}", numbers, figures))
    return hashlib.sha256(said.encode()).hexdigest()


def _newest(log: BatchLog[Any]) -> int | str:
    """Return the last number of a log, or its error, which is something new as well."""
    try:
        return log.newest()
    except PipelineError as error:
        return str(error)


def _places(lake: Lake) -> list[Place]:
    options = {each.name: each.value() for each in lake.pipeline.settings}
    return [
        Place(target, lake.folder, os.environ, lake.secrets, options)
        for target in lake.pipeline.targets
    ]


def _page(lake: Lake, now: datetime) -> bytes:
    states, broken = _states(lake)
    answers = {
        place.target.name: asked(place, lake.pipeline.figures_of(place.target))
        for place in _places(lake)
    }
    broken |= {name: each.error for name, each in answers.items() if each.error}
    title = required(os.environ, "PIPELINE"), required(os.environ, "STAGE")
    return document(
        *title,
        now,
        [
            ("State", [freshness(states, broken), put_aside(states)]),
            ("Figures", [figure for each in answers.values() for figure in each.figures]),
            ("Tables", [_tables(lake, name, states, each) for name, each in answers.items()]),
            ("Batches", batches(states)),
        ],
    )


def _states(lake: Lake) -> tuple[list[SourceState], dict[str, str]]:
    """Return the states of the sources, and why those of others cannot be read."""
    states: list[SourceState] = []
    broken: dict[str, str] = {}
    for source in lake.pipeline.sources:
        logs, markers = lake.logs[source.name]
        try:
            if is_in_use(source, logs.ingested):
                states.append(state_of(lake.pipeline, source, logs, markers))
        except PipelineError as error:
            logger.warning(f"{source.name}: {error}")
            broken[source.name] = str(error)
    return states, broken


def _tables(lake: Lake, target: str, states: list[SourceState], answers: Answers) -> Element:
    declared = lake.pipeline.target(target)
    changes: dict[str, Change] = {}
    for state in states:
        for name, change in state.changes.items():
            if name not in changes or changes[name].at < change.at:
                changes[name] = change
    names = [(each.name, each.id) for each in declared.made]
    if declared.calendar is not None:
        names.append((declared.calendar.name, declared.calendar.name))
    return tables(
        target,
        [TableState(name, answers.counts.get(name), changes.get(id_)) for name, id_ in names],
    )
