"""The rows of many small files, which a source may get for years: read and compared together.

The functions that make rows of a target table take longer for each call than for each row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from functions.common.accounts import FileVersion
from functions.common.parquet import BYTES_AT_ONCE, READERS, ROWS_AT_ONCE

SMALL_BYTES = 64 << 10  # of a file that is read beside others

Read = Callable[[FileVersion], Iterator[pa.Table]]


def rows_of(files: Sequence[FileVersion], read: Read) -> Iterator[pa.Table]:
    """Yield the rows of files, in their order; small files are read several at a time."""
    with ThreadPoolExecutor(READERS) as pool:
        for group in _groups(files):
            if len(group) == 1:
                yield from read(group[0])
            else:
                for tables in pool.map(lambda file: list(read(file)), group):
                    yield from tables


def _groups(files: Sequence[FileVersion]) -> Iterator[list[FileVersion]]:
    group: list[FileVersion] = []
    for file in files:
        if group and (len(group) == READERS or max(group[-1].size, file.size) > SMALL_BYTES):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in fewer tables, where few rows with the same columns follow others."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        rows, size = rows + table.num_rows, size + table.nbytes
        if held and (rows > ROWS_AT_ONCE or size > BYTES_AT_ONCE or table.schema != held[0].schema):
            yield pa.concat_tables(held)
            held, rows, size = [], table.num_rows, table.nbytes
        held.append(table)
    if held:
        yield pa.concat_tables(held)
