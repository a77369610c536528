"""Many small files are read several at a time, and their rows are compared together."""

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import current_thread, main_thread

import pyarrow as pa
import pytest

from functions.common.accounts import FileVersion
from functions.common.parquet import ROWS_AT_ONCE
from functions.reconcile import manyfiles
from functions.reconcile.manyfiles import SMALL_BYTES, rows_of, together

AT = datetime(2026, 11, 1, tzinfo=UTC)


def test_rows_of_small_files_come_in_order_and_in_few_tables() -> None:
    """However long a source has had files, the calls grow with the rows."""
    sizes = [SMALL_BYTES + 1 if number % 50 == 7 else 10 for number in range(3_000)]
    files = [FileVersion("drop", str(n), None, "", size, AT) for n, size in enumerate(sizes)]

    def read(file: FileVersion) -> Iterator[pa.Table]:
        yield pa.table({"n": [int(file.key)]})
        yield pa.table({"n": [-int(file.key)]})

    tables = list(together(rows_of(files, read)))

    assert [n for table in tables for n in table["n"].to_pylist()] == [
        each for n in range(3_000) for each in (n, -n)
    ]
    assert len(tables) == 6_000 // ROWS_AT_ONCE


def test_only_small_files_are_read_at_the_same_time() -> None:
    """Several large ones would be in memory together."""
    sizes = [10, SMALL_BYTES, SMALL_BYTES + 1, SMALL_BYTES + 1, 10, 10]
    files = [FileVersion("drop", str(n), None, "", size, AT) for n, size in enumerate(sizes)]
    alone: list[str] = []

    def read(file: FileVersion) -> Iterator[pa.Table]:
        if current_thread() is main_thread():
            alone.append(file.key)
        yield pa.table({"n": [int(file.key)]})

    assert len(list(rows_of(files, read))) == len(files)
    assert alone == ["2", "3"]


def test_rows_that_fit_exactly_are_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are what a table may have."""
    one = pa.table({"n": pa.array([1], pa.int64())})
    monkeypatch.setattr(manyfiles, "BYTES_AT_ONCE", 2 * one.nbytes)

    assert [table.num_rows for table in together([one] * 5)] == [2, 2, 1]


def test_tables_with_other_columns_stay_apart() -> None:
    """The header of a file says what its cells are."""
    some, other = pa.table({"a": [1]}), pa.table({"b": [1]})

    assert list(together([some, some, other, some])) == [
        pa.concat_tables([some, some]),
        other,
        some,
    ]
