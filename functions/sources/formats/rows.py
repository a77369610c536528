"""The rows of a file as they are in the lake: cells of text, their lines, their faults."""

import re
from array import array
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from etl.tables import OWN_COLUMNS
from functions.common.carried import LINE, ROW, WRONG

SPOILED = re.compile("[\0\ud800-\udfff]")
"""Characters that no text may have: NUL, and surrogates, which stand for invalid bytes."""

_OWN = pa.schema([(LINE, pa.int64()), (WRONG, pa.string()), (ROW, pa.string())])


class RowsBuilder:
    """Builds rows one by one, where no library builds many at a time.

    `_line` is the line on which a record begins. `_wrong` is why it cannot be separated into
    values, or which of them are no text, NULL for a good one; `_row` is the record as it came.
    Columns with the name of one of the engine's own are left out, except `more`, whose texts each
    row has after its values.
    """

    def __init__(self, columns: Sequence[str], more: Sequence[str] = ()) -> None:
        self._columns = columns
        self._more = more
        self._nothing: list[str | None] = [None] * len(columns)
        self._rows: list[list[str | int | None]] = []
        self.bytes = 0

    def add(
        self,
        line: int,
        values: Sequence[str | None],
        row: str | None,
        wrong: str | None = None,
        *,
        more: Sequence[str | None] = (),
    ) -> None:
        """Append a row, or a `wrong` one with the values that it has, if it has any.

        `row` is the record as it came.
        """
        cells = values or self._nothing
        self._rows.append([*cells, *more, line, wrong, row])
        self.bytes += sum(map(len, filter(None, (*cells, row))))

    def finish(self) -> pa.RecordBatch:
        """Return the rows added so far, and begin again."""
        names = [*self._columns, *self._more, *_OWN.names]
        columns = list(zip(*self._rows, strict=True)) or [()] * len(names)
        kinds = [pa.string()] * (len(names) - len(_OWN)) + _OWN.types
        arrays = [pa.array(cells, kind) for cells, kind in zip(columns, kinds, strict=True)]
        self._rows, self.bytes = [], 0
        return _carried(names, arrays, len(self._columns))


def as_read(table: pa.Table, first_line: int, extra: pa.Array | None) -> pa.RecordBatch:
    """Return good rows as they are in the lake, given the line of the first.

    `extra` are the numbers of lines that each row has after its first, None if no row has any.
    """
    size = table.num_rows
    ends = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), size))
    lines = pc.add(ends, first_line - 1)
    if extra is not None:
        lines = pc.add(lines, pc.subtract(pc.cumulative_sum(extra), extra))
    columns = [column.combine_chunks() for column in table.columns]
    nulls = pa.nulls(size, pa.string())
    names = [*table.column_names, *_OWN.names]
    return _carried(names, [*columns, lines, nulls, nulls], table.num_columns)


def _carried(names: Sequence[str], arrays: Sequence[pa.Array], given: int) -> pa.RecordBatch:
    """Return columns as rows, without those of the first `given` with the name of an engine's."""
    kept = [place for place, name in enumerate(names) if place >= given or name not in OWN_COLUMNS]
    return pa.record_batch(
        [arrays[place] for place in kept], names=[names[place] for place in kept]
    )


def fault_of(name: str, value: str) -> str | None:
    """Return why a value is not valid text, None if it is."""
    if "\0" in value:
        return f"{name} has a NUL character"
    return f"{name} is not UTF-8" if SPOILED.search(value) else None


def is_utf8(text: bytes) -> bool:
    """Return whether bytes are UTF-8, much faster than Python decodes them."""
    buffers = [None, pa.py_buffer(array("i", [0, len(text)])), pa.py_buffer(text)]
    try:
        pa.Array.from_buffers(pa.string(), 1, buffers).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def line_breaks(text: bytes) -> int:
    r"""Return how many lines end in a text, with \n, \r or both."""
    if b"\r" not in text:
        return text.count(b"\n")
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def shown(text: str) -> str:
    r"""Return a text with its invalid bytes written as \xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
