"""JSON as it was written: numbers as their literals, and none of the faults that parsers accept.

Faster parsers read numbers as floats and silently keep the last of two fields with one name.
"""

import json
from typing import Any, NamedTuple


class Number(NamedTuple):
    """A number as it was written."""

    literal: str


class Decoder:
    """A JSON decoder that collects in `faults` what is not valid JSON in the last value."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=Number,
            parse_int=Number,
            parse_constant=self._constant,
        )

    def _object(self, fields: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(fields)
        if len(found) < len(fields):
            names = [name for name, _ in fields]
            twice = next(name for name in names if names.count(name) > 1)
            self.faults.append(f"it has two fields {_shown(twice)}")
        return found

    def _constant(self, name: str) -> None:
        self.faults.append(f"{name} is not JSON")

    def decoded(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that begins at a position of a text, and where it ends.

        Raises json.JSONDecodeError for a syntax error, RecursionError for values nested too deeply.
        """
        self.faults.clear()
        return self._decoder.raw_decode(text, start)


def as_bytes(value: Any) -> bytes:
    """Encode a decoded value as JSON in UTF-8.

    A lone surrogate, which a document may have as an escape, is an escape again: its row is refused
    where its cells are read, and costs no other.
    """
    return encoded(value).encode("utf-8", "backslashreplace")


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def encoded(value: Any) -> str:
    """Encode a decoded value as JSON, with numbers as they were written."""
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, dict):
        fields = (f"{encoded(name)}: {encoded(each)}" for name, each in value.items())
        return f"{{{', '.join(fields)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(encoded, value))}]"
    return json.dumps(value, ensure_ascii=False)
