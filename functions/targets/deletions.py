"""Record in `deleted_rows` of the warehouse which rows the source was seen to have deleted.

Applying a batch again changes nothing, whatever was applied since.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.keys import keys_of, none_of
from functions.common.manifests import ProcessedManifest
from functions.common.objects import DataFile
from functions.common.parquet import read_rows
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.session import DeletedRows, Session

AT_ONCE = 1_000  # batches whose rows are compared with deleted keys together
KEYS_AT_ONCE = 65_536
COMPARED_AT_MOST = 1_000_000  # deleted keys of a table; with more, all rows are looked up


def catch_up(session: Session, log: BatchLog[ProcessedManifest], last: int) -> None:
    """Record the deletions of all batches up to `last`, which the warehouse already has."""
    with session.transaction() as transaction:
        manifests = relevant(session.layout, log, last)
        record(transaction.deletions, session.layout, log.bucket, manifests)
    logger.info("deleted rows recorded", extra={"batches": last})


def relevant(
    layout: Layout[WarehouseTable], log: BatchLog[ProcessedManifest], last: int
) -> Iterator[ProcessedManifest]:
    """Yield the manifests up to `last`, without the objects that have no row deleted before.

    To look up the rows of each batch of a long log would take longer than a function runs.
    """
    manifests = log.read_each(range(1, last + 1))
    histories = _recorded(layout)
    gone = {name: none_of(integer=False) for name in histories}
    while some := list(islice(manifests, AT_ONCE)):
        kept: set[str] = set()
        for name, table in histories.items():
            entries = [each.tables[name] for each in some if name in each.tables]
            deleted = [file for entry in entries for file in entry.tombstones]
            gone[name] = pa.concat_arrays([gone[name], *keys_in(log.bucket, table, deleted)])
            files = [file for entry in entries for file in entry.files]
            kept |= _having(log.bucket, table, files, gone[name])
        for manifest in some:
            tables = {
                name: replace(entry, files=[file for file in entry.files if file.key in kept])
                for name, entry in manifest.tables.items()
            }
            yield replace(manifest, tables=tables)


def _having(
    bucket: Bucket, table: WarehouseTable, files: Sequence[DataFile], keys: pa.Array
) -> set[str]:
    """Return the objects that have a row of some keys, or may have one."""
    if not len(keys) or len(keys) > COMPARED_AT_MOST:
        return {file.key for file in files if len(keys)}
    names = pa.array([file.key for file in files])
    ends = pc.cumulative_sum(pa.array([file.rows for file in files], pa.int64()))
    found: list[pa.Array] = []
    gathered: list[pa.Array] = []
    first = 0

    def compare() -> None:
        nonlocal first, gathered
        places = pc.indices_nonzero(pc.is_in(pa.concat_arrays(gathered), keys))
        rows = pc.add(places.cast(pa.int64()), first)
        found.append(pc.unique(pc.search_sorted(ends, rows, side="right")))
        first, gathered = first + sum(map(len, gathered)), []

    for some in keys_in(bucket, table, files):
        gathered.append(some)
        if sum(map(len, gathered)) >= KEYS_AT_ONCE:
            compare()
    if gathered:
        compare()
    return {key for each in found for key in names.take(each).to_pylist()}


def record(
    deletions: DeletedRows,
    layout: Layout[WarehouseTable],
    bucket: Bucket,
    manifests: Iterable[ProcessedManifest],
) -> None:
    """Record the deletions in batches, in order, as part of the caller's transaction.

    None are recorded of a `replace` table, from which the rows themselves are deleted.
    """
    kept = _recorded(layout)
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


def _recorded(layout: Layout[WarehouseTable]) -> dict[str, WarehouseTable]:
    """Return the tables of which deletions are recorded: all but those that are replaced."""
    return {name: table for name, table in layout.tables.items() if table.way != "replace"}


def keys_in(bucket: Bucket, table: WarehouseTable, files: Sequence[DataFile]) -> Iterator[pa.Array]:
    """Yield the keys of a table's files as texts, a slice at a time."""
    for rows in read_rows(bucket, files, table.key):
        yield keys_of(rows, table.key).cast(pa.string())
