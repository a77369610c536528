"""The columns that files have had, as the registry of a batch says it, and how they changed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from etl import Table
from functions.common.manifests import FileRead, IngestionManifest, TableSchema

KIND = "text"  # of each column, as it is carried


def registered(
    before: IngestionManifest | None,
    tables: Iterable[Table],
    files: Iterable[FileRead],
    at: datetime,
) -> tuple[dict[str, TableSchema], list[str]]:
    """Return the registry with the newest header of each table, and in words how it has changed.

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
    """Return what changes with the columns of a header, and not with their order."""
    return hashlib.sha256("\0".join(sorted(header)).encode()).hexdigest()[:16]


def _changes(table: Table, was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    for name in now:
        if name not in was:
            yield f"{table}: column {name} is new in its files: it goes no further than the lake"
    for name in was:
        if name not in now:
            yield f"{table}: column {name} is gone from its files: it was not declared"
