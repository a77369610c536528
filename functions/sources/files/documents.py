"""JSON documents as rows: a cell of text for each declared column, and the document as it came.

Faster parsers keep the last of two fields of one name, without a word, and numbers as floats.
"""

import json
from typing import Any, NamedTuple

import pyarrow as pa

from etl import Column, Json, Table, Text
from functions.sources.files.rows import RowsBuilder, fault_of, shown

TOO_DEEP = "its values are nested too deeply"


class _Number(NamedTuple):
    """A number as it was written."""

    literal: str


class Documents:
    """The rows that are made of documents, one by one."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows = RowsBuilder(list(table.columns))
        self._faults: list[str] = []  # of the value that was decoded last
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=self._constant,
        )

    def _object(self, fields: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(fields)
        if len(found) < len(fields):
            names = [name for name, _ in fields]
            twice = next(name for name in names if names.count(name) > 1)
            self._faults.append(f"it has two fields {twice}")
        return found

    def _constant(self, name: str) -> None:
        self._faults.append(f"{name} is not JSON")

    def decoded(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that begins at a place in a text, and where it ends.

        Raises json.JSONDecodeError for a syntax error, RecursionError for values in values without
        end.
        """
        self._faults.clear()
        return self._decoder.raw_decode(text, start)

    def add(self, line: int, raw: str, document: object) -> None:
        """Append the row of the document that was decoded last."""
        if not isinstance(document, dict):
            self.refuse(line, raw, "it is not an object")
            return
        cells: list[str | None] = []
        faults = list(self._faults)
        for name, column in self._table.columns.items():
            cell, fault = _cell(name, column, document.get(name))
            cells.append(cell)
            faults += [fault] if fault else []
        self._rows.add(line, cells, shown(raw), "; ".join(faults) or None)

    def refuse(self, line: int, raw: str, why: str) -> None:
        """Append the row of a document that is none."""
        self._rows.add(line, (), shown(raw), why)

    @property
    def bytes(self) -> int:
        """About how much text the rows have since they were last taken."""
        return self._rows.bytes

    def finish(self) -> pa.RecordBatch:
        """Return the rows since they were last taken."""
        return self._rows.finish()


def _cell(name: str, column: Column, value: object) -> tuple[str | None, str | None]:
    """Return the text of a value, and what is wrong with it for its column."""
    if value is None:
        return None, None
    if isinstance(column, Json):
        text, kind = _json(value), "a text"
    elif isinstance(value, str):
        text, kind = value, "a text"
    elif isinstance(value, bool):
        text, kind = _json(value), "true or false"
    elif isinstance(value, _Number):
        text, kind = value.literal, "a number"
    else:
        kind = "an object" if isinstance(value, dict) else "a list"
        return None, f"{name} is {kind}"
    if isinstance(column, Text) and kind != "a text":
        return None, f"{name} is {kind} and not a text"
    fault = fault_of(name, text)
    return None if fault else text, fault


def _json(value: Any) -> str:
    """Return a value as JSON, with its numbers as they were written."""
    if isinstance(value, _Number):
        return value.literal
    if isinstance(value, dict):
        fields = (f"{_json(name)}: {_json(each)}" for name, each in value.items())
        return f"{{{', '.join(fields)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    return json.dumps(value, ensure_ascii=False)
