"""Events as rows of the lake: a cell of text for each column of their table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from etl import WHOLE, EventFeed, Events
from functions.common.errors import InvalidEventError
from functions.common.fields import event_of, is_text, value_at
from functions.common.jsontext import Number
from functions.common.received import Received
from functions.sources.formats.documents import cell_of
from functions.sources.formats.rows import fault_of, shown


@dataclass(frozen=True)
class EventRow:
    """The row of an event, and the event as it came; `wrong` says why it is refused, if it is.

    `id` is None if the event has none.
    """

    feed: EventFeed
    id: str | None
    cells: list[str | None]
    text: str
    wrong: str | None


def row_of(source: Events, received: Received) -> EventRow:
    """Return the row of an event, in the table of its type.

    An event without a type, or with one that no feed has, is a wrong one of the last feed's table.
    """
    event: dict[str, Any] | None
    try:
        event = event_of(received.body)
        faults = list(_lacking(source, event, received))
    except InvalidEventError as error:  # receive refuses those, but may have been another version
        event, faults = None, [str(error)]
    kind = _text_at(source.type, event or {}, received)
    feed = source.feed_of(kind) if kind is not None else None
    if kind is not None and feed is None:
        faults.append("there is no table for its type")
    feed = feed or source.feeds[-1]
    text = shown(received.body.decode("utf-8", "surrogateescape"))
    cells: list[str | None] = []
    for name in feed.table.columns if event is not None else ():
        cell, fault = _cell(feed, name, event or {}, received, text)
        cells.append(cell)
        faults += [fault] if fault else []
    identity = _text_at(source.id, event or {}, received)
    return EventRow(feed, identity, cells, text, "; ".join(faults) or None)


def _lacking(source: Events, event: dict[str, Any], received: Received) -> Iterator[str]:
    for path in dict.fromkeys([source.id, source.type]):
        if _text_at(path, event, received) is None:
            yield f"it has no {path}"
    for path in source.required:
        if value_at(event, received.headers, path) is None:
            yield f"it has no {path}"


def _cell(
    feed: EventFeed, name: str, event: dict[str, Any], received: Received, text: str
) -> tuple[str | None, str | None]:
    """Return the text of a column, and what is wrong with it."""
    path = feed.fields[name]
    if path == WHOLE:
        fault = fault_of(name, text)
        return None if fault else text, fault
    return cell_of(name, feed.table.columns[name], value_at(event, received.headers, path))


def _text_at(path: str, event: dict[str, Any], received: Received) -> str | None:
    """Return an id or a type: a text in UTF-8 that is not empty, or a number."""
    value = value_at(event, received.headers, path)
    if isinstance(value, Number):
        return value.literal
    return value if isinstance(value, str) and value and is_text(value) else None
