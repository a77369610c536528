"""Capture a batch: from the newest manifest and the live source to the next manifest.

Data first, manifest last: until the manifest is claimed, nothing that was written counts.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.errors import BatchConflictError
from functions.common.manifests import NOT_DECLARED, IngestionManifest, TableCapture
from functions.common.objects import ObjectNames
from functions.common.pgconnection import PostgresConnection
from functions.common.telemetry import logger
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.postgres import tablekeys
from functions.sources.postgres.activity import Attention, Memory
from functions.sources.postgres.alone import is_alone
from functions.sources.postgres.changelog import ChangeLog
from functions.sources.postgres.changes import are_few, next_seen
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.filling import read_again, with_portions
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.plan import (
    NO_SIZE,
    TableKeys,
    TablePlan,
    TableSize,
    has_key,
    plan_tables,
)
from functions.sources.postgres.registry import Registry, register
from functions.sources.postgres.rows import BatchRows
from functions.sources.postgres.snapshot import snapshot_of
from functions.sources.postgres.surveys import Survey, survey
from functions.sources.postgres.tablekeys import SnapshotKeys
from functions.sources.postgres.uniqueness import stop_at_equal_keys, stop_at_missing_keys

_Position = tuple[int | None, list[tuple[int, int]]]


def capture(
    connection: PostgresConnection,
    log: BatchLog[IngestionManifest],
    declared: Declared,
    run: str,
    now: Callable[[], datetime],
    *,
    repair: Repair = NO_REPAIR,
    memory: Memory | None = None,
    sparing: bool = False,
    logged: bool = False,
) -> Captured:
    """Write what changed since the newest batch, and what a repair requests, as the next batch.

    A `sparing` run leaves tables that show no activity since the last one of this `memory`. Changes
    are looked up in the source's log if it is `logged`.

    Raises BatchConflictError if another run has claimed the number in the meantime; what this one
    wrote then does not count.
    """
    newest = log.newest()
    before = log.read(newest) if newest else None
    slot = declared.source.slot(log.bucket.name)
    changes = ChangeLog(connection, declared.source, slot) if logged else None
    attention = Attention(connection, declared.source, memory or Memory(), sparing, changes)
    with snapshot_of(connection, declared.source) as snapshot:
        if postponed := _reason_to_wait(connection, log, snapshot, before):
            return Captured(None, {}, postponed)
        seen = _look(
            connection, log, declared, snapshot, before, attention=attention, whole=repair.tables
        )
        if not seen.has_news:
            attention.remember(snapshot, before, seen.plans)
            return Captured(None, seen.stopped, retained=attention.retained)
        day = snapshot.source.snapshot_at.date()
        names = ObjectNames(f"keys/{declared.source.name}", newest + 1, day)
        keys = SnapshotKeys(connection, log.bucket, names, seen.known)
        rows = BatchRows(
            connection, declared, seen.plans, log.bucket, newest + 1, day=day, keys=keys
        )
        _copy(rows, seen, repair)
    tables = {
        name: _captured(plan, snapshot, rows, keys, attention.table_sizes.get(name, NO_SIZE).rows)
        if plan.error is None
        else _stopped(plan, before)
        for name, plan in seen.plans.items()
    }
    # Also without rows and deletions: a table's keys that are gone may be those of no row so far.
    is_due = seen.is_due or seen.goes_on or keys.cut
    if not (is_due or any(each.changed or each.deleted for each in tables.values())):
        attention.remember(snapshot, before, seen.plans)
        return Captured(None, seen.stopped, retained=attention.retained)
    stored = tablekeys.store(log.bucket, names, keys.stored)
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
        schemas=seen.registry.schemas,
        drift=seen.registry.drift,
        targets=declared.targets,
        index=attention.index_after(snapshot, seen.plans),
    )
    if not log.claim(manifest):
        raise BatchConflictError(f"batch {manifest.batch} was claimed by another run")
    attention.remember(snapshot, manifest, seen.plans)
    has_more = any(table.filling and not table.error for table in tables.values())
    return Captured(
        manifest,
        seen.stopped,
        more=(seen.goes_on and has_more) or bool(keys.cut),
        retained=attention.retained,
    )


@dataclass(frozen=True)
class _Seen:
    """The state of the source, before any row is read.

    `known` are the keys that the tables had, `found` the scans of those that are not read whole. A
    batch `is_due` without rows if the tables, or their targets, have changed.
    """

    plans: dict[str, TablePlan]
    known: dict[str, TableKeys]
    found: dict[str, Survey]
    registry: Registry
    is_due: bool

    @property
    def readable(self) -> list[TablePlan]:
        """The tables that are read, parents before the rows that wait for them."""
        return _readable(self.plans)

    @property
    def stopped(self) -> dict[str, str]:
        """Why other tables are not read."""
        return {name: plan.error for name, plan in self.plans.items() if plan.error is not None}

    @property
    def goes_on(self) -> bool:
        """Whether rows of a table are read for the first time, or again."""
        return any(
            plan.turn == "now" and (plan.is_whole or (plan.portion and not plan.portion.is_empty))
            for plan in self.readable
        )

    @property
    def has_news(self) -> bool:
        """Whether there may be rows for a batch, or one is due."""
        return self.is_due or any(
            plan.is_whole
            or plan.portion is not None
            or self.found[plan.id].may_have_changes
            or self.found[plan.id].differs_from(self.known.get(plan.id))
            for plan in self.readable
        )


def _look(
    connection: PostgresConnection,
    log: BatchLog[IngestionManifest],
    declared: Declared,
    snapshot: Snapshot,
    before: IngestionManifest | None,
    *,
    attention: Attention,
    whole: Collection[str],
) -> _Seen:
    """Decide how each table is read, and scan those that are not read whole."""
    known = _known_keys(log, declared, before)
    sparse = tablekeys.in_parts(known)
    plans = plan_tables(connection, snapshot, before, declared, whole, sparse=sparse)
    plans = stop_at_missing_keys(connection, attention.choose(snapshot, before, plans))
    known = tablekeys.comparable(known, plans, before)
    plans, found = _surveyed(connection, plans, known, attention.table_sizes)
    plans = stop_at_equal_keys(connection, plans, found, known)
    at = snapshot.source.snapshot_at
    registry = register(connection, declared.source, plans, before, at)
    # Otherwise a source without changes would never fill a new target table.
    has_other_targets = before is not None and before.targets != declared.targets
    return _Seen(plans, known, found, registry, registry.is_news or has_other_targets)


def _surveyed(
    connection: PostgresConnection,
    plans: dict[str, TablePlan],
    known: Mapping[str, TableKeys],
    sizes: Mapping[str, TableSize],
) -> tuple[dict[str, TablePlan], dict[str, Survey]]:
    """Return the plans with portions, and the scans of the tables that are not read whole."""
    chosen = with_portions(connection, plans, known, sizes)
    found = survey(connection, [plan for plan in _readable(chosen) if not plan.is_whole], known)
    if again := read_again(plans, found, sizes):
        logger.info(
            "read again: more rows have changed than a batch holds", extra={"tables": list(again)}
        )
        return _surveyed(connection, plans | again, known, sizes)
    return chosen, found


def _copy(rows: BatchRows, seen: _Seen, repair: Repair) -> None:
    """Copy the rows of a batch, and the keys of deleted ones."""
    for plan in seen.readable:
        rows.copy_changed(plan, seen.found.get(plan.id))
        rows.delete_absent(plan, repair.absent.get(plan.id, []))
    rows.copy_companions()
    rows.copy_partners()
    rows.flush()


def _known_keys(
    log: BatchLog[IngestionManifest], declared: Declared, before: IngestionManifest | None
) -> dict[str, TableKeys]:
    """Return the keys that each declared table had, if they are of today's key columns."""
    if before is None:
        return {}
    return {
        name: keys
        for name, keys in tablekeys.fetch(log.bucket, before).items()
        if name in declared.tables and has_key(before.capture(name), declared.tables[name])
    }


