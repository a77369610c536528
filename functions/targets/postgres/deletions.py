"""Tell in the warehouse, in `deleted_rows`, which rows the source was seen to have deleted.

The table is made where the warehouse is ours to shape. Once it is there it is kept, whatever
WAREHOUSE_MANAGED says, so that it has no gap when that is switched off and on again. Applying a
batch again changes nothing, whatever was applied since.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pg8000.native
from pg8000.native import identifier, literal

from functions.common.batchlog import BatchLog
from functions.common.copy import copy_in
from functions.common.errors import WarehouseMismatch
from functions.common.manifests import DataFile, ProcessedManifest
from functions.common.parquet import read_rows
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets.postgres.ddl import check_may_create
from functions.targets.postgres.star import DIMENSIONS, FACTS, check_rights, tables_of

TABLE = "deleted_rows"
COLUMNS = {
    "star_table": "text NOT NULL",
    "business_id": "bigint NOT NULL",
    "seen_gone_at": "timestamptz NOT NULL",
    "batch": "bigint NOT NULL",
    "seen_again_at": "timestamptz",
}
MEANING = (
    "Rows that the source has deleted: not in the snapshot that batch `batch` took of it at"
    " seen_gone_at, and there again, if ever, in that of seen_again_at. star_table is"
    " fact_purchase_order also where the table is called fact_purchase_orders."
)

READERS = 8  # manifests that are fetched at a time; the client has ten connections
AHEAD = 500

FEW = 10_000  # keys that may be looked up one by one
STALE = 1_000  # rows that may be new to the planner

_STAGE = "deletion_keys"


class Deletions:
    """The table of deleted rows of one warehouse; `target` is the table as SQL names it."""

    def __init__(self, connection: pg8000.native.Connection, schema: str) -> None:
        self.target = f"{identifier(schema)}.{identifier(TABLE)}"
        self._connection = connection
        self._unknown = STALE  # rows that the planner may not know of; at first, all

    def create(self) -> None:
        """Make the table."""
        columns = ", ".join(f"{identifier(name)} {kind}" for name, kind in COLUMNS.items())
        key = "PRIMARY KEY (star_table, business_id, seen_gone_at)"
        self._connection.run(f"CREATE TABLE {self.target} ({columns}, {key})")
        self._connection.run(f"COMMENT ON TABLE {self.target} IS {literal(MEANING)}")

    def tell(self, bucket: Bucket, manifests: Iterable[ProcessedManifest]) -> None:
        """Tell what batches, in order, say of deletions. Part of the caller's transaction."""
        told = self._told()
        for manifest in manifests:
            # Only what was deleted can come back: most files need not be read.
            for name in sorted(told & manifest.tables.keys()):
                if keys := self._stage(bucket, name, manifest.tables[name].files):
                    self._mark_returned(name, manifest, keys)
            self._add_gone(bucket, manifest)
            told |= {name for name, table in manifest.tables.items() if table.tombstones}

    def _told(self) -> set[str]:
        """Return the star tables of which a deletion is told."""
        rows = self._connection.run(
            "SELECT t.name FROM unnest(:names::text[]) AS t (name)"
            f" WHERE EXISTS (SELECT FROM {self.target} AS d WHERE d.star_table = t.name)",
            names=list(DIMENSIONS | FACTS),
        )
        return {name for [name] in rows}

    def _add_gone(self, bucket: Bucket, manifest: ProcessedManifest) -> None:
        for name, table in manifest.tables.items():
            if keys := self._stage(bucket, name, table.tombstones):
                self._run(
                    keys,
                    f"INSERT INTO {self.target} (star_table, business_id, seen_gone_at, batch)"
                    f" SELECT :name::text, k.key, :at::timestamptz, :batch::bigint"
                    f" FROM {_STAGE} AS k WHERE NOT EXISTS (SELECT FROM {self.target} AS d"
                    " WHERE d.star_table = :name::text AND d.business_id = k.key"
                    " AND d.seen_gone_at = :at::timestamptz)",
                    name=name,
                    at=manifest.source.snapshot_at,
                    batch=manifest.batch,
                )

    def _mark_returned(self, name: str, manifest: ProcessedManifest, keys: int) -> None:
        """Mark the deletions of the staged keys, which are there again."""
        self._run(
            keys,
            f"UPDATE {self.target} AS d SET seen_again_at = :at::timestamptz"
            f" FROM {_STAGE} AS k"
            " WHERE d.star_table = :name::text AND d.business_id = k.key"
            " AND d.seen_gone_at < :at::timestamptz"
            " AND (d.seen_again_at IS NULL OR d.seen_again_at > :at::timestamptz)",
            name=name,
            at=manifest.source.snapshot_at,
        )

    def _run(self, keys: int, statement: str, **values: str | int | datetime) -> None:
        """Run a statement that looks up so many keys in the table."""
        # Unlike the star, the table has an index on its keys, and may be analysed.
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
        """Put the keys of a star table's files into the stage; return how many there are.

        One stage for all: a transaction has locks for some thousand tables only.
        """
        if not files:
            return 0
        key = (DIMENSIONS | FACTS)[name]
        keys = (rows.select([key]) for rows in read_rows(bucket, files))
        self._connection.run(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGE} (key bigint) ON COMMIT DROP"
        )
        self._connection.run(f"TRUNCATE {_STAGE}")
        copy_in(self._connection, identifier(_STAGE), ["key"], keys)
        self._connection.run(f"ANALYZE {_STAGE}")
        return sum(file.rows for file in files)


def deletions_of(connection: pg8000.native.Connection, schema: str) -> Deletions | None:
    """Return the table of deleted rows; None if there is none, or another one of that name.

    Raises WarehouseMismatch when this role may not use it.
    """
    found = tables_of(connection, schema).get(TABLE)
    if found is None or not set(COLUMNS) <= set(found["columns"]):
        return None
    check_rights(f"{schema}.{TABLE}", found, {"SELECT", "INSERT", "UPDATE"})
    return Deletions(connection, schema)


def make_deletions(
    connection: pg8000.native.Connection,
    schema: str,
    log: BatchLog[ProcessedManifest],
    loaded: int,
) -> Deletions:
    """Return the table of deleted rows, made if it is missing.

    A new one is filled from the batches 1 to `loaded` of the log, which are in the warehouse
    already. Raises WarehouseMismatch when this role may not make it, or the name is taken.
    """
    if TABLE not in tables_of(connection, schema):
        check_may_create(connection, schema, f"table {TABLE}")
        connection.run("BEGIN")
        made = Deletions(connection, schema)
        made.create()
        made.tell(log.bucket, _manifests(log, loaded))
        connection.run("COMMIT")
        logger.info("table of deleted rows made", extra={"schema": schema, "batches": loaded})
    deletions = deletions_of(connection, schema)
    if deletions is None:
        raise WarehouseMismatch(
            f"table {TABLE} in schema {schema} of the warehouse is another one than load keeps "
            f"there ({', '.join(COLUMNS)}): rename it, or set WAREHOUSE_MANAGED=false"
        )
    return deletions


def _manifests(log: BatchLog[ProcessedManifest], last: int) -> Iterator[ProcessedManifest]:
    """Yield the manifests up to `last` in order, a bounded number of them ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(1, last + 1, AHEAD):
            yield from pool.map(log.read, range(first, min(first + AHEAD, last + 1)))
