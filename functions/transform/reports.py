"""The formats of refused rows: CSV, or the report of a feed.

The CSV has the line of the file on which a row begins, all reasons, and the row as it came.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Protocol

from etl import Csv, ErrorReport, EventFeed, Feed, RefusedRow, Resource, Table, Text
from functions.common.carried import LINE, RECORD_BYTES, ROW
from functions.common.errors import PipelineCodeError

_COLUMNS = ("line", "reasons", "row")

csv.field_size_limit(4 * RECORD_BYTES)  # a byte that is no character is shown as \xNN


@dataclass(frozen=True)
class Refused:
    """A refused row: its place among the rows of its file, from 0, and why it is refused.

    `cells` are those of the lake, `converted` the values of the declared columns, both by column.
    """

    place: int
    cells: Mapping[str, Any]
    converted: Mapping[str, Any]
    reason: str


class Form(Protocol):
    """The format of an object with refused rows."""

    ending: str
    head: str

    def rows(self, refused: Iterable[Refused]) -> str:
        """Return the text of some rows."""
        ...

    def file(self, reason: str) -> str:
        """Return the text of a file that cannot be used at all."""
        ...


def form_of(feed: Feed | EventFeed | Resource, header: Sequence[str]) -> Form:
    """Return the format for the refused rows of a file, given its header."""
    if feed.report is not None and isinstance(feed.format, Csv):
        return _AsReport(feed.report, feed.format, feed.table, header)
    return _AsCsv(feed.format if isinstance(feed.format, Csv) else None, header)


class _AsCsv:
    """CSV; rows that were `separated` into cells are joined again, others are as they came."""

    ending = ".csv"
    head = ",".join(_COLUMNS) + "\r\n"

    def __init__(self, separated: Csv | None, header: Sequence[str]) -> None:
        self._separated = separated
        self._header = header

    def rows(self, refused: Iterable[Refused]) -> str:
        return _written((each.cells[LINE], each.reason, self._row(each.cells)) for each in refused)

    def file(self, reason: str) -> str:
        return _written([(1, reason, "")])

    def _row(self, cells: Mapping[str, Any]) -> str:
        """Return a record as it came: joined again from its cells, unless it was kept whole."""
        if cells[ROW] is not None or self._separated is None:
            return cells[ROW] or ""
        null = _null(self._separated)
        values = [cells.get(name) for name in self._header]
        line = StringIO()
        writer = csv.writer(
            line, delimiter=self._separated.delimiter, quotechar=self._separated.quote
        )
        writer.writerow([null if value is None else value for value in values])
        return line.getvalue().removesuffix("\r\n")


class _AsReport:
    """The lines that a report returns for each row, or the reason why a file has no rows."""

    head = ""

    def __init__(
        self,
        report: ErrorReport,
        format: Csv,  # noqa: A002
        table: Table,
        header: Sequence[str],
    ) -> None:
        self.ending = report.ending
        self._lines = report.lines
        self._format = format
        self._table = table
        self._header = header

    def rows(self, refused: Iterable[Refused]) -> str:
        rows = map(self._refused_row, refused)
        try:
            return "".join(f"{line}\n" for row in rows for line in self._lines(row))
        except Exception as error:  # whatever a function of the pipeline raises
            raise PipelineCodeError(
                f"{self._table}: the report of its feed raised {type(error).__name__}: correct it "
                "in the pipeline"
            ) from error

    def file(self, reason: str) -> str:
        return f"The file cannot be used: {reason}\n"

    def _refused_row(self, refused: Refused) -> RefusedRow:
        number = refused.place + 1 + self._format.header
        came = self._as_they_came(refused.cells)
        if len(came) != len(self._header) or _is_not_separated(refused.cells, self._header):
            return RefusedRow(number, came, {}, refused.reason)
        values = dict(zip(self._header, came, strict=True))
        shown = [self._shown(name, value, refused.converted) for name, value in values.items()]
        wrong = {name: values[name] for name in self._wrong(values, refused.converted)}
        return RefusedRow(number, shown, wrong, refused.reason)

    def _as_they_came(self, cells: Mapping[str, Any]) -> list[str]:
        """Return the values of a row, separated again if it was kept whole."""
        if cells[ROW] is None:
            null = _null(self._format)
            found = (cells.get(name) for name in self._header)
            return [null if value is None else value for value in found]
        lines = StringIO(cells[ROW], newline="")
        delimiter, quote = self._format.delimiter, self._format.quote
        return next(csv.reader(lines, delimiter=delimiter, quotechar=quote), [])

    def _shown(self, name: str, came: str, converted: Mapping[str, Any]) -> str:
        """Return a value normalized if it is valid, else as it came."""
        is_text = isinstance(self._table.columns.get(name), Text)
        return converted[name] if is_text and converted[name] is not None else came

    def _wrong(self, values: Mapping[str, str], converted: Mapping[str, Any]) -> Iterable[str]:
        for name, column in self._table.columns.items():
            if name in values and converted[name] is None:
                is_given = values[name] not in self._format.nulls
                if is_given or not column.nullable:
                    yield name


def _is_not_separated(cells: Mapping[str, Any], header: Sequence[str]) -> bool:
    return cells[ROW] is not None and all(cells.get(name) is None for name in header)


def _null(format: Csv) -> str:  # noqa: A002
    return "" if "" in format.nulls else next(iter(format.nulls), "")


def _written(rows: Iterable[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