def _readable(plans: dict[str, TablePlan]) -> list[TablePlan]:
    return [plan for plan in plans.values() if plan.is_read]


def _reason_to_wait(
    connection: PostgresConnection,
    log: BatchLog[IngestionManifest],
    snapshot: Snapshot,
    before: IngestionManifest | None,
) -> str | None:
    """Return why a snapshot is not read: another run reads, or it is older than the last batch."""
    if not is_alone(connection, f"{log.bucket.name}/{log.prefix}"):
        return "another extract is at work"
    if before is not None and snapshot.is_behind(before.source):
        return f"the replica that answers has not caught up with batch {before.batch} yet"
    # The warehouse may have later rows than the replica, from a log that was emptied since.
    if before is None and snapshot.lags():
        return "the replica that answers has not replayed yet what it has received"
    return None


def _position(plan: TablePlan, snapshot: Snapshot, xids: Collection[int]) -> _Position:
    """Return the horizon from which the next batch reads a table, and what it has above it."""
    if plan.before is not None and (plan.is_left or plan.turn != "now"):
        return plan.before.horizon if plan.since else None, plan.before.seen if plan.since else []
    if plan.turn != "now":
        return None, []
    seen = next_seen(snapshot, plan.since, xids)
    # With too many the next batch reads the table whole.
    return (snapshot.horizon, seen) if are_few(seen) else (None, [])


def _captured(
    plan: TablePlan, snapshot: Snapshot, rows: BatchRows, keys: SnapshotKeys, rows_in_all: int
) -> TableCapture:
    """Return the state of a table after a batch; it has about so many rows."""
    table = rows.tables[plan.id]
    horizon, seen = _position(plan, snapshot, table.xids)
    filling = None
    if plan.portion is not None and plan.portion.to is not None:
        of = tablekeys.number_of(keys.now.get(plan.id))
        if of and not plan.is_hashed:  # of which those so far are known
            of = max(of, rows_in_all)
        filling = replace(plan.portion.done(table.filled, of), horizon=horizon, seen=seen)
        horizon, seen = None, []
    return TableCapture(
        key=list(plan.table.keys),
        columns=list(plan.columns.types),
        fingerprint=plan.columns.fingerprint,
        incarnation=plan.columns.incarnation,
        horizon=horizon,
        seen=seen,
        changed=table.changed,
        companions=table.companions,
        files=table.writer.close(),
        partners=table.partners.close(),
        deleted=table.deleted,
        tombstones=table.tombstones.close(),
        filling=filling,
        unreported=plan.id in keys.cut,
    )


def _stopped(plan: TablePlan, before: IngestionManifest | None) -> TableCapture:
    """Return the unchanged state of a table that cannot be read, for when it can be again.

    Its keys then show which rows were deleted meanwhile, even if its position is not valid here.
    """
    was = before.capture(plan.id) if before else NOT_DECLARED
    stands = plan.before is not None
    return TableCapture(
        key=was.key,
        columns=was.columns,
        fingerprint=was.fingerprint,
        incarnation=was.incarnation,
        horizon=was.horizon if stands else None,
        seen=was.seen if stands else [],
        filling=was.filling and (was.filling if stands else replace(was.filling, horizon=None)),
        error=plan.error,
        unreported=was.unreported,
    )
