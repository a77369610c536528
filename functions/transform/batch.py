"""Remodel one batch: from the rows of the source tables to the rows of the target tables.

The result depends only on the batch and on the open rows of the batch before; for a target table
that the batch before did not have, on all batches of the log so far.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import pyarrow as pa

from etl import Delivered, Pipeline, Table
from etl.mapping import Mapping as TargetMapping
from functions.common.logs import Logs
from functions.common.manifests import Balance, IngestionManifest, ProcessedManifest, Quarantine
from functions.transform import quarantine
from functions.transform.absent import Absent
from functions.transform.filerows import FileBatch
from functions.transform.files import remodel_files
from functions.transform.remodelling import Remodelled, fill, remodel
from functions.transform.table import Batch


def remodel_batch(
    pipeline: Pipeline,
    logs: Logs,
    ingested: IngestionManifest,
    before: ProcessedManifest | None,
    *,
    run: str,
    now: Callable[[], datetime],
    environment: Mapping[str, str],
) -> ProcessedManifest:
    """Write the target rows of a source's batch, and return the manifest that names them.

    `before` is the manifest of the batch before, None for the first. `environment` has the
    settings. Nothing counts until the manifest is in the log, so several runs may process the same
    batch. Raises PipelineCodeError, RowBalanceError, and SettingsError.
    """
    source = logs.ingested.source
    if isinstance(files := pipeline.source(source), Delivered):
        batch_of_files = FileBatch(pipeline, files, logs, ingested, environment)
        return remodel_files(batch_of_files, before, run=run, now=now)
    absent = Absent(
        sorted(pipeline.waited_for(source), key=lambda table: table.id),
        before.absent if before else {},
        ingested.missing,
    )
    day = ingested.source.snapshot_at.date()
    batch = Batch(
        ingested.batch, day, ingested, absent, pipeline, logs.ingested, logs.processed.bucket
    )
    done: dict[TargetMapping, Remodelled] = {}
    held: dict[str, Quarantine] = {}
    for table, mappings in _by_main_table(pipeline.mappings(source)).items():
        remodelled, kept = _remodel_table(batch, table, mappings, before)
        done |= remodelled
        if kept:
            held[table.id] = kept
    return ProcessedManifest(
        batch=ingested.batch,
        written_at=now(),
        run=run,
        source=ingested.source,
        tables={mapping.target.id: each.table for mapping, each in done.items()},
        balance=_balances(done),
        quarantine=held,
        absent=absent.left(),
    )


def _remodel_table(
    batch: Batch, table: Table, mappings: list[TargetMapping], before: ProcessedManifest | None
) -> tuple[dict[TargetMapping, Remodelled], Quarantine | None]:
    """Remodel the rows of a source table for each of its target tables; store the open ones."""
    entry = before.quarantine.get(table.id) if before else None
    was_open = quarantine.read(batch.processed, entry)
    done: dict[TargetMapping, Remodelled] = {}
    for mapping in mappings:
        is_new = before is not None and mapping.target.id not in before.tables
        mine = quarantine.of(mapping.target.id, was_open)
        done[mapping] = fill(batch, mapping) if is_new else remodel(batch, mapping, mine)
    is_open = quarantine.together([rows for each in done.values() for rows in each.open])
    batch.absent.settle(table, is_open)
    name = f"{batch.ingested.source}/{table.id}"
    return done, _kept(batch, name, entry, was_open, is_open)


def _by_main_table(mappings: Iterable[TargetMapping]) -> dict[Table, list[TargetMapping]]:
    tables: dict[Table, list[TargetMapping]] = {}
    for mapping in mappings:
        tables.setdefault(mapping.main, []).append(mapping)
    return tables


def _kept(
    batch: Batch, name: str, before: Quarantine | None, was_open: pa.Table, is_open: pa.Table
) -> Quarantine | None:
    """Write the rows that are open now, unless the same were open before."""
    if not is_open.num_rows:
        return None
    if before is not None and is_open.equals(was_open):
        return before
    return quarantine.store(batch.processed, name, batch.number, batch.day, is_open)


def _balances(done: dict[TargetMapping, Remodelled]) -> dict[str, Balance]:
    """Return the account of each source table: a row counts once for each of its target tables."""
    balances: dict[str, Balance] = {}
    for mapping, each in done.items():
        name = mapping.main.id
        balances[name] = each.balance + balances[name] if name in balances else each.balance
    return balances
