"""The story of a batch: from the newest manifest and the live source to the next manifest.

Data first, manifest last: until the manifest is claimed, nothing that was written exists.
"""

from collections.abc import Callable
from datetime import datetime

import pg8000.native

from functions.common.batchlog import BatchLog
from functions.common.errors import BatchContended
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.names import ObjectNames
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.postgres import tablekeys
from functions.sources.postgres.alone import is_alone
from functions.sources.postgres.changes import are_few, next_seen
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.plan import (
    Survey,
    TableKeys,
    TablePlan,
    has_key,
    plan_tables,
    survey,
)
from functions.sources.postgres.registry import register
from functions.sources.postgres.rows import BatchRows
from functions.sources.postgres.snapshot import snapshot_of
from functions.sources.postgres.tablekeys import SnapshotKeys
from functions.sources.postgres.uniqueness import stop_at_equal_keys


def capture(
    connection: pg8000.native.Connection,
    log: BatchLog[IngestionManifest],
    declared: Declared,
    run: str,
    now: Callable[[], datetime],
    *,
    repair: Repair = NO_REPAIR,
) -> Captured:
    """Write what changed since the newest batch, and what a repair asks for, as the next batch.

    Raises BatchContended when another run has claimed the batch's number in the meantime; what
    this one wrote then counts for nothing.
    """
    newest, bucket = log.newest(), log.bucket
    before = log.read(newest) if newest else None
    known = _known_keys(log, declared, before)
    with snapshot_of(connection, declared.source) as snapshot:
        if postponed := _reason_to_wait(connection, log, snapshot, before):
            return Captured(None, {}, postponed)
        plans = plan_tables(connection, snapshot, before, declared, repair.tables)
        known = tablekeys.comparable(known, plans, before)
        found = survey(connection, [plan for plan in _readable(plans) if not plan.is_whole], known)
        plans = stop_at_equal_keys(connection, plans, found, known)
        stopped = {plan.id: plan.error for plan in plans.values() if plan.error is not None}
        at = snapshot.source.snapshot_at
        registry = register(connection, declared.source, plans, before, at)
        readable = _readable(plans)
        is_news = registry.is_news or _has_other_targets(before, declared)
        if not (is_news or _anything_new(readable, found, known)):
            return Captured(None, stopped)
        names = ObjectNames(f"keys/{declared.source.name}", newest + 1, at.date())
        keys = SnapshotKeys(connection, bucket, names, known)
        rows = BatchRows(connection, declared, plans, bucket, newest + 1, day=at.date(), keys=keys)
        for plan in readable:  # parents come before the rows that wait for them
            rows.copy_changed(plan, found.get(plan.id))
            rows.delete_absent(plan, repair.absent.get(plan.id, []))
        rows.copy_companions()
        rows.copy_partners()
        rows.flush()
    tables = {
        name: _stopped(plan) if plan.error else _captured(plan, snapshot, rows)
        for name, plan in plans.items()
    }
    if not (is_news or any(each.changed or each.deleted for each in tables.values())):
        return Captured(None, stopped)
    stored = tablekeys.store(bucket, names, keys.now)
    manifest = IngestionManifest(
        batch=newest + 1,
        written_at=now(),
        run=run,
        source=snapshot.source_after(before.source if before else None),
        tables=tables,
        missing=rows.missing.by_table(),
        keys=stored.keys,
        keys_sha256=stored.sha256,
        key_parts=stored.parts,
        schemas=registry.schemas,
        drift=registry.drift,
        targets=declared.targets,
    )
    if not log.claim(manifest):
        raise BatchContended(f"batch {manifest.batch} was claimed by another run")
    return Captured(manifest, stopped)


def _known_keys(
    log: BatchLog[IngestionManifest], declared: Declared, before: IngestionManifest | None
) -> dict[str, TableKeys]:
    """Return the keys that each declared table had, if they were of today's key columns."""
    if before is None:
        return {}
    return {
        name: keys
        for name, keys in tablekeys.fetch(log.bucket, before).items()
        if name in declared.tables and has_key(before.capture(name), declared.tables[name])
    }


def _has_other_targets(before: IngestionManifest | None, declared: Declared) -> bool:
    """Tell whether the newest batch was written for other target tables: new ones are filled."""
    return before is not None and before.targets != declared.targets


def _readable(plans: dict[str, TablePlan]) -> list[TablePlan]:
    return [plan for plan in plans.values() if plan.error is None]


def _reason_to_wait(
    connection: pg8000.native.Connection,
    log: BatchLog[IngestionManifest],
    snapshot: Snapshot,
    before: IngestionManifest | None,
) -> str | None:
    """Say why a snapshot is not read: others read already, or it is older than the last batch."""
    if not is_alone(connection, f"{log.bucket.name}/{log.prefix}"):
        return "another extract is at work"
    if before is not None and snapshot.is_behind(before.source):
        return f"the replica that answers has not caught up with batch {before.batch} yet"
    # The warehouse may have more than the replica shows, from a log that was emptied since.
    if before is None and snapshot.lags():
        return "the replica that answers has not replayed yet what it has received"
    return None


def _anything_new(
    plans: list[TablePlan], found: dict[str, Survey], known: dict[str, TableKeys]
) -> bool:
    return any(
        plan.is_whole or found[plan.id].changed or found[plan.id].differs_from(known.get(plan.id))
        for plan in plans
    )


def _captured(plan: TablePlan, snapshot: Snapshot, rows: BatchRows) -> TableCapture:
    table = rows.tables[plan.id]
    seen = next_seen(snapshot, plan.since, table.xids)
    can_go_on = are_few(seen)  # else the table is read whole the next time
    return TableCapture(
        key=list(plan.table.keys),
        columns=list(plan.columns.types),
        fingerprint=plan.columns.fingerprint,
        incarnation=plan.columns.incarnation,
        horizon=snapshot.horizon if can_go_on else None,
        seen=seen if can_go_on else [],
        changed=table.changed,
        companions=table.companions,
        files=table.writer.close(),
        partners=table.partners.close(),
        deleted=table.deleted,
        tombstones=table.tombstones.close(),
    )


def _stopped(plan: TablePlan) -> TableCapture:
    """Keep a table's position, for when it can be read again."""
    before = plan.before
    return TableCapture(
        key=list(plan.table.keys),
        columns=before.columns if before else [],
        fingerprint=before.fingerprint if before else "",
        incarnation=before.incarnation if before else "",
        horizon=before.horizon if before else None,
        seen=before.seen if before else [],
        error=plan.error,
    )
