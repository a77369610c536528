"""Rows as a table for people, as CSV, JSON or Parquet.

Values are the texts that DuckDB shows, so that every type is exact: decimals with all their digits,
timestamps with a time zone in UTC.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from deployer.errors import OperationError
from deployer.terminal import printable, table

Format = Literal["table", "csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
SHOWN = 1_000  # rows of a table for people

_INTEGER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_FLOAT = ("FLOAT", "DOUBLE")
_SPECIAL = re.compile(r'[",\r\n]|^\s|\s$|^$')

Row = Sequence[str | None]


def numbers(types: Sequence[str]) -> list[bool]:
    """Return which types are aligned to the right."""
    return [
        _INTEGER.fullmatch(kind) is not None or kind in _FLOAT or kind.startswith("DECIMAL")
        for kind in types
    ]


def distinct(names: Iterable[str]) -> list[str]:
    """Return names, with a number where one is there already."""
    found: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found[free] = None
    return list(found)


def as_table(
    names: Sequence[str], types: Sequence[str], rows: Iterator[Row], width: int
) -> list[RenderableType]:
    """Return the first rows as a table, or one column a line where the width is too small."""
    shown = [row for _, row in zip(range(SHOWN), rows, strict=False)]
    texts = [["NULL" if value is None else printable(value) for value in row] for row in shown]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    is_wide = sum(widths) + 2 * (len(widths) - 1) > width
    parts: list[RenderableType] = (
        list(_records(names, texts)) if is_wide else [_grid(names, types, texts)]
    )
    more = sum(1 for _ in rows)
    count = len(shown) + more
    parts.append(f"({count:,} row{'' if count == 1 else 's'})")
    if more:
        parts.append(f"The first {SHOWN:,} are shown: --format csv has all of them")
    return parts


def _grid(names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    headings = distinct(map(printable, names))
    right = frozenset(name for name, is_one in zip(headings, numbers(types), strict=True) if is_one)
    made = table(*headings, numbers=right)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def _records(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Text]:
    wide = max(len(printable(name)) for name in names)
    for number, row in enumerate(rows, 1):
        yield Text(f"- {number}", "bold")
        for name, value in zip(names, row, strict=True):
            yield Text(f"{printable(name):<{wide}}  {value}", overflow="fold")


def write_csv(to: TextIO, names: Sequence[str], rows: Iterable[Row]) -> int:
    """Write rows as CSV with a header, NULL as nothing and '' as ""; return how many.

    For people at a terminal, control characters are made visible.
    """
    shown: Callable[[str], str] = printable if to.isatty() else str
    to.write(shown(",".join(map(_cell, names))) + "\n")
    count = 0
    for row in rows:
        to.write(shown(",".join(map(_cell, row))) + "\n")
        count += 1
    return count


def _cell(value: str | None) -> str:
    if value is None or not _SPECIAL.search(value):
        return value or ""
    return '"' + value.replace('"', '""') + '"'


def as_json(
    names: Sequence[str], types: Sequence[str], rows: Iterable[Row]
) -> list[dict[str, Any]]:
    """Return rows as objects: integers and floats as numbers, other values as text."""
    headings, convert = distinct(names), [_converter(kind) for kind in types]
    return [
        {
            name: None if value is None else make(value)
            for name, make, value in zip(headings, convert, row, strict=True)
        }
        for row in rows
    ]


def _converter(kind: str) -> Callable[[str], Any]:
    if kind == "BOOLEAN":
        return "true".__eq__
    if _INTEGER.fullmatch(kind):
        return int
    return _float if kind in _FLOAT else str


def _float(text: str) -> float | str:
    """Return a number; NaN and infinity, which JSON has not, as text."""
    number = float(text)
    return number if math.isfinite(number) else text


def write_json(to: TextIO, document: dict[str, Any]) -> None:
    """Write a JSON document; characters beyond ASCII are escaped."""
    to.write(json.dumps(document) + "\n")


def write_parquet(path: Path, rows: pa.RecordBatchReader) -> int:
    """Write rows as a Parquet file, whole or not at all; return how many.

    A device or a pipe is written to: it is nothing that a file may take the place of.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as special:
                return _write_parquet(special, rows)
        path = path.resolve()  # the file of a link, not the link, is replaced
        draft = path.with_name(f".{path.name}.draft")
        try:
            number = _write_parquet(draft, rows)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise OperationError(f"--output {path}: {error.strerror or error}") from error
    return number


def _write_parquet(to: Path | BinaryIO, rows: pa.RecordBatchReader) -> int:
    number = 0
    with pq.ParquetWriter(to, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)
            number += batch.num_rows
    return number
