"""The registry of the columns of files, and how they have changed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from etl import Table
from functions.common.accounts import FileRead
from functions.common.manifests import IngestionManifest, TableSchema

KIND = "text"  # of each column, as it is carried
SHOWN = 10  # columns that are named where a header has changed


def registered(
    before: IngestionManifest | None,
    tables: Iterable[Table],
    files: Iterable[FileRead],
    at: datetime,
) -> tuple[dict[str, TableSchema], list[str]]:
    """Return the registry with the newest header of each table, and messages about its changes.

    The first header of a table is no change, nor is another order of the columns.
    """
    schemas = dict(before.schemas) if before else {}
    named = {table.id: table for table in tables}
    drift: list[str] = []
    for file in files:
        was = schemas.get(file.table)
        if file.error is not None or (was is not None and was.fingerprint == _digest(file.header)):
            continue
        if was is not None:
            drift += _changes(named[file.table], [name for name, _ in was.columns], file.header)
        columns = [(name, KIND) for name in file.header]
        schemas[file.table] = TableSchema(columns, _digest(file.header), at, carried=True)
    return schemas, drift


def _digest(header: Sequence[str]) -> str:
    """Return a digest of a header that does not depend on the order of its columns."""
    return hashlib.sha256("\0".join(sorted(header)).encode()).hexdigest()[:16]


def _changes(table: Table, was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    before, after = set(was), set(now)
    if new := [name for name in now if name not in before]:
        yield (
            f"{table}: {_spoken(new)} new in its files "
            "(not declared: carried into the lake, and no further)"
        )
    if gone := [name for name in was if name not in after]:
        yield f"{table}: {_spoken(gone)} gone from its files (not declared)"


def _spoken(names: Sequence[str]) -> str:
    """Return `column a is`, or `columns a, b and 2 more are`: a header may have thousands."""
    shown = ", ".join(names[:SHOWN])
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"column {shown} is" if len(names) == 1 else f"columns {shown}{more} are"
