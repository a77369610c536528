"""How much of a table a run scans, by what the server's statistics say of it.

PostgreSQL counts the rows that are inserted, updated and deleted, a second or so after the commit.
While these counts stay as they were, a table is not scanned. Its position stays as well, so a row
that the counts do not show yet is found when they do, or by the next scan that is due: not looking
is late at most, never wrong.

The counts are read before the snapshot. A transaction reports them after its commit, so they have
none that the snapshot does not show, and a later commit changes them.
https://www.postgresql.org/docs/current/monitoring-stats.html
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from etl import Postgres, Table
from etl.tables import table_id
from functions.common.logindex import LogIndex
from functions.common.manifests import IngestionManifest, Instance
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.changelog import ChangeLog
from functions.sources.postgres.columns import OF_PARTS, named
from functions.sources.postgres.filling import is_too_much
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.lookup import Lookup
from functions.sources.postgres.pgoutput import Touched
from functions.sources.postgres.plan import NO_SIZE, ROW_BYTES, Scan, TablePlan, TableSize

# A foreign table has no statistics, and neither has a replica.
_COUNTS = f"""SELECT n.nspname::text, c.relname::text,
        sum(pg_stat_get_tuples_inserted(part))::bigint,
        sum(pg_stat_get_tuples_updated(part))::bigint,
        sum(pg_stat_get_tuples_deleted(part))::bigint,
        string_agg(p.relfilenode::text, ',' ORDER BY part),
        (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database())
    {OF_PARTS} AND current_setting('track_counts') = 'on' AND NOT pg_is_in_recovery()
    GROUP BY 1, 2 HAVING bool_and(p.relkind IN ('r', 'p'))"""
# The rows are estimated as for a plan: as many on each page as when the table was last analysed.
_SIZES = f"""SELECT n.nspname::text, c.relname::text, sum(pg_relation_size(part))::bigint,
        sum(pg_table_size(part))::bigint,
        sum(CASE WHEN p.relpages > 0 AND p.reltuples >= 0
            THEN p.reltuples / p.relpages / current_setting('block_size')::integer
            ELSE 1.0 / {ROW_BYTES} END * pg_relation_size(part))::bigint
    {OF_PARTS} GROUP BY 1, 2"""


@dataclass(frozen=True)
class Counts:
    """The rows ever inserted, updated and deleted; the files of a table; the last reset."""

    inserted: int
    updated: int
    deleted: int
    files: str
    reset_at: datetime | None

    @property
    def written(self) -> int:
        """The rows ever inserted and updated."""
        return self.inserted + self.updated

    def may_lack_keys_of(self, before: "Counts") -> bool:
        """Return whether rows may be gone, by these counts and those of a scan before."""
        was = before.deleted, before.files, before.reset_at
        return (self.deleted, self.files, self.reset_at) != was


@dataclass(frozen=True)
class Looked:
    """What tables were like when they were last looked at.

    `newest` is the number and the run of the newest batch then; `sizes` are in bytes; `scanned_at`
    is when the keys of a table were last scanned, by the server's clock; `index` is there where
    changes are looked up in the source's log.
    """

    newest: tuple[int, str]
    instance: Instance
    index: LogIndex | None
    counts: Mapping[str, Counts]
    sizes: Mapping[str, int]
    scanned_at: Mapping[str, datetime]


@dataclass
class Memory:
    """What a warm function knows of its last run; a cold one scans everything."""

    looked: Looked | None = None


@dataclass
class Attention:
    """Chooses for each table of a source what this run scans, and remembers it for the next one.

    To be created before the snapshot; a run that is not `sparing` scans everything. With a `log`
    tables whose changes it shows are not scanned.
    """

    connection: PostgresConnection
    source: Postgres
    memory: Memory
    sparing: bool
    log: ChangeLog | None = None
    _counts: dict[str, Counts] = field(init=False)
    _sizes: dict[str, int] = field(init=False, default_factory=dict)
    table_sizes: dict[str, TableSize] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Read the counts."""
        self._counts = {
            table_id(schema, name): Counts(*counts)
            for schema, name, *counts in self.connection.run(_COUNTS, **named(self.source.tables))
        }

    def choose(
        self, snapshot: Snapshot, before: IngestionManifest | None, plans: Mapping[str, TablePlan]
    ) -> dict[str, TablePlan]:
        """Return the plans with what is scanned of each table; all of them are locked."""
        readable = [plan.table for plan in plans.values() if plan.error is None]
        self._read_sizes(readable)
        logged = self._logged(snapshot, before, plans.values())
        scans = self._scans(snapshot, before, plans.values(), logged)
        chosen = {
            name: replace(
                plan,
                scan=_possible(plan, "logged" if name in logged else scans.get(name, "all")),
                lookup=_lookup(plan, logged.get(name)),
            )
            for name, plan in plans.items()
        }
        if self.log:
            self.log.give(chosen.values())
        return chosen

    def _logged(
        self,
        snapshot: Snapshot,
        before: IngestionManifest | None,
        plans: Iterable[TablePlan],
    ) -> Mapping[str, Touched]:
        """Return the tables of which the source's log shows what was written since the batch."""
        if self.log is None:
            return {}
        known, looked = None, self.memory.looked
        if before and snapshot.follows(before.source, snapshot.horizon):
            known = before.index
            if looked and looked.index and self._was(looked, snapshot, before):
                known = looked.index
        tables = [
            plan.table
            for plan in plans
            if plan.error is None and not plan.filling and not plan.has_unreported
        ]
        return self.log.look(snapshot, known, tables)

    def _was(self, looked: Looked, snapshot: Snapshot, before: IngestionManifest) -> bool:
        """Return whether the batch was the newest one, on this server, when it was looked at."""
        newest = before.batch, before.run
        return newest == looked.newest and snapshot.probe.instance == looked.instance

    def _read_sizes(self, tables: Collection[Table]) -> None:
        for schema, name, size, with_all, rows in (
            self.connection.run(_SIZES, **named(tables)) if tables else []
        ):
            self._sizes[table_id(schema, name)] = size
            self.table_sizes[table_id(schema, name)] = TableSize(rows, with_all)

    def _scans(
        self,
        snapshot: Snapshot,
        before: IngestionManifest | None,
        plans: Collection[TablePlan],
        logged: Mapping[str, Touched],
    ) -> dict[str, Scan]:
        looked = self.memory.looked
        if not self.sparing or looked is None or before is None:
            return {}
        if not self._was(looked, snapshot, before):
            return {}
        at, every = snapshot.source.snapshot_at, self.source.scan_every
        unreported = {plan.id for plan in plans if plan.has_unreported}
        scans = {
            name: self._scan(name, looked)
            for name in (self._counts.keys() & looked.scanned_at.keys()) - unreported
            if timedelta(0) <= at - looked.scanned_at[name] < every
        }
        of_log: dict[str, Scan] = dict.fromkeys(self.log.tables if self.log else (), "all")
        found: dict[str, Scan] = {
            name: "nothing" if touched.is_empty else "changes" for name, touched in logged.items()
        }
        are_filling = {plan.id for plan in plans if plan.filling}
        return with_parents({**scans, **of_log, **found}, self.source.tables, are_filling)

    def _scan(self, name: str, looked: Looked) -> Scan:
        now, was = self._counts[name], looked.counts[name]
        if now.may_lack_keys_of(was):
            return "all"
        if is_too_much(now.written - was.written, self.table_sizes.get(name, NO_SIZE)):
            return "all"  # which counts the rows that have changed
        is_same = now == was and self._sizes.get(name) == looked.sizes.get(name)
        return "nothing" if is_same else "changes"

    def remember(
        self,
        snapshot: Snapshot,
        newest: IngestionManifest | None,
        plans: Mapping[str, TablePlan],
    ) -> None:
        """Remember a run that has left `newest` as the newest batch, and advance in the log."""
        if newest is None:
            return
        index = self.index_after(snapshot, plans)
        before = self.memory.looked
        scanned = {
            name: snapshot.source.snapshot_at
            if before is None or plan.scan == "all"
            else before.scanned_at.get(name, snapshot.source.snapshot_at)
            for name, plan in plans.items()
            if plan.error is None and plan.turn == "now" and name in self._counts
        }
        self.memory.looked = Looked(
            (newest.batch, newest.run),
            snapshot.probe.instance,
            index,
            {name: self._counts[name] for name in scanned},
            self._sizes,
            scanned,
        )
        if self.log:
            self.log.advance(index, newest.index)

    @property
    def retained(self) -> int | None:
        """The bytes of its log that the source keeps for us; None if it keeps none."""
        return self.log.retained if self.log else None

    def index_after(self, snapshot: Snapshot, plans: Mapping[str, TablePlan]) -> LogIndex | None:
        """Return what the next run may look up in the source's log."""
        return self.log.index_after(snapshot, plans) if self.log else None


