"""The request in an event for extract: which sources to read, and what to read again.

Where the target disagrees with the source, reconcile requests tables to be read whole and keys to
be looked up; a person requests the replay of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from etl import Events, Table
from etl.sources import Source
from functions.common.errors import RepairRequestError, SettingsError, UnknownBatchError
from functions.sources import NO_REPAIR, Repair


@dataclass(frozen=True)
class ExtractRequest:
    """The sources to read, and, of the only one, a batch to replay or what to read again.

    With `now` sources are read that are not due yet by their declaration. A `scheduled` run comes
    again soon, and so does one after a file that was dropped; any other one was asked for, and
    looks at everything.
    """

    sources: tuple[Source, ...]
    replay: int | None = None
    now: bool = False
    scheduled: bool = False
    repair: Repair = NO_REPAIR


def request_of(event: object, sources: tuple[Source, ...]) -> ExtractRequest:
    """Return what an event requests of some sources; one that is not for extract requests all.

    A source of events cannot be read: its batches can be replayed, and that is all.

    Raises SettingsError for an unknown source, UnknownBatchError and RepairRequestError for an
    event of another form, and for one that does not say which of several sources it is about.
    """
    if not isinstance(event, dict):
        return ExtractRequest(_readable(sources))
    named = _sources(event, sources)
    if "replay" in event:
        if len(named) != 1:
            raise UnknownBatchError(f"a replay is of one source: {_which(sources)}")
        return ExtractRequest(named, replay=_batch(event["replay"]))
    readable = _readable(named)
    if "read" not in event:
        return ExtractRequest(
            readable,
            now=event.get("now") is True,
            scheduled=_is_of_schedule(event) or _is_of_bucket(event),
        )
    if not readable:
        raise RepairRequestError(
            "events cannot be read again: replay the batches that they came with"
        )
    if len(readable) != 1:
        raise RepairRequestError(f"a repair is of one source: {_which(sources)}")
    [source] = readable
    return ExtractRequest(
        readable, repair=_repair(event, {each.id: each for each in source.tables})
    )


def _readable(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    return tuple(source for source in sources if not isinstance(source, Events))


def _sources(event: dict[str, Any], sources: tuple[Source, ...]) -> tuple[Source, ...]:
    if (name := event.get("source")) is None or not _is_ours(event):
        return sources
    found = tuple(source for source in sources if source.name == name)
    if not found:
        raise SettingsError(f"the event names an unknown source: {_which(sources)}")
    return found


def _is_ours(event: dict[str, Any]) -> bool:
    """Return whether an event was made for extract: a schedule's has a source too, a service."""
    return "detail-type" not in event


def _is_of_schedule(event: dict[str, Any]) -> bool:
    """https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduler.html"""
    return event.get("detail-type") == "Scheduled Event"


def _is_of_bucket(event: dict[str, Any]) -> bool:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    records = event.get("Records")
    return (
        isinstance(records, list)
        and bool(records)
        and all(isinstance(each, dict) and each.get("eventSource") == "aws:s3" for each in records)
    )


def _which(sources: tuple[Source, ...]) -> str:
    return f'give {{"source": …}}, one of {", ".join(each.name for each in sources)}'


def _batch(asked: object) -> int:
    if type(asked) is not int:  # True is an int to Python, and 1.5 becomes one
        raise UnknownBatchError(
            f"the event asks to replay a {type(asked).__name__}: give the number of a batch, as in "
            '{"replay": 7}'
        )
    return asked


def _repair(event: dict[str, Any], tables: Mapping[str, Table]) -> Repair:
    asked = {name: event[name] for name in ("read", "absent") if name in event}
    try:
        repair = msgspec.convert(asked, Repair)
    except msgspec.ValidationError as error:
        raise RepairRequestError(
            f"the event to read tables again is malformed: {error}. Give it as in "
            '{"read": ["customer"], "absent": {"customer": [7]}}'
        ) from None
    if unknown := sorted(repair.tables - set(tables)):
        raise RepairRequestError(
            f"the event asks for {len(unknown)} tables that extract does not read: name some of "
            f"{', '.join(sorted(tables))}"
        )
    for name, keys in repair.absent.items():
        kind = int if tables[name].has_integer_key else str
        if not all(isinstance(key, kind) for key in keys):
            what = "whole numbers" if kind is int else "texts"
            raise RepairRequestError(f"the event has keys of table {name} that are no {what}")
    return repair
