"""The Lambda function `reconcile`: invoked once a day, and by hand, compares sources and targets.

It compares as of the newest batch in a target: what the source changed after it is pending, and is
no disagreement.
"""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from etl import Delivered, Events, Pipeline, Postgres
from etl.loading import folder, load
from etl.sources import Source
from etl.targets import Target
from functions.common import selfcheck
from functions.common.errors import raise_first
from functions.common.logs import Logs, MarkerLog
from functions.common.notices import give_notice
from functions.common.objects import Key
from functions.common.outcomes import stores_outcomes
from functions.common.secrets import key_of
from functions.common.settings import required
from functions.common.storage import CLIENT_CONFIG, Bucket
from functions.common.telemetry import MetricUnit, logger, metrics
from functions.reconcile import proof
from functions.reconcile.as_of import AsOf
from functions.reconcile.comparison import Comparison
from functions.reconcile.files import compare_files
from functions.reconcile.missed import ListedEvents, missed_events
from functions.reconcile.notices import notice
from functions.reconcile.table import Run, compare_table
from functions.sources import comparable, reader_of
from functions.sources import needs_of as needs_of_sources
from functions.targets import Feed, Place, comparing
from functions.targets import needs_of as needs_of_targets

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Sides:
    """The pipeline, the buckets between its sources and its targets, and who signs proofs."""

    pipeline: Pipeline
    folder: Path
    secrets: "SecretsManagerClient"
    ingestion: Bucket
    processed: Bucket
    signer: proof.Signer | None = None

    def fed(self) -> list[tuple[Source, Target]]:
        """Return each source that is configured, with the target that it feeds."""
        return [
            (source, target)
            for source in self.pipeline.sources
            if isinstance(source, Events)
            or not source.optional
            or reader_of(source).is_configured(source)
            if (target := self.pipeline.target_of(source.name))
        ]


@dataclass(frozen=True)
class Found:
    """The result of a comparison: the target's newest batch, and the comparison of each table.

    `made_of` is the main source table of each that can be read again. `extra` are the unexplained
    keys, by source table, that are only in the target. `heads` are the newest documents of the
    source's logs. Of tables that are `reading` not all rows are in the target yet.
    """

    batch: int
    tables: dict[str, Comparison]
    made_of: dict[str, str]
    extra: dict[str, list[Key]]
    heads: dict[str, Any] = field(default_factory=dict)
    reading: frozenset[str] = frozenset()

    @property
    def apart(self) -> dict[str, Comparison]:
        """The tables that disagree."""
        return {
            name: table
            for name, table in self.tables.items()
            if not table.agrees and name not in self.reading
        }

    @property
    def agrees(self) -> bool:
        """Whether all tables were compared, and agree."""
        return all(table.agrees for table in self.tables.values())

    @property
    def repair(self) -> dict[str, Any]:
        """The event by which extract reads again what disagrees; empty if it cannot."""
        apart = {name for name, table in self.apart.items() if table.error is None}
        read = [self.made_of[name] for name in self.tables if name in apart & self.made_of.keys()]
        return {"read": list(dict.fromkeys(read)), "absent": self.extra} if read else {}


@cache
def _sides() -> Sides:
    s3 = boto3.client("s3", config=CLIENT_CONFIG)
    name, key = required(os.environ, "PIPELINE"), os.environ.get("PROOF_KEY")
    return Sides(
        load(name),
        folder(name),
        boto3.client("secretsmanager", config=CLIENT_CONFIG),
        Bucket(s3, required(os.environ, "INGESTION_BUCKET")),
        Bucket(s3, required(os.environ, "PROCESSED_BUCKET")),
        proof.Signer(boto3.client("kms", config=CLIENT_CONFIG), key) if key else None,
    )


def _needs() -> Iterator[selfcheck.Need]:
    sides = _sides()
    yield from selfcheck.of_settings()
    if any(isinstance(source, Events | Postgres) for source in sides.pipeline.sources):
        yield selfcheck.bucket("INGESTION_BUCKET", "batches/")
    yield selfcheck.bucket("PROCESSED_BUCKET", "loaded/")
    if sides.signer is not None:
        yield selfcheck.Need("key of proofs", sides.signer.check)
    yield from needs_of_sources(sides.pipeline.sources)
    yield from needs_of_targets(
        Place(target, sides.folder, os.environ, sides.secrets) for target in sides.pipeline.targets
    )


