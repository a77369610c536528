"""The story of a batch: from the newest manifest and the live source to the next manifest.

Data first, manifest last: until the manifest is claimed, nothing that was written exists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc

from functions.common.batchlog import BatchLog
from functions.common.errors import BatchContended
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.names import ObjectNames
from functions.common.storage import Bucket
from functions.common.totesys import JOINS
from functions.extract.repair import NO_REPAIR, Repair
from functions.sources.postgres import keysets
from functions.sources.postgres.alone import is_alone
from functions.sources.postgres.changes import are_few, next_seen
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.keysets import KeySet, deleted_keys
from functions.sources.postgres.plan import Survey, TablePlan, plan_tables, survey
from functions.sources.postgres.registry import register
from functions.sources.postgres.rows import BatchRows
from functions.sources.postgres.snapshot import snapshot_of
from functions.sources.postgres.uniqueness import stop_at_equal_keys


@dataclass(frozen=True)
class Captured:
    """What a run found: a new batch's manifest, or None when nothing had changed.

    `stopped` says, by table, why a table could not be read for the star; `postponed` why the source
    was not read at all and the next run has to.
    """

    manifest: IngestionManifest | None
    stopped: dict[str, str]
    postponed: str | None = None

    @property
    def drift(self) -> list[str]:
        """How the source's tables have changed, told once: with the batch that registers it."""
        return self.manifest.drift if self.manifest else []


def capture(
    connection: pg8000.native.Connection,
    bucket: Bucket,
    log: BatchLog[IngestionManifest],
    run: str,
    now: Callable[[], datetime],
    *,
    repair: Repair = NO_REPAIR,
) -> Captured:
    """Write what changed since the newest batch, and what a repair asks for, as the next batch.

    Raises BatchContended when another run has claimed the batch's number in the meantime; what
    this one wrote then counts for nothing.
    """
    newest = log.newest()
    before = log.read(newest) if newest else None
    known = keysets.fetch(bucket, before.keys, before.keys_sha256) if before else {}
    with snapshot_of(connection) as snapshot:
        if postponed := _reason_to_wait(connection, bucket, snapshot, before):
            return Captured(None, {}, postponed)
        plans = plan_tables(connection, snapshot, before, repair.tables)
        found = survey(connection, [plan for plan in _readable(plans) if not plan.is_whole], known)
        plans = stop_at_equal_keys(connection, plans, found, known)
        stopped = {plan.name: plan.error for plan in plans.values() if plan.error is not None}
        registry = register(connection, plans, before, snapshot.source.snapshot_at)
        readable = _readable(plans)
        if not (registry.is_news or _anything_new(readable, found, known)):
            return Captured(None, stopped)
        day = snapshot.source.snapshot_at.date()
        rows = BatchRows(connection, plans, bucket, log.source, newest + 1, day=day, known=known)
        keys = dict(known)
        for plan in readable:  # parents come before the facts that name them
            seen = found.get(plan.name)
            if seen is None or seen.changed:
                rows.copy_changed(plan, keys)
            keys[plan.name] = rows.keys_now(plan, seen, known.get(plan.name, KeySet()))
        for join in JOINS:
            rows.copy_companions(join)
        rows.flush()
    gone = {
        name: _together(
            deleted_keys(known.get(name, KeySet()), there), repair.absent_from(name, there)
        )
        for name, there in keys.items()
    }
    tables = {
        name: _stopped(plan) if plan.error else _captured(plan, snapshot, rows, gone[name])
        for name, plan in plans.items()
    }
    if not (registry.is_news or any(each.changed or each.deleted for each in tables.values())):
        return Captured(None, stopped)
    keys_object, keys_sha256 = keysets.store(
        bucket, ObjectNames(f"keys/{log.source}", newest + 1, day), keys
    )
    manifest = IngestionManifest(
        batch=newest + 1,
        written_at=now(),
        run=run,
        source=snapshot.source_after(before.source if before else None),
        tables=tables,
        missing=rows.missing.by_table(),
        keys=keys_object,
        schemas=registry.schemas,
        drift=registry.drift,
        keys_sha256=keys_sha256,
    )
    if not log.claim(manifest):
        raise BatchContended(f"batch {manifest.batch} was claimed by another run")
    return Captured(manifest, stopped)


def _readable(plans: dict[str, TablePlan]) -> list[TablePlan]:
    return [plan for plan in plans.values() if plan.error is None]


def _reason_to_wait(
    connection: pg8000.native.Connection,
    bucket: Bucket,
    snapshot: Snapshot,
    before: IngestionManifest | None,
) -> str | None:
    """Say why a snapshot is not read: others read already, or it is older than the last batch."""
    if not is_alone(connection, bucket.name):
        return "another extract is at work"
    if before is not None and snapshot.is_behind(before.source):
        return f"the replica that answers has not caught up with batch {before.batch} yet"
    # The warehouse may have more than the replica shows, from a log that was emptied since.
    if before is None and snapshot.lags():
        return "the replica that answers has not replayed yet what it has received"
    return None


def _anything_new(
    plans: list[TablePlan], found: dict[str, Survey], known: dict[str, KeySet]
) -> bool:
    return any(
        plan.is_whole
        or found[plan.name].changed
        or found[plan.name].differs_from(known.get(plan.name, KeySet()))
        for plan in plans
    )


def _together(deleted: pa.Array, absent: list[int]) -> pa.Array:
    return pc.unique(pa.concat_arrays([deleted, pa.array(absent, pa.int64())])).sort()


def _captured(
    plan: TablePlan, snapshot: Snapshot, rows: BatchRows, deleted: pa.Array
) -> TableCapture:
    table = rows.tables[plan.name]
    seen = next_seen(snapshot, plan.since, table.xids)
    can_go_on = are_few(seen)  # else the table is read whole the next time
    return TableCapture(
        key=plan.key,
        columns=list(plan.columns.types),
        fingerprint=plan.columns.fingerprint,
        incarnation=plan.columns.incarnation,
        horizon=snapshot.horizon if can_go_on else None,
        seen=seen if can_go_on else [],
        changed=table.changed,
        companions=table.companions,
        files=table.writer.close(),
        deleted=len(deleted),
        tombstones=rows.write_tombstones(plan, deleted),
    )


def _stopped(plan: TablePlan) -> TableCapture:
    """Keep a table's position, for when it can be read again."""
    before = plan.before
    return TableCapture(
        key=plan.key,
        columns=before.columns if before else [],
        fingerprint=before.fingerprint if before else "",
        incarnation=before.incarnation if before else "",
        horizon=before.horizon if before else None,
        seen=before.seen if before else [],
        error=plan.error,
    )
