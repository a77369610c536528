"""Say in the warehouse, in `deleted_rows`, which rows the source was seen to have deleted.

The table is created where the warehouse is ours to shape. Once it is there it is kept, whatever
WAREHOUSE_MANAGED says, so that it has no gap when that is switched off and on again. Applying a
batch again changes nothing, whatever was applied since.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier, literal

from functions.common.batchlog import BatchLog
from functions.common.copy import copy_in
from functions.common.errors import WarehouseMismatch
from functions.common.keys import keys_of
from functions.common.manifests import ProcessedManifest
from functions.common.objects import DataFile
from functions.common.parquet import read_rows
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets.postgres.catalogue import check_may_create, tables_of
from functions.targets.postgres.tables import (
    DELETIONS,
    DELETIONS_COLUMNS,
    Layout,
    WarehouseTable,
    is_deletions,
)

MEANING = (
    "Rows that the source has deleted: not in the snapshot that batch `batch` took of it at"
    " seen_gone_at, and there again, if ever, in that of seen_again_at. business_id is the key as"
    " text; keys of several columns have commas between them, and a backslash before each comma or"
    " backslash in one. table_name is the declared one, whatever the table is called here."
)

READERS = 8  # manifests that are fetched at a time; the client has ten connections
AHEAD = 500

FEW = 10_000  # keys that may be looked up one by one
STALE = 1_000  # rows that may be new to the planner

_STAGE = "deletion_keys"


class Deletions:
    """The table of deleted rows of one warehouse, for the tables that one source feeds.

    `target` is the table as SQL names it. A table that loses the rows that the source deleted has
    none here.
    """

    def __init__(self, connection: pg8000.native.Connection, layout: Layout) -> None:
        self.target = f"{identifier(layout.identity.schema)}.{identifier(DELETIONS)}"
        self._connection = connection
        self._tables = {
            name: table for name, table in layout.tables.items() if table.way != "replace"
        }
        self._unknown = STALE  # rows that the planner may not know of; at first, all

    def catch_up(self, log: BatchLog[ProcessedManifest], last: int) -> None:
        """Record what all batches up to `last` say, which are in the warehouse already."""
        self._connection.run("BEGIN")
        self.record(log.bucket, _manifests(log, last))
        self._connection.run("COMMIT")
        logger.info("deleted rows recorded", extra={"batches": last})

    def record(self, bucket: Bucket, manifests: Iterable[ProcessedManifest]) -> None:
        """Record what batches, in order, say of deletions. Part of the caller's transaction."""
        recorded = self._recorded()
        for manifest in manifests:
            tables = {
                name: manifest.tables[name] for name in self._tables.keys() & manifest.tables.keys()
            }
            # Only what was deleted can come back: most files need not be read.
            for name in sorted(recorded & tables.keys()):
                if keys := self._stage(bucket, name, tables[name].files):
                    self._mark_returned(name, manifest, keys)
            for name, table in sorted(tables.items()):
                if keys := self._stage(bucket, name, table.tombstones):
                    self._add_gone(name, manifest, keys)
                    recorded.add(name)

    def _recorded(self) -> set[str]:
        """Return the tables of which a deletion is recorded."""
        rows = self._connection.run(
            "SELECT t.name FROM unnest(:names::text[]) AS t (name)"
            f" WHERE EXISTS (SELECT FROM {self.target} AS d WHERE d.table_name = t.name)",
            names=[table.declared for table in self._tables.values()],
        )
        known = {name for [name] in rows}
        return {name for name, table in self._tables.items() if table.declared in known}

    def _add_gone(self, name: str, manifest: ProcessedManifest, keys: int) -> None:
        self._run(
            keys,
            f"INSERT INTO {self.target} (table_name, business_id, seen_gone_at, batch)"
            f" SELECT :name::text, k.key, :at::timestamptz, :batch::bigint"
            f" FROM {_STAGE} AS k WHERE NOT EXISTS (SELECT FROM {self.target} AS d"
            " WHERE d.table_name = :name::text AND d.business_id = k.key"
            " AND d.seen_gone_at = :at::timestamptz)",
            name=self._tables[name].declared,
            at=manifest.source.snapshot_at,
            batch=manifest.batch,
        )

    def _mark_returned(self, name: str, manifest: ProcessedManifest, keys: int) -> None:
        """Mark the deletions of the staged keys, which are there again."""
        self._run(
            keys,
            f"UPDATE {self.target} AS d SET seen_again_at = :at::timestamptz"
            f" FROM {_STAGE} AS k"
            " WHERE d.table_name = :name::text AND d.business_id = k.key"
            " AND d.seen_gone_at < :at::timestamptz"
            " AND (d.seen_again_at IS NULL OR d.seen_again_at > :at::timestamptz)",
            name=self._tables[name].declared,
            at=manifest.source.snapshot_at,
        )

    def _run(self, keys: int, statement: str, **values: str | int | datetime) -> None:
        """Run a statement that looks up so many keys in the table."""
        # Unlike the others, the table has an index on its keys, and may be analysed.
        if self._unknown >= STALE:
            self._connection.run(f"ANALYZE {self.target}")
            self._unknown = 0
        avoided = ("nestloop",) if keys > FEW else ("hashjoin", "mergejoin")
        for method in avoided:
            self._connection.run(f"SET LOCAL enable_{method} = off")
        self._connection.run(statement, **values)
        self._unknown += self._connection.row_count
        for method in avoided:
            self._connection.run(f"SET LOCAL enable_{method} = on")

    def _stage(self, bucket: Bucket, name: str, files: list[DataFile]) -> int:
        """Put the keys of a table's files into the stage; return how many there are."""
        if files:
            stage_keys(self._connection, bucket, self._tables[name], files)
        return sum(file.rows for file in files)


