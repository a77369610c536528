"""Remodel one batch: from the rows of the source tables to the rows of the star tables.

What comes out depends on the batch and on what the batch before left open, and on nothing else.
"""

from collections.abc import Callable
from datetime import datetime

from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.storage import Bucket
from functions.common.totesys import PARENTS
from functions.transform.star import STAR
from functions.transform.table import Batch, remodel_table


def remodel_batch(
    ingested: IngestionManifest,
    before: ProcessedManifest | None,
    lake: Bucket,
    stars: Bucket,
    *,
    source: str,
    run: str,
    now: Callable[[], datetime],
) -> ProcessedManifest:
    """Write the star rows of a source's batch to `stars`, and return the manifest that names them.

    `before` is the manifest of the batch before, None for the first. Until the manifest is in the
    log nothing of it counts, so any number of runs may do the same batch. Raises BatchUnbalanced.
    """
    absent = _absent(ingested, before)
    batch = Batch(source, ingested, before.quarantine if before else {}, absent, lake, stars)
    done = {mapping: remodel_table(batch, mapping) for mapping in STAR}
    return ProcessedManifest(
        batch=ingested.batch,
        written_at=now(),
        run=run,
        source=ingested.source,
        tables={mapping.table: table.star for mapping, table in done.items()},
        balance={mapping.source: table.balance for mapping, table in done.items()},
        quarantine={
            mapping.source: table.quarantine for mapping, table in done.items() if table.quarantine
        },
        absent={parent: sorted(keys) for parent, keys in absent.items() if keys},
    )


def _absent(ingested: IngestionManifest, before: ProcessedManifest | None) -> dict[str, set[int]]:
    """Return the parents that are not in the warehouse; only a fit row of theirs ends that."""
    known = before.absent if before else {}
    return {
        parent: {*known.get(parent, ()), *ingested.missing.get(parent, ())}
        for parent in sorted(PARENTS)
    }
