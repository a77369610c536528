"""The JSON object of an event and its fields, as receive and collect both read them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from etl import WHOLE, Events
from functions.common.errors import InvalidEventError
from functions.common.jsontext import Decoder

MAX_DEPTH = 200
"""The depth of an event. Any limit below a stack's would do: PostgreSQL's allows thousands."""

_HEADER = "header:"


def event_of(raw: bytes) -> dict[str, Any]:
    """Parse bytes as a JSON object, with numbers as `jsontext.Number`.

    Raises InvalidEventError for other encodings than UTF-8, for what is not one JSON object, for
    two fields of one name, for NaN and infinities, and for values nested deeper than MAX_DEPTH.
    """
    decoder = Decoder()
    try:
        text = raw.decode().strip(" \t\r\n")
        event, end = decoder.decoded(text, 0)
    except UnicodeDecodeError:
        raise InvalidEventError("it is not UTF-8") from None
    except json.JSONDecodeError:
        raise InvalidEventError("it is not JSON") from None
    except RecursionError:
        raise InvalidEventError("it is nested too deeply") from None
    if not isinstance(event, dict) or end < len(text):
        raise InvalidEventError("it is not one JSON object")
    if decoder.faults:
        raise InvalidEventError("it has a field twice, or a number that is not JSON")
    if _is_too_deep(event):
        raise InvalidEventError("it is nested too deeply")
    return event


def _is_too_deep(event: dict[str, Any]) -> bool:
    level: list[Any] = [event]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def value_at(event: Mapping[str, Any], headers: Mapping[str, str], path: str) -> Any:
    """Return the value at a path of an event, None if there is none; `headers` by lower-case name.

    A step into a list is a position, from 0, as in `data.items.0.id`. WHOLE is the event itself.
    """
    if path == WHOLE:
        return event
    if path.startswith(_HEADER):
        return headers.get(path.removeprefix(_HEADER).lower())
    found: Any = event
    for step in path.split("."):
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def is_text(value: str) -> bool:
    """Return whether a text can be written in UTF-8, as one with a lone surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def headers_of(source: Events) -> frozenset[str]:
    """Return the names, in lower case, of the headers that a source's fields refer to."""
    paths: Iterable[str] = (
        source.id,
        source.type,
        *source.required,
        *(path for feed in source.feeds for path in feed.fields.values()),
    )
    return frozenset(
        path.removeprefix(_HEADER).lower() for path in paths if path.startswith(_HEADER)
    )