def stage_keys(
    connection: pg8000.native.Connection,
    bucket: Bucket,
    table: WarehouseTable,
    files: list[DataFile],
) -> str:
    """Put the keys of files into a temporary table, as the text `key`; return its name.

    One stage for all: a transaction has locks for some thousand tables only.
    """
    keys = (
        pa.record_batch({"key": keys_of(rows, table.key).cast(pa.string())})
        for rows in read_rows(bucket, files)
    )
    connection.run(f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGE} (key text) ON COMMIT DROP")
    connection.run(f"TRUNCATE {_STAGE}")
    copy_in(connection, identifier(_STAGE), ["key"], keys)
    connection.run(f"ANALYZE {_STAGE}")
    return _STAGE


def create_deletions(connection: pg8000.native.Connection, schema: str) -> None:
    """Create the table of deleted rows if it is missing.

    Raises WarehouseMismatch when this role may not create it, or the name is taken.
    """
    there = tables_of(connection, schema)
    if DELETIONS not in there:
        check_may_create(connection, schema, f"table {DELETIONS}")
        columns = ", ".join(
            f"{identifier(name)} {kind}" for name, kind in DELETIONS_COLUMNS.items()
        )
        key = "PRIMARY KEY (table_name, business_id, seen_gone_at)"
        target = f"{identifier(schema)}.{identifier(DELETIONS)}"
        connection.run("BEGIN")
        connection.run(f"CREATE TABLE {target} ({columns}, {key})")
        connection.run(f"COMMENT ON TABLE {target} IS {literal(MEANING)}")
        connection.run("COMMIT")
        logger.info("table of deleted rows created", extra={"schema": schema})
    elif not is_deletions(there[DELETIONS]):
        raise WarehouseMismatch(
            f"table {DELETIONS} in schema {schema} of the warehouse is another one than load keeps "
            f"there ({', '.join(DELETIONS_COLUMNS)}): rename it, or set WAREHOUSE_MANAGED=false"
        )


def _manifests(log: BatchLog[ProcessedManifest], last: int) -> Iterator[ProcessedManifest]:
    """Yield the manifests up to `last` in order, a bounded number of them ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(1, last + 1, AHEAD):
            yield from pool.map(log.read, range(first, min(first + AHEAD, last + 1)))
