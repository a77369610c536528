"""Record in `deleted_rows` of the warehouse which rows the source was seen to have deleted.

Applying a batch again changes nothing, whatever was applied since.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from functions.common.batchlog import BatchLog
from functions.common.keys import keys_of
from functions.common.manifests import ProcessedManifest
from functions.common.objects import DataFile
from functions.common.parquet import read_rows
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.session import DeletedRows, Session


def catch_up(session: Session, log: BatchLog[ProcessedManifest], last: int) -> None:
    """Record the deletions of all batches up to `last`, which the warehouse already has."""
    with session.transaction() as transaction:
        manifests = log.read_each(range(1, last + 1))
        record(transaction.deletions, session.layout, log.bucket, manifests)
    logger.info("deleted rows recorded", extra={"batches": last})


def record(
    deletions: DeletedRows,
    layout: Layout[WarehouseTable],
    bucket: Bucket,
    manifests: Iterable[ProcessedManifest],
) -> None:
    """Record the deletions in batches, in order, as part of the caller's transaction.

    None are recorded of a `replace` table, from which the rows themselves are deleted.
    """
    kept = {name: table for name, table in layout.tables.items() if table.way != "replace"}
    known = deletions.known([table.declared for table in kept.values()])
    recorded = {name for name, table in kept.items() if table.declared in known}
    for manifest in manifests:
        at = manifest.source.snapshot_at
        tables = {name: manifest.tables[name] for name in kept.keys() & manifest.tables.keys()}
        # Only deleted rows can return, so most files need not be read.
        for name in sorted(recorded & tables.keys()):
            if files := tables[name].files:
                keys = keys_in(bucket, kept[name], files)
                deletions.mark_returned(kept[name].declared, keys, at)
        for name, entry in sorted(tables.items()):
            if entry.tombstones:
                keys = keys_in(bucket, kept[name], entry.tombstones)
                deletions.add(kept[name].declared, keys, at, manifest.batch)
                recorded.add(name)


def keys_in(bucket: Bucket, table: WarehouseTable, files: list[DataFile]) -> Iterator[pa.Array]:
    """Yield the keys of a table's files as texts, a slice at a time."""
    for rows in read_rows(bucket, files):
        yield keys_of(rows, table.key).cast(pa.string())
