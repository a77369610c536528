"""JSON documents as rows: a cell of text for each declared column, and the document as it came."""

from typing import Any

import pyarrow as pa

from etl import Column, Json, Table, Text
from functions.common.jsontext import Decoder, Number, encoded
from functions.sources.formats.rows import RowsBuilder, fault_of, shown

TOO_DEEP = "its values are nested too deeply"


class Documents:
    """Makes rows from documents, one by one."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows = RowsBuilder(list(table.columns))
        self._decoder = Decoder()

    def decoded(self, text: str, start: int) -> tuple[Any, int]:
        """Return the value that begins at a place in a text, and where it ends.

        Raises json.JSONDecodeError for a syntax error, RecursionError for values that are nested
        too deeply.
        """
        return self._decoder.decoded(text, start)

    def add(self, line: int, raw: str, document: object) -> None:
        """Append the row of the document that was decoded last."""
        if not isinstance(document, dict):
            self.refuse(line, raw, "it is not an object")
            return
        cells: list[str | None] = []
        faults = list(self._decoder.faults)
        for name, column in self._table.columns.items():
            cell, fault = cell_of(name, column, document.get(name))
            cells.append(cell)
            faults += [fault] if fault else []
        self._rows.add(line, cells, shown(raw), "; ".join(faults) or None)

    def refuse(self, line: int, raw: str, why: str) -> None:
        """Append the row of an invalid document."""
        self._rows.add(line, (), shown(raw), why)

    @property
    def bytes(self) -> int:
        """About how much text the rows have since the last `finish`."""
        return self._rows.bytes

    def finish(self) -> pa.RecordBatch:
        """Return the rows since the last call."""
        return self._rows.finish()


def cell_of(name: str, column: Column, value: object) -> tuple[str | None, str | None]:
    """Return the text of a value, and what is wrong with it for its column."""
    if value is None:
        return None, None
    if isinstance(column, Json):
        text, kind = encoded(value), "a text"
    elif isinstance(value, str):
        text, kind = value, "a text"
    elif isinstance(value, bool):
        text, kind = encoded(value), "true or false"
    elif isinstance(value, Number):
        text, kind = value.literal, "a number"
    else:
        kind = "an object" if isinstance(value, dict) else "a list"
        return None, f"{name} is {kind}"
    if isinstance(column, Text) and kind != "a text":
        return None, f"{name} is {kind} and not a text"
    fault = fault_of(name, text)
    return None if fault else text, fault
