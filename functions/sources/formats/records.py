"""Read CSV by Python's csv module: slowly, record by record, each with its place."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etl import Csv
from functions.common.carried import RECORD_BYTES
from functions.common.errors import UnusableFileError
from functions.sources.formats.rows import SPOILED

_LINE = re.compile("[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")

csv.field_size_limit(4 * RECORD_BYTES)


@dataclass(frozen=True)
class Record:
    """A record as it came, the line of the text on which it begins, and where it begins there."""

    values: list[str]
    raw: str
    line: int
    start: int


def records(text: str, format: Csv, *, quoted: bool = True) -> Iterator[Record]:  # noqa: A002
    """Yield the records of a text as Python's csv module separates them."""
    ends: list[int] = []

    def lines() -> Iterator[str]:
        for found in _LINE.finditer(text):
            ends.append(found.end())
            yield found[0]

    reader = csv.reader(
        lines(),
        delimiter=format.delimiter,
        quotechar=format.quote,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    line = start = 0
    for values in reader:
        end = ends[reader.line_num - 1]
        yield Record(values, text[start:end], line, start)
        line, start = reader.line_num, end


def header_of(first: Record, required: Iterable[str]) -> list[str]:
    """Return the names of the columns, without the blanks around them.

    A column without a name is named by its place, such as `column 3`. Raises UnusableFileError for
    a header that lacks required columns, or has one twice.
    """
    if not first.values:
        raise UnusableFileError("its first line is blank, and should be the header")
    if SPOILED.search(first.raw):
        raise UnusableFileError("its header is not UTF-8: declare the encoding it has")
    names = [name.strip() or f"column {place}" for place, name in enumerate(first.values, start=1)]
    if missing := [name for name in required if name not in names]:
        raise UnusableFileError(f"its header has no column {', '.join(missing)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnusableFileError(f"its header has two columns {', '.join(twice)}")
    return names
