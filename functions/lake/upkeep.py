"""Keep the number of files and snapshots of an Iceberg table bounded, whatever is committed.

    files       32 or more in a row, each of less than 8 MB, become one of up to 32 MB
    snapshots   the newest 100 are kept
    objects     of the table that no snapshot names are removed after a day

Objects outside the table's own folder are the log of the pipeline, and are never removed.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table

from etl.targets import TargetTable
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.lake.draft import Draft, name_of
from functions.lake.files import key_of, location
from functions.lake.tables import Catalog

SMALL_BYTES = 8 << 20
MERGED_BYTES = 32 << 20
SMALL_AT_MOST = 32
SNAPSHOTS = 100
SNAPSHOTS_MORE = 20  # an expiry is a commit too: not after each one
UNNAMED_FOR = timedelta(days=1)  # longer than any run


def tidy(
    catalog: Catalog, target: TargetTable, bucket: Bucket, has_time: Callable[[], bool]
) -> None:
    """Merge small files, expire snapshots, and remove what none of those left names."""
    try:
        while has_time() and (table := catalog.find(target.id)) and _merge(table, target, bucket):
            pass
        if has_time() and (table := catalog.find(target.id)) and _expire(table):
            sweep(table, bucket, datetime.now(UTC))
    except CommitFailedException as error:
        logger.warning(f"{target.id}: another run has committed: {error}")


def _merge(table: Table, target: TargetTable, bucket: Bucket) -> bool:
    """Merge the first small files that there are too many of; return whether there were any."""
    draft = Draft(table, bucket, target.key, target.way)
    group = next(_groups(draft.sizes, in_order=target.way == "history"), None)
    if group is None:
        return False
    rows = pa.concat_tables(map(draft.read, group), promote_options="permissive")
    for path in group:
        draft.remove(path)
    draft.write(rows, name_of(group[-1]))
    draft.commit(None, {"lake.merged": str(len(group))})
    logger.info("files merged", extra={"table": target.id, "files": len(group)})
    return True


def _groups(sizes: dict[str, int], *, in_order: bool) -> Iterator[list[str]]:
    """Yield files to merge; `in_order` if no other file may come between them."""
    group: list[str] = []
    for path, size in sizes.items():
        is_small = size < SMALL_BYTES
        if is_small:
            group.append(path)
        is_full = sum(sizes[each] for each in group) >= MERGED_BYTES
        if is_full or (in_order and not is_small):
            if len(group) >= SMALL_AT_MOST or (is_full and len(group) > 1):
                yield group
            group = []
    if len(group) >= SMALL_AT_MOST:
        yield group


def _expire(table: Table) -> bool:
    """Expire snapshots; return whether there were enough of them."""
    ordered = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number or 0)
    if len(ordered) <= SNAPSHOTS + SNAPSHOTS_MORE:
        return False
    expired = [each.snapshot_id for each in ordered[:-SNAPSHOTS]]
    table.maintenance.expire_snapshots().by_ids(expired).commit()
    return True


def sweep(table: Table, bucket: Bucket, now: datetime) -> int:
    """Remove the objects of a table that it no longer names; return how many."""
    table = table.refresh()
    place = key_of(table.location())
    named = set(_named(table))
    pages = bucket.client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.name, Prefix=f"{place}/"
    )
    unnamed = [
        each["Key"]
        for page in pages
        for each in page.get("Contents", [])
        if each["LastModified"] < now - UNNAMED_FOR and location(bucket, each["Key"]) not in named
    ]
    bucket.remove(unnamed)
    return len(unnamed)


def _named(table: Table) -> Iterator[str]:
    """Yield the locations of all objects that the snapshots of a table consist of."""
    yield table.metadata_location
    yield from (each.metadata_file for each in table.metadata.metadata_log)
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.metadata.snapshots:
        yield snapshot.manifest_list
        manifests |= {each.manifest_path: each for each in snapshot.manifests(table.io)}
    for path, manifest in manifests.items():
        yield path
        entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
        yield from (each.data_file.file_path for each in entries)
