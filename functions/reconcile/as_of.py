"""The state of the batch logs at the newest batch in the target: the moment that is compared.

Rows that the source changed after that batch are pending, not different. The logs have the position
of change capture, the keys of each table, and the rows in quarantine.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from etl import Table
from etl.mapping import Mapping
from functions.common.logs import Logs
from functions.common.parquet import opened, require_rows
from functions.common.quarantined import QuarantinePart
from functions.sources import Comparable
from functions.transform.quarantine import EXPANDED_AT_MOST, TARGET


class AsOf:
    """The newest batch in the target; `manifest` is None if there is none.

    `batch` was loaded before the snapshot of the target, and the snapshot has nothing later than
    the batch after `latest`, the newest one that was marked as loaded after the snapshot.
    """

    def __init__(self, logs: Logs, batch: int, latest: int, kind: Comparable) -> None:
        ingested = logs.ingested
        self._processed = logs.processed.bucket
        self.batch = batch
        self.latest = latest
        self.manifest = ingested.read(batch) if batch else None
        self._put_aside = logs.processed.read(batch).quarantine if batch else {}
        # After each batch that the target may have.
        held = range(batch, min(latest + 1, ingested.newest()) + 1) if batch else ()
        self._keys = [kind.keys_after(ingested.bucket, ingested.read(number)) for number in held]

    def had(self, table: Table, keys: pa.Array) -> pa.Array:
        """Return which of some keys a source table had after one of the batches."""
        found = pa.repeat(pa.scalar(False), len(keys))
        for known in self._keys if len(keys) else ():
            found = pc.or_(found, known.had(table, keys))
        return found

    def progress(self, mapping: Mapping) -> str | None:
        """Return how far the tables of a target table have been read; None if all of them are."""
        captures = (
            [self.manifest.capture(each.id) for each in mapping.tables] if self.manifest else []
        )
        return next((each.filling.progress for each in captures if each.filling), None)

    def put_aside(self, mapping: Mapping, columns: Sequence[str]) -> pa.Table | None:
        """Return columns of the rows that the batch left in quarantine for a target table."""
        if (entry := self._put_aside.get(mapping.main.id)) is None:
            return None
        wanted = list(dict.fromkeys([*columns, TARGET]))
        parts = [self._part(part, wanted) for part in entry.all_parts]
        rows = pa.concat_tables(parts, promote_options="permissive")
        return rows.filter(pc.equal(rows[TARGET], mapping.target.id))

    def _part(self, part: QuarantinePart, columns: list[str]) -> pa.Table:
        with opened(self._processed, part.file, part.sha256, expanded=EXPANDED_AT_MOST) as source:
            rows: pa.Table = source.read(columns=columns, use_threads=False)
        require_rows(self._processed, part.file, part.rows, rows.num_rows)
        return rows
