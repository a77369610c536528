"""Read CSV into cells of text.

Arrow reads a block of whole lines at a time. It fails on the whole block if one record is bad, and
does not say which: such a block is read again by Python's csv module, record by record and by the
same rules.

A block may end within quotes. So a last line is added to it that has too many values in either
case: Arrow passes it to a handler, together with the open record before it, if there is one.
"""

import codecs
import re
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from secrets import token_hex
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import ConvertOptions, InvalidRow, ParseOptions, ReadOptions, read_csv

from etl import Csv, Table
from functions.common.carried import RECORD_BYTES
from functions.common.errors import UnusableFileError
from functions.sources.formats.records import Record, header_of, records
from functions.sources.formats.rows import (
    SPOILED,
    RowsBuilder,
    as_read,
    fault_of,
    is_utf8,
    line_breaks,
    shown,
)

NEVER_CLOSED = "a quote that is opened in it is never closed"

_BLANK_LINE = re.compile(rb"\A[\r\n]|\n[\r\n]|\r\r")

STEP_BYTES = 256 << 10  # of a block with a bad record, read at a time


class CsvReader:
    """Reads the rows of one file; `header` is set once the first ones are read.

    A file has to have the `required` columns, by default all that are declared.
    """

    def __init__(
        self,
        format: Csv,  # noqa: A002
        table: Table,
        required: Collection[str] | None = None,
    ) -> None:
        self.header: list[str] = [] if format.header else list(table.columns)
        self._format = format
        self._required = table.columns if required is None else required
        self._line = 1  # of the file, on which what is pending begins
        self._pending = b""
        self._token = token_hex(8)

    def rows(self, pieces: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a text in UTF-8.

        Raises UnusableFileError for a file that is empty, lacks declared columns, or has a record
        that is too large.
        """
        for piece in pieces:
            self._pending += piece
            yield from self._whole_lines()
            if len(self._pending) > RECORD_BYTES:
                raise UnusableFileError(
                    f"its record on line {self._line} has more than {RECORD_BYTES >> 20} MB: is a "
                    "quote never closed?"
                )
        if self._line == 1 and not self._pending:
            raise UnusableFileError("it is empty")
        if self._pending and not self._pending.endswith((b"\r", b"\n")):
            self._pending += b"\n"
        yield from self._whole_lines(is_last=True)

    def _whole_lines(self, *, is_last: bool = False) -> Iterator[pa.RecordBatch]:
        """Yield the pending rows, except for a last record that may continue."""
        if not self.header:
            self._read_header(self._pending[: self._end(is_last=is_last)], is_last=is_last)
        end = self._end(is_last=is_last)
        if not self.header or not end:
            return
        block = self._pending[:end]
        read = self._fast(block)
        if read is None or (is_last and read.size < end):
            yield from self._in_steps(end, is_last=is_last)
            return
        self._skip(read)
        yield read.rows

    def _in_steps(self, end: int, *, is_last: bool) -> Iterator[pa.RecordBatch]:
        """Yield the rows up to a line break where one of the records is bad."""
        step = min(STEP_BYTES, end)
        while end:
            at = _last_break(self._pending, step) or end
            block, is_rest = self._pending[:at], is_last and at == end
            read = self._fast(block)
            if read is None or (is_rest and read.size < at):
                read = self._exact(block, is_last=is_rest)
            if not read.size and at == end:
                return
            step = min(STEP_BYTES if read.size else 2 * step, end)  # the record is longer
            end -= read.size
            self._skip(read)
            yield read.rows

    def _end(self, *, is_last: bool) -> int:
        """Return the end of the last complete line: a line feed may follow `\\r`."""
        size = len(self._pending)
        if not is_last and self._pending.endswith(b"\r"):
            size -= 1
        return _last_break(self._pending, size)

    def _skip(self, read: "_Read") -> None:
        self._line += read.lines
        self._pending = self._pending[read.size :]

    def _read_header(self, block: bytes, *, is_last: bool) -> None:
        """Set the header and skip it, unless it may continue in the next block."""
        if not block:
            return
        text = block.decode("utf-8", "surrogateescape")
        first = next(records(text + self._token, self._format))
        if not first.raw.endswith(self._token):
            self.header = header_of(first, self._required)
            header = first.raw.encode("utf-8", "surrogateescape")
            self._line += line_breaks(header)
            self._pending = self._pending[len(header) :]
        elif is_last:
            raise UnusableFileError("a quote that is opened in its header is never closed")

    @cached_property
    def _last_line(self) -> str:
        """The line added to a block: within quotes or not, it has more values than the header."""
        delimiters = self._format.delimiter * len(self.header)
        return f"{self._format.quote}{delimiters}{self._format.quote}{delimiters}{self._token}"

    def _fast(self, block: bytes) -> "_Read | None":
        """Return the rows of a block, None unless all are good."""
        # Arrow drops a byte order mark at the start of a block, where it may be part of a value.
        if b"\0" in block or block.startswith(codecs.BOM_UTF8) or not is_utf8(block):
            return None
        last: list[str] = []

        def take_last(row: InvalidRow) -> str:
            last.append(row.text)
            return "skip" if row.text.endswith(self._last_line) else "error"

        try:
            table = self._parsed(block + self._last_line.encode(), take_last)
        except pa.ArrowInvalid:
            return None
        if _has_empty(table[self.header[0]]) and _BLANK_LINE.search(block):
            return None  # Arrow has made a row from a blank line
        size = len(block) - (_size(last[0]) - len(self._last_line))
        lines = line_breaks(block[:size])
        extra = _extra_lines(table, lines - table.num_rows)
        return _Read(as_read(table, self._line, extra), size, lines)

    def _parsed(self, block: bytes, on_wrong: Callable[[InvalidRow], str]) -> pa.Table:
        return read_csv(
            pa.BufferReader(block),
            ReadOptions(column_names=self.header, block_size=len(block) + 1, use_threads=False),
            ParseOptions(
                delimiter=self._format.delimiter,
                quote_char=self._format.quote,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=on_wrong,
            ),
            ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.string()),
                null_values=list(self._format.nulls),
                strings_can_be_null=True,
                check_utf8=False,  # the block was checked, which is ten times as fast
            ),
        )

    def _exact(self, block: bytes, *, is_last: bool) -> "_Read":
        """Return the rows of a block, good and bad ones."""
        text = block.decode("utf-8", "surrogateescape")
        rows = RowsBuilder(self.header)
        for record in records(text + self._last_line, self._format):
            if record.raw == self._last_line:
                break
            if record.raw.endswith(self._last_line):
                if not is_last:
                    return _Read(rows.finish(), _size(text[: record.start]), record.line)
                self._add_unclosed(rows, text[record.start :], self._line + record.line)
                break
            self._add(rows, record, self._line + record.line)
        return _Read(rows.finish(), len(block), line_breaks(block))

    def _add(self, rows: RowsBuilder, record: Record, line: int) -> None:
        if wrong := self._not_separated(record):
            rows.add(line, (), shown(record.raw.rstrip("\r\n")), wrong)
            return
        values = [None if value in self._format.nulls else value for value in record.values]
        if not SPOILED.search(record.raw):
            rows.add(line, values, None)
            return
        found = zip(self.header, record.values, strict=True)
        faults = [fault_of(name, value) for name, value in found]
        fit = [None if fault else value for value, fault in zip(values, faults, strict=True)]
        raw = shown(record.raw.rstrip("\r\n"))
        rows.add(line, fit, raw, "; ".join(filter(None, faults)))

    def _not_separated(self, record: Record) -> str | None:
        """Return why a record cannot be separated into values, None if it can."""
        values, expected = len(record.values), len(self.header)
        if not values:
            return "it is a blank line"
        if values == expected:
            return None
        wanted = f"the header has {expected}" if self._format.header else f"{expected} are declared"
        return f"it has {values} value{'s' * (values != 1)}, and {wanted}"

    def _add_unclosed(self, rows: RowsBuilder, text: str, line: int) -> None:
        """Add the lines from the one that opens a quote that the file never closes.

        That line is bad, and so is every later one with a quote. With a single column all of them
        are one bad record, because any line could be a value.
        """
        if len(self.header) == 1:
            rows.add(line, (), shown(text.rstrip("\r\n")), NEVER_CLOSED)
            return
        for record in records(text, self._format, quoted=False):
            if self._format.quote in record.raw:
                raw = shown(record.raw.rstrip("\r\n"))
                rows.add(line + record.line, (), raw, NEVER_CLOSED)
            else:
                self._add(rows, record, line + record.line)


class _Read(NamedTuple):
    """Rows, and the number of pending bytes and lines that they were read from."""

    rows: pa.RecordBatch
    size: int
    lines: int


def _last_break(text: bytes, size: int) -> int:
    """Return the end of the last line that ends within some bytes; 0 if none does."""
    end = max(text.rfind(b"\n", 0, size), text.rfind(b"\r", 0, size)) + 1
    return end + 1 if text[end - 1 : end + 1] == b"\r\n" else end


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _has_empty(values: pa.ChunkedArray) -> bool:
    return bool(values.null_count or pc.any(pc.equal(pc.binary_length(values), 0)).as_py())


def _extra_lines(table: pa.Table, total: int) -> pa.Array | None:
    """Return how many lines each row has after its first, None if no row has any."""
    extra = None
    for column in reversed(table.columns):  # long texts are often last
        if total <= 0:
            break
        breaks = _breaks_in(column.combine_chunks())
        extra = breaks if extra is None else pc.add(extra, breaks)
        total -= pc.sum(breaks).as_py() or 0
    return extra


def _breaks_in(values: pa.Array) -> pa.Array:
    feeds, returns, both = (pc.count_substring(values, each) for each in ("\n", "\r", "\r\n"))
    breaks = pc.subtract(pc.add(feeds, returns), both)
    return pc.fill_null(breaks, 0).cast(pa.int64())