@selfcheck.answers_checks(_needs)
@stores_outcomes("reconcile", "PROCESSED_BUCKET")
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Compare every target table with its source; `agrees` says whether all do.

    Returns `tables`: for each its counts of source, warehouse, missing, different, extra, pending,
    deleted and quarantined rows, and keys as examples; `sources`: for each `batch`, the newest one
    in the target (None if there is none), and `repair`, the event by which extract reads again what
    disagrees. `batch` is that of the only source, and `repair` the first one. `fetched` is the
    number of missed events by source, which are in the queue now. Writes all of it as a proof.
    Raises the first error, after all sources were tried.
    """
    started = time.monotonic()
    found: dict[str, Found] = {}
    failures: list[Exception] = []
    fed = _sides().fed()
    for source, target in fed:
        seconds = context.get_remaining_time_in_millis() / 1000
        try:
            found[source.name] = _compare_all(_sides(), source, target, seconds)
            found[source.name] = replace(found[source.name], heads=_heads(_sides(), source.name))
        except Exception as error:  # the other sources are still compared
            logger.error(f"{source.name}: {error}")
            failures.append(error)
    fetched: dict[str, int] = {}
    for events in _sides().pipeline.events:
        try:
            fetched |= _fetch(_sides(), events)
        except Exception as error:  # the other providers are still asked
            logger.error(f"{events.name}: {error}")
            failures.append(error)
    sources = {name: _proven(found.get(name)) for name in [each.name for each, _ in fed]}
    failures += proof.prove(_sides().processed, sources, _sides().signer, datetime.now(UTC))
    raise_first(failures)
    return _report(found) | {"fetched": fetched} | {"seconds": round(time.monotonic() - started, 3)}


def _heads(sides: Sides, source: str) -> dict[str, Any]:
    markers = MarkerLog(sides.processed, source)
    return proof.heads(Logs.of(sides.ingestion, sides.processed, source), markers)


def _proven(found: Found | None) -> dict[str, Any]:
    """Return a source's part of a proof; None is that it could not be compared."""
    if found is None:
        return {"agrees": False, "error": "it could not be compared"}
    tables = proof.compared({name: asdict(table) for name, table in found.tables.items()})
    return {
        "batch": found.batch or None,
        "agrees": found.agrees,
        "heads": found.heads,
        "reading": sorted(found.reading),
        "tables": tables,
    }


def _fetch(sides: Sides, source: Events) -> dict[str, int]:
    """Queue the events that never arrived; return how many, if the source has a list of them."""
    secret = os.environ.get(source.key_secret_setting)
    if source.missed is None or not secret:
        return {}
    log = Logs.of(sides.ingestion, sides.processed, source.name).ingested
    listed = ListedEvents(source, source.missed, key_of(sides.secrets, secret))
    queue = boto3.client("sqs", config=CLIENT_CONFIG)
    url = required(os.environ, "EVENTS_QUEUE_URL")
    fetched = 0
    for missed in missed_events(source, log, listed, datetime.now(UTC)):
        queue.send_message(QueueUrl=url, MessageBody=missed.message())
        fetched += 1
    logger.info("missed events fetched", extra={"source": source.name, "events": fetched})
    metrics.add_metric("EventsFetched", MetricUnit.Count, fetched)
    return {source.name: fetched}


def _report(found: dict[str, Found]) -> dict[str, Any]:
    """Return the result of all sources; count and log the tables that disagree."""
    tables = {name: table for each in found.values() for name, table in each.tables.items()}
    apart = {name: table for each in found.values() for name, table in each.apart.items()}
    metrics.add_metric("TablesApart", MetricUnit.Count, len(apart))
    for name, table in apart.items():
        logger.error(f"{name} disagrees with the source", extra=_reported(table))
    give_notice("daily", _subject(found.values()), notice(tables))
    sources = {
        name: {"batch": each.batch or None, "repair": _event(name, each, len(found))}
        for name, each in found.items()
    }
    batches = [each["batch"] for each in sources.values()]
    return {
        "agrees": all(each.agrees for each in found.values()),
        "batch": batches[0] if len(batches) == 1 else None,
        "tables": {name: _reported(table) for name, table in tables.items()},
        "repair": next((each["repair"] for each in sources.values() if each["repair"]), {}),
        "sources": sources,
    }


def _subject(found: Collection[Found]) -> str:
    if any(each.apart for each in found):
        return "Source and warehouse disagree"
    if any(each.reading for each in found):
        return "Source and warehouse agree as far as all is read"
    return "Source and warehouse agree"


def _reported(table: Comparison) -> dict[str, Any]:
    """Return the comparison of a table; its digests are in the proof alone."""
    return {name: value for name, value in asdict(table).items() if not name.endswith("_digest")}


def _event(source: str, found: Found, sources: int) -> dict[str, Any]:
    """Return the event that repairs a source; it names the source where there are several."""
    named = {"source": source} if sources > 1 and found.repair else {}
    return named | found.repair


def _compare_all(sides: Sides, source: Source, target: Target, seconds: float) -> Found:
    """Compare snapshots of both, the target's taken first: what it has, the source has or had."""
    logs = Logs.of(sides.ingestion, sides.processed, source.name)
    mappings = sides.pipeline.mappings(source.name)
    place = Place(target, sides.folder, os.environ, sides.secrets)
    feed = Feed(mappings, logs.processed, MarkerLog(sides.processed, source.name))
    made_of = {mapping.target.name: mapping.main.id for mapping in mappings}
    with comparing(target).comparer(place, feed, seconds) as there:
        if isinstance(source, Delivered):
            tables = compare_files(sides.pipeline, source, logs, there)
            made_of = {} if isinstance(source, Events) else made_of  # they cannot be read again
            return Found(there.batch, tables, made_of, {})
        kind = comparable(source)
        as_of = AsOf(logs, there.batch, there.latest, kind)
        with kind.current(source, sides.pipeline, as_of.manifest, seconds) as here:
            run = Run(sides.pipeline, here, there, logs, as_of)
            compared = [mapping for mapping in mappings if there.has(mapping)]
            tables = {each.target.name: compare_table(run, each) for each in compared}
    reading = frozenset(each.target.name for each in compared if as_of.progress(each))
    return Found(there.batch, tables, made_of, run.extra, reading=reading)
