"""Determine as of which batches of its sources the warehouse is.

If the warehouse has a table of loaded batches, it is read in the snapshot of the rows, and is
exact. A prepared warehouse has none: then the newest marker in S3 is read before the rows, which
are of that batch or of a later one, as a marker is written after its batch.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from etl.pipeline import Pipeline
from etl.statements import Statement
from functions.common.logs import MarkerLog
from functions.common.storage import Bucket
from functions.targets.reading import LoadedBatch


def sources_of(pipeline: Pipeline, statement: Statement) -> list[str]:
    """Return the sources that feed the tables that a statement names; all if it names none."""
    [target] = pipeline.targets
    feeding = {
        source.name: [mapping.target for mapping in pipeline.mappings(source.name, target.name)]
        for source in pipeline.sources
    }
    sql = "".join(statement.pieces)
    named = {table for table in target.tables if _is_named(table.name, sql)}
    for model in target.models:
        if _is_named(model.name, sql):
            named.update(model.base)
    found = [name for name, tables in feeding.items() if named.intersection(tables)]
    return found or [name for name, tables in feeding.items() if tables]


def _is_named(table: str, sql: str) -> bool:
    """Return whether SQL may name a table, or its current state; false positives do no harm."""
    return table in sql or f"current_{table.removeprefix('fact_')}" in sql


def marked(bucket: Bucket, sources: Iterable[str]) -> Mapping[str, LoadedBatch]:
    """Return the newest batch of each source that has a marker in S3."""
    found = {}
    for source in sources:
        log = MarkerLog(bucket, source)
        if newest := log.newest():
            marker = log.read(newest)
            found[source] = LoadedBatch(marker.batch, marker.written_at)
    return found


def as_of(loaded: Mapping[str, LoadedBatch]) -> dict[str, Any]:
    """Return the entry `as_of` of a report; its `batch` is the only source's, if there is one."""
    newest = max((each.loaded_at for each in loaded.values()), default=None)
    batches = {source: each.batch for source, each in sorted(loaded.items())}
    [only] = batches.values() if len(batches) == 1 else [None]
    return {"batch": only, "loaded_at": newest and _iso(newest), "batches": batches}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
