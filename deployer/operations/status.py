"""The state of a deployment, read from the account only.

Anything may be missing: it works in an empty account, and during a deployment or a teardown.
Nothing here writes, or connects to a database.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from deployer.aws import sns, sqs
from deployer.aws.account import Account
from deployer.aws.changes import found
from deployer.endpoints import event_urls, report_urls
from deployer.errors import explaining
from deployer.operations.files import RefusedFile, count_new, refused_files, unmatched
from deployer.operations.progress import LOGS, Progress, catching_up, log_of, reading
from deployer.resources import specs
from deployer.resources.alarm_specs import possible_alarms
from deployer.resources.names import FunctionUse, Names
from etl import Events, Files, Report

NO_BUCKET = "NoSuchBucket"
EXPIRY_TAG = "expires-at"
SHORT = 12  # digits of a fingerprint, enough to distinguish two
REASONS = 5  # of a table, the most frequent ones

Document = Mapping[str, Any]


@dataclass(frozen=True)
class FunctionStatus:
    """A deployed function; `state` is that of AWS, such as Active, times are ISO 8601."""

    state: str
    last_modified: str
    expires_at: str | None


@dataclass(frozen=True)
class Batch:
    """The newest batch of a stage; `snapshot_at` is the time of its snapshot. ISO 8601 in UTC."""

    number: int
    written_at: str
    snapshot_at: str


@dataclass(frozen=True)
class Quarantined:
    """Rows of a source table in quarantine, or of a target table that the warehouse refuses.

    `reasons` has the rows of the most frequent reasons.
    """

    rows: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class SourceTable:
    """A source table as the newest batch registers it, unchanged `since` (ISO 8601 in UTC).

    `is_carried` is whether target tables are built from it; `error` is why it is not read.
    """

    fingerprint: str
    columns: int
    since: str
    is_carried: bool
    error: str | None


@dataclass(frozen=True)
class SourceStatus:
    """The state of a source's data; what is missing is None or left out.

    `batches`: the newest by function. `quarantine`: by source table or, for rows that the warehouse
    refuses, by target table. `stopped`: by source table, why it is not read. `schemas`: the
    registry by source table. `refusals`: the newest by file. `new_files`: those dropped after the
    newest batch was read. `source_to_warehouse`: the seconds that the newest loaded batch took.
    `snapshot_age`: the seconds since its snapshot. `filling`: by source table that is read in
    several batches, how far that is. `seconds_left`: until no batch waits to be loaded.
    """

    batches: Mapping[FunctionUse, Batch | None]
    source_to_warehouse: float | None
    snapshot_age: float | None
    quarantine: Mapping[str, Quarantined]
    stopped: Mapping[str, str]
    schemas: Mapping[str, SourceTable]
    refusals: Mapping[str, RefusedFile] = field(default_factory=dict)
    new_files: int | None = None
    filling: Mapping[str, Progress] = field(default_factory=dict)
    seconds_left: float | None = None


@dataclass(frozen=True)
class Status:
    """A deployment; what is missing is None or left out.

    `functions` and `sources`: by name. `alarms`: the state of those that are not OK.
    `unconfirmed`: e-mail addresses that have not confirmed their subscription. `drop_bucket`: the
    bucket that files are dropped into; `strangers`: the keys in it that match no feed. `endpoints`:
    URLs of events, by source, and of reports, by path. `waiting_events`: those in the queue;
    `dead_events`: those that could not be collected.
    """

    is_deployed: bool
    functions: Mapping[FunctionUse, FunctionStatus | None]
    sources: Mapping[str, SourceStatus]
    alarms: Mapping[str, str]
    failed_events: int | None
    unconfirmed: list[str]
    hours_left: float | None
    drop_bucket: str | None = None
    strangers: list[str] = field(default_factory=list)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    waiting_events: int | None = None
    dead_events: int | None = None


def read_status(
    account: Account,
    names: Names,
    sources: Iterable[str],
    now: datetime,
    *,
    dropped: Iterable[Files] = (),
    posted: Iterable[Events] = (),
    reports: Sequence[Report] = (),
) -> Status:
    """Read the state of a deployment with these sources; `now` has a time zone.

    Of the sources, `dropped` are those of files in the deployment's bucket and `posted` those of
    events. `reports` are the pipeline's.

    Raises:
        DeployError: AWS refuses a read, or does not accept the credentials.
    """
    own_files = {source.name: source for source in dropped}
    with explaining("status"), ThreadPoolExecutor() as threads:
        events = list(posted)
        served = report_urls(account, names, reports)
        own = (*(specs.OF_EVENTS if events else ()), *(specs.OF_REPORTS if served else ()))
        uses = [spec.use for spec in (*specs.FUNCTIONS, *own)]
        reading_functions = threads.submit(_functions, account, names, uses)
        of_lake = [spec.use for spec in specs.OF_LAKE]
        reading_lake = threads.submit(_functions, account, names, of_lake)
        reading_endpoints = threads.submit(event_urls, account, names, events)
        queues = (names.events_queue, names.dead_queue) if events else ()
        counting = [threads.submit(sqs.count_messages, account, queue) for queue in queues]
        reading_sources = {
            source: threads.submit(_source, account, names, source, now, own_files.get(source))
            for source in sources
        }
        reading_alarms = threads.submit(not_ok, account, names)
        reading_queue = threads.submit(sqs.count_messages, account, names.queue)
        reading_unmatched = threads.submit(_unmatched, account, names, own_files.values())
        reading_emails = threads.submit(sns.unconfirmed, account, names.topic_arn)
        functions = reading_functions.result()
        # The pipeline does not declare it, and LAKE=off leaves it as it is.
        functions |= {use: each for use, each in reading_lake.result().items() if each}
        return Status(
            is_deployed=any(functions.values()),
            functions=functions,
            sources={source: reading.result() for source, reading in reading_sources.items()},
            alarms=reading_alarms.result(),
            failed_events=reading_queue.result(),
            unconfirmed=reading_emails.result(),
            hours_left=_hours_left(functions, now),
            drop_bucket=names.bucket("drop") if own_files else None,
            strangers=reading_unmatched.result(),
            endpoints={**reading_endpoints.result(), **served},
            waiting_events=counting[0].result() if counting else None,
            dead_events=counting[1].result() if counting else None,
        )


def _source(
    account: Account, names: Names, source: str, now: datetime, dropped: Files | None
) -> SourceStatus:
    processed_bucket = names.bucket("processed")
    logs = {use: log_of(account, names, use, source) for use in LOGS}
    ingested, processed, marker = (found(log.newest_document, NO_BUCKET) for log in logs.values())
    waiting = ingested["batch"] - marker["batch"] if ingested and marker else 0
    schemas = _schemas(ingested)
    return SourceStatus(
        batches={
            "extract": _batch(ingested),
            "transform": _batch(processed),
            "load": _batch(marker),
        },
        source_to_warehouse=marker["age_seconds"] if marker else None,
        snapshot_age=_seconds_since(marker["source"]["snapshot_at"], now) if marker else None,
        quarantine={**_quarantine(account, processed_bucket, processed), **_refused(marker)},
        stopped={
            name: table.error for name, table in schemas.items() if table.error and table.is_carried
        },
        schemas=schemas,
        refusals=refused_files((processed or {}).get("refusals", []), processed_bucket),
        new_files=_new_files(account, names.bucket("drop"), dropped, ingested),
        filling=reading(logs["extract"], ingested, now) if ingested else {},
        seconds_left=catching_up(logs["load"], marker, waiting, now) if marker else None,
    )


def _unmatched(account: Account, names: Names, dropped: Collection[Files]) -> list[str]:
    if not dropped:
        return []
    return found(lambda: unmatched(account, names.bucket("drop"), dropped), NO_BUCKET) or []


def _new_files(
    account: Account, bucket: str, source: Files | None, newest: Document | None
) -> int | None:
    if source is None:
        return None
    return found(lambda: count_new(account, bucket, source, newest), NO_BUCKET)


def _functions(
    account: Account, names: Names, uses: Iterable[FunctionUse]
) -> dict[FunctionUse, FunctionStatus | None]:
    return {use: _function(account, names.function(use)) for use in uses}


def _function(account: Account, name: str) -> FunctionStatus | None:
    client = account.clients.lambda_
    answer = found(lambda: client.get_function(FunctionName=name), "ResourceNotFoundException")
    if answer is None:
        return None
    configuration = answer["Configuration"]
    return FunctionStatus(
        state=configuration.get("State", "unknown"),
        last_modified=configuration.get("LastModified", ""),
        expires_at=answer.get("Tags", {}).get(EXPIRY_TAG),
    )


def _batch(document: Document | None) -> Batch | None:
    if document is None:
        return None
    return Batch(document["batch"], document["written_at"], document["source"]["snapshot_at"])


def _schemas(ingested: Document | None) -> dict[str, SourceTable]:
    # A batch written by an earlier version of extract has no registry.
    registry = ingested.get("schemas", {}) if ingested else {}
    return {
        name: SourceTable(
            fingerprint=table["fingerprint"][:SHORT],
            columns=len(table["columns"]),
            since=table["since"],
            is_carried=table["carried"],
            error=table["error"],
        )
        for name, table in registry.items()
    }


def not_ok(account: Account, names: Names) -> dict[str, str]:
    """Return the states of the alarms that are not OK, by name."""
    ours = [alarm.name for alarm in possible_alarms(names)]
    answer = account.clients.cloudwatch.describe_alarms(AlarmNames=ours)
    states = {alarm["AlarmName"]: str(alarm["StateValue"]) for alarm in answer["MetricAlarms"]}
    return {name: states[name] for name in ours if states.get(name, "OK") != "OK"}


def _quarantine(
    account: Account, bucket: str, processed: Document | None
) -> dict[str, Quarantined]:
    entries = processed["quarantine"] if processed else {}
    return {
        table: Quarantined(entry["rows"], _reasons(account, bucket, _objects(entry)))
        for table, entry in entries.items()
        if entry["rows"]
    }


def _refused(marker: Document | None) -> dict[str, Quarantined]:
    """Return the rows that the warehouse refuses, by target table."""
    tables = marker.get("refused", {}) if marker else {}
    held = {}
    for name, objects in tables.items():
        reasons: Counter[str] = Counter()
        for each in objects:
            reasons.update(each["reasons"])
        held[name] = Quarantined(reasons.total(), dict(reasons.most_common(REASONS)))
    return held


def _objects(entry: Document) -> list[str]:
    """Return the objects with the rows of a quarantine: one, or its parts."""
    return [part["file"] for part in entry.get("parts") or [entry]]


def _reasons(account: Account, bucket: str, keys: Iterable[str]) -> dict[str, int]:
    # Slow to import, and needed only for rows in quarantine.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    reasons: Counter[str] = Counter()
    for key in keys:
        get = partial(account.clients.s3.get_object, Bucket=bucket, Key=key)
        answer = found(get, "NoSuchKey")
        if answer is not None:
            body = pa.BufferReader(answer["Body"].read())
            reasons.update(pq.read_table(body, columns=["_reason"])["_reason"].to_pylist())
    return dict(reasons.most_common(REASONS))


def _hours_left(
    functions: Mapping[FunctionUse, FunctionStatus | None], now: datetime
) -> float | None:
    ends = [each.expires_at for each in functions.values() if each and each.expires_at]
    return -_seconds_since(min(ends), now) / 3600 if ends else None


def _seconds_since(moment: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(moment)).total_seconds()
