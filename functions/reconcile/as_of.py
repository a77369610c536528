"""What the batch logs say about the newest batch in the warehouse: the moment that is compared.

Rows that the source changed after that batch are on their way, and no difference. The logs say
where change capture stood, which keys each table had, and which rows were put aside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.mapping import Mapping
from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest, ProcessedManifest, Quarantine
from functions.common.parquet import opened, require_rows
from functions.common.storage import Bucket
from functions.sources.postgres import tablekeys
from functions.sources.postgres.plan import TableKeys
from functions.transform.quarantine import TARGET


@dataclass(frozen=True)
class Lake:
    """The two buckets and their batch logs."""

    ingested: BatchLog[IngestionManifest]
    processed: BatchLog[ProcessedManifest]

    @classmethod
    def of(cls, ingestion: Bucket, processed: Bucket, source: str) -> "Lake":
        """Return the logs of a source in the ingestion bucket and in the processed one."""
        return cls(
            BatchLog(ingestion, source, IngestionManifest),
            BatchLog(processed, source, ProcessedManifest),
        )


class AsOf:
    """The newest batch that the warehouse has; `manifest` is None when it has none.

    `batch` was loaded before the snapshot of the warehouse, and the snapshot holds nothing later
    than the batch after `latest`: the newest one that was marked as loaded after the snapshot.
    """

    def __init__(self, lake: Lake, batch: int, latest: int) -> None:
        self._lake = lake
        self.batch = batch
        self.latest = latest
        self.manifest = lake.ingested.read(batch) if batch else None
        self._put_aside = lake.processed.read(batch).quarantine if batch else {}
        self._keys = list(self._key_sets()) if batch else []

    def _key_sets(self) -> Iterator[dict[str, TableKeys]]:
        """Yield the keys of all tables, after each batch that the warehouse may hold."""
        ingested = self._lake.ingested
        for batch in range(self.batch, min(self.latest + 1, ingested.newest()) + 1):
            manifest = ingested.read(batch)
            yield tablekeys.fetch(ingested.bucket, manifest)

    def had(self, table: str, keys: pa.Array) -> pa.Array:
        """Return the distinct keys that a source table had after one of the batches."""
        left = pc.unique(keys.drop_null()).cast(pa.int64())
        found = [pa.nulls(0, pa.int64())]
        for keys_of_table in (sets[table] for sets in self._keys if table in sets):
            if not len(left):
                break
            unknown = keys_of_table.not_in(left)
            found.append(left.filter(pc.invert(pc.is_in(left, unknown))))
            left = unknown
        return pa.concat_arrays(found)

    def put_aside(self, mapping: Mapping, columns: Sequence[str]) -> pa.Table:
        """Return columns of the rows that the batch left in quarantine for a target table."""
        entry: Quarantine | None = self._put_aside.get(mapping.main.id)
        if entry is None:
            return pa.table({column: pa.nulls(0, pa.int64()) for column in columns})
        with opened(self._lake.processed.bucket, entry.file, entry.sha256) as source:
            rows: pa.Table = source.read(columns=[*columns, TARGET], use_threads=False)
        require_rows(self._lake.processed.bucket, entry.file, entry.rows, rows.num_rows)
        return rows.filter(pc.equal(rows[TARGET], mapping.target.id)).select(columns)