def with_parents(
    scans: Mapping[str, Scan], tables: Iterable[Table], filling: Collection[str] = ()
) -> dict[str, Scan]:
    """Return scans in which all that rows refer to, at any depth, is looked at with them.

    A changed row may refer to a row that came with it, whose table's counts are not there yet.
    Tables that are not in `scans` are scanned; of those that are `filling` rows are read anyway.
    """
    chosen = dict(scans)
    pending = [table for table in tables if scans.get(table.id) != "nothing" or table.id in filling]
    while pending:
        for reference in pending.pop().all_references():
            if chosen.get(reference.table.id) == "nothing":
                chosen[reference.table.id] = "changes"
                pending.append(reference.table)
    return chosen


def _lookup(plan: TablePlan, touched: Touched | None) -> Lookup | None:
    if touched is None:
        return None
    casts = {name: plan.columns.casts[name] for name in plan.table.keys}
    return Lookup(plan.variable, casts, touched)


def _possible(plan: TablePlan, scan: Scan) -> Scan:
    """Return the scan itself, or that of everything where changed rows do not tell the keys.

    The digests of hashed keys are the server's, and keys that may be equal are counted in a scan.
    """
    if plan.since is None or (scan == "changes" and plan.is_hashed):
        return "all"
    return "all" if scan in ("changes", "logged") and not plan.columns.key_is_unique else scan
