"""Remodel one batch: from the rows of the source tables to the rows of the target tables.

The result depends only on the batch and on the open rows of the batch before; for a target table
that the batch before did not have, on all batches of the log so far.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import chain

from msgspec import UNSET

from etl import Delivered, Pipeline, Table
from etl.mapping import Mapping as TargetMapping
from functions.common.keys import Key, arrays_of
from functions.common.logs import Logs
from functions.common.longlists import IN_PARTS, ListFile
from functions.common.manifests import Balance, IngestionManifest, ProcessedManifest
from functions.common.objects import ObjectNames
from functions.common.quarantined import AbsentFile, Quarantine
from functions.common.storage import Bucket
from functions.transform import absentkeys, quarantine
from functions.transform.absent import Absent
from functions.transform.batchkeys import BatchKeys
from functions.transform.filerows import FileBatch
from functions.transform.files import remodel_files
from functions.transform.filling import fill
from functions.transform.held import Held
from functions.transform.reasons import Reasons
from functions.transform.remodelling import Remodelled, Remodelling
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
        batch_of_files = FileBatch(pipeline, files, logs, ingested, environment, BatchKeys())
        return remodel_files(batch_of_files, before, run=run, now=now)
    absent = Absent(
        sorted(pipeline.waited_for(source), key=lambda table: table.id),
        _known_absent(logs.processed.bucket, before),
        ingested.missing,
    )
    day = ingested.source.snapshot_at.date()
    batch = Batch(
        ingested.batch,
        day,
        ingested,
        absent,
        pipeline,
        logs.ingested,
        logs.processed.bucket,
        BatchKeys(),
        defaultdict(Reasons),
    )
    done: dict[TargetMapping, Remodelled] = {}
    held: dict[str, Quarantine] = {}
    for table, mappings in _by_main_table(pipeline.mappings(source)).items():
        remodelled, kept = _remodel_table(batch, table, mappings, before)
        done |= remodelled
        if kept:
            held[table.id] = kept
    lists, objects = _still_absent(batch, before)
    return ProcessedManifest(
        batch=ingested.batch,
        written_at=now(),
        run=run,
        source=ingested.source,
        tables={mapping.target.id: each.table for mapping, each in done.items()},
        balance=_balances(done),
        quarantine=held,
        absent=lists,
        absent_files=objects,
        keys=batch.keys.sets(),
        reasons=_reasons(batch),
        form=IN_PARTS if objects or any(each.parts for each in held.values()) else UNSET,
    )


def _reasons(batch: Batch) -> dict[str, ListFile]:
    """Store why rows are not in target tables; return the objects by target table."""
    prefix = f"lists/batches/{batch.ingested.source}"
    names = ObjectNames(prefix, batch.number, batch.day, ".json")
    stored = {name: each.stored(batch.processed, names) for name, each in batch.reasons.items()}
    return {name: file for name, file in stored.items() if file}


def _known_absent(
    bucket: Bucket, before: ProcessedManifest | None
) -> Mapping[str, Collection[Key]]:
    """Return the parents that were absent after a batch; long lists are read when asked for."""
    if before is None:
        return {}
    found: dict[str, Callable[[], set[Key]]] = {
        name: partial(set, keys) for name, keys in before.absent.items()
    }
    for name, file in before.absent_files.items():
        found[name] = partial(absentkeys.read, bucket, file)
    return absentkeys.AbsentKeys(found)


def _still_absent(
    batch: Batch, before: ProcessedManifest | None
) -> tuple[dict[str, list[Key]], dict[str, AbsentFile]]:
    """Return the parents that are absent after a batch: in lists, and in objects."""
    lists: dict[str, list[Key]] = {}
    files: dict[str, AbsentFile] = {}
    for name in batch.absent.now:
        if before and name in before.absent_files and name not in batch.absent.changed:
            files[name] = before.absent_files[name]
        elif keys := batch.absent.left(name):
            lists[name] = keys
    for name in [name for name, keys in lists.items() if len(keys) > absentkeys.MOST_LISTED]:
        prefix = f"quarantine/{batch.ingested.source}/{name}"
        names = ObjectNames(prefix, batch.number, batch.day)
        files[name] = absentkeys.store(batch.processed, names, lists.pop(name))
    return lists, files


def _remodel_table(
    batch: Batch, table: Table, mappings: list[TargetMapping], before: ProcessedManifest | None
) -> tuple[dict[TargetMapping, Remodelled], Quarantine | None]:
    """Remodel the rows of a source table for each of its target tables; store the open ones."""
    known = before.tables if before else {each.target.id: None for each in mappings}
    old = [Remodelling(batch, each) for each in mappings if each.target.id in known]
    waits = [wait for each in mappings for wait in batch.pipeline.waits(each)]
    held = Held(
        batch,
        table,
        waits,
        before.quarantine.get(table.id) if before else None,
        whole=_has_other_targets(batch, before),
    )
    for part, rows in held.touched():
        mine = [quarantine.of(each.mapping.target.id, rows) for each in old]
        stays = [held.not_again(each) for each in mine]
        held.keep(part, mine, [one.release(its) for one, its in zip(old, stays, strict=True)])
    done = {each.mapping: each.finish() for each in old}
    done |= {each: fill(batch, each) for each in mappings if each not in done}
    for rows in chain.from_iterable(each.open for each in done.values()):
        held.add(rows)
    coming = arrays_of(batch.absent.coming(table))
    batch.absent.settle(table, [key for keys in coming for key in held.holds(keys).to_pylist()])
    return {each: done[each] for each in mappings}, held.stored()


def _has_other_targets(batch: Batch, before: ProcessedManifest | None) -> bool:
    """Return whether target tables have been declared or removed, also of other source tables."""
    mappings = batch.pipeline.mappings(batch.ingested.source)
    return before is not None and before.tables.keys() != {each.target.id for each in mappings}


def _by_main_table(mappings: Iterable[TargetMapping]) -> dict[Table, list[TargetMapping]]:
    tables: dict[Table, list[TargetMapping]] = {}
    for mapping in mappings:
        tables.setdefault(mapping.main, []).append(mapping)
    return tables


def _balances(done: dict[TargetMapping, Remodelled]) -> dict[str, Balance]:
    """Return the account of each source table: a row counts once for each of its target tables."""
    balances: dict[str, Balance] = {}
    for mapping, each in done.items():
        name = mapping.main.id
        balances[name] = each.balance + balances[name] if name in balances else each.balance
    return balances
