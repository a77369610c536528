"""Which rows may have changed, by the source's write-ahead log: capture by `wal`.

The log is only an index. Rows are read in the snapshot by the keys that the log shows, under the
same condition on xmin as in a scan, so that a table whose changes it may not show is scanned, and
nothing is lost. It shows every change of a table since a batch if

* the slot has all commits from a position on below which the batch has everything (`covered`),
* it is read up to a position taken after the snapshot: a commit is in the log before it is visible,
* and the table was published in the same way when the transactions since the batch began.

A commit may be in the log for a while before it is visible, so that a position alone does not say
what a snapshot shows. But whoever commits below it has an id by then, and until it is visible a
lock on that, which every role may see:

    run 1: position 900; ids up to 80 are locked; then a snapshot in which 70 and 80 are still open,
           of which each may have a commit at 890
    run 2: a snapshot in which all ids below 81 have ended: it shows everything below 900

The same goes for a table that has just been published, which does not wait for the transactions
that write it: what they wrote before is not shown, whenever they commit.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from msgspec.structs import replace

from etl import Postgres, Table
from functions.common.copy import set_values
from functions.common.errors import SlotError
from functions.common.logindex import LogIndex
from functions.common.pgconnection import PostgresConnection
from functions.common.telemetry import logger
from functions.sources.postgres import slot as slots
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.logstart import Start, start
from functions.sources.postgres.pgoutput import Messages, Touched
from functions.sources.postgres.plan import TablePlan
from functions.sources.postgres.published import Published, published
from functions.sources.postgres.slot import Slot

LOG_AT_MOST = 128 << 20  # bytes that are decoded, in some seconds; with more, tables are scanned
WORTH_A_WRITE = 1 << 20  # bytes of log for which a run without a batch advances the slot

_POSITION = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"


@dataclass
class ChangeLog:
    """The log of a source in one run, from before its snapshot to after its batch.

    `retained` are the bytes of the log that the server keeps for the slot; None without one.
    """

    connection: PostgresConnection
    source: Postgres
    slot_name: str
    retained: int | None = None
    _slot: Slot | None = field(init=False, default=None)
    _start: Start | None = field(init=False, default=None)
    _known: LogIndex | None = field(init=False, default=None)
    _published: Mapping[str, Published] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find the slot, or make it: what is committed after that will be in it."""
        try:
            slot = slots.ready(self.connection, self.slot_name)
            [[reached]] = self.connection.run(_POSITION)
            self.retained = reached - slot.restart
            self._start = start(self.connection, self.source, reached)
            self._slot = slot
        except SlotError as error:
            self._report(error)

    def _report(self, error: SlotError) -> None:
        logger.warning(
            f"source {self.source.name}: tables are scanned, because its log cannot be read (slot "
            f"{self.slot_name}): {error}"
        )

    def look(
        self, snapshot: Snapshot, known: LogIndex | None, tables: Iterable[Table]
    ) -> dict[str, Touched]:
        """Return the tables of which the log shows every change since a batch, with their keys.

        `known` is what the batch, or the last run that found no difference from it, knew.
        """
        if self._slot is None or snapshot.probe.position is None:
            return {}
        self._known, chosen = known, {table.id: table for table in tables}
        try:
            with slots.apart(self.connection):
                self._published = published(
                    self.connection, self.source.publication, chosen.values()
                )
            return self._touched(self._slot, snapshot, chosen)
        except SlotError as error:
            self._report(error)
            return {}

    def _touched(
        self, slot: Slot, snapshot: Snapshot, chosen: Mapping[str, Table]
    ) -> dict[str, Touched]:
        known = self._known
        [[position]] = self.connection.run(_POSITION)
        if not (self._is_complete(slot, known) and known and self._is_fresh(known, snapshot)):
            return {}
        touched = {
            name: Touched(chosen[name].keys)
            for name, each in self._published.items()
            if known.tables.get(name) == each.fingerprint
        }
        self._read(slot, position, touched)
        return {name: keys for name, keys in touched.items() if not keys.is_lost}

    def _is_complete(self, slot: Slot, known: LogIndex | None) -> bool:
        """Return whether the slot has all that was committed after the batch."""
        if known is None or known.covered is None:
            return False
        if slot.confirmed > known.covered:
            logger.info(f"slot {slot.name} is ahead of what is recorded: tables are scanned")
            return False
        return True

    def _is_fresh(self, known: LogIndex, snapshot: Snapshot) -> bool:
        """Return whether it is not yet time to scan everything again."""
        since = snapshot.source.snapshot_at - known.scanned_at
        return timedelta(0) <= since < self.source.scan_every

    def _read(self, slot: Slot, position: int, touched: Mapping[str, Touched]) -> None:
        """Add the keys of the rows that were written by transactions committed so far."""
        if not touched or (self._known and position == self._known.covered):
            return
        if position - slot.restart > LOG_AT_MOST:
            raise SlotError(
                f"{(position - slot.restart) >> 20} MB of log are to be decoded, and a scan is "
                "cheaper: did a transaction write much, or stay open for long?"
            )
        if not slots.is_flushed(self.connection, position):
            raise SlotError("the server has not written the log of the last commits yet")
        parts = {part: keys for name, keys in touched.items() for part in self._parts(name)}
        messages = Messages(parts)
        found = slots.peek(self.connection, slot, self.source.publication, position)
        with closing(found):
            for message in found:
                messages.take(message)

    def _parts(self, name: str) -> Collection[int]:
        return self._published[name].parts

    @property
    def tables(self) -> Collection[str]:
        """The tables whose changes the log will show once they have been scanned."""
        return self._published.keys()

    def give(self, plans: Iterable[TablePlan]) -> None:
        """Set the values by which the rows of logged tables are found."""
        for plan in plans:
            if plan.is_logged and plan.lookup:
                set_values(self.connection, plan.lookup.values())

    def index_after(self, snapshot: Snapshot, plans: Mapping[str, TablePlan]) -> LogIndex | None:
        """Return what is known after a run, for the next one."""
        if self._slot is None or self._start is None:
            return None
        at, known = snapshot.source.snapshot_at, self._known
        scanned = {
            name: each.fingerprint
            for name, each in self._published.items()
            if _is_complete(plans[name]) and self._start.published.get(name) == each
        }
        end = self._start.end
        since = {name: (each, _since(known, name, each, end)) for name, each in scanned.items()}
        unsettled = {name: each for name, each in since.items() if each[1] > snapshot.horizon}
        tables = {name: each for name, each in scanned.items() if name not in unsettled}
        new = LogIndex(None, self._start.reached, end, at, tables, unsettled)
        if known and any(plan.is_logged for plan in plans.values()):
            new = replace(new, scanned_at=known.scanned_at)
        return settled(new, known, snapshot.horizon)

    def advance(self, index: LogIndex | None, recorded: LogIndex | None) -> None:
        """Let the server forget the log below what is covered, if the newest batch has `recorded`.

        What a run without a batch covers, only this function remembers, so that it has to be worth
        it: one that starts cold then scans everything once.
        """
        if self._slot is None or index is None or index.covered is None:
            return
        if index.covered <= self._slot.confirmed:
            return
        is_recorded = recorded is not None and (recorded.covered or 0) >= index.covered
        if not is_recorded and index.covered - self._slot.restart < WORTH_A_WRITE:
            return
        try:
            slots.advance(self.connection, self._slot, index.covered)
        except SlotError as error:
            logger.info(f"slot {self.slot_name} stays where it is: {error}")


def _is_complete(plan: TablePlan) -> bool:
    """Return whether the batch has all of a table, or all of its changes."""
    is_read = plan.error is None and plan.turn == "now"
    return is_read and not plan.filling and not plan.portion and plan.scan in ("all", "logged")


def _since(known: LogIndex | None, name: str, digest: str, end: int) -> int:
    """Return the id from which on all that transactions wrote to a table is shown."""
    if known is None:
        return end
    if known.tables.get(name) == digest:
        return 0
    was, since = known.unsettled.get(name, ("", end))
    return since if was == digest else end


def settled(new: LogIndex, known: LogIndex | None, horizon: int) -> LogIndex:
    """Return what is known now, given what was known before, with the position that is covered.

    An earlier position is kept until all that may have committed below it has ended: a newer one
    would wait for transactions that began later. All below `horizon` have.
    """
    if horizon >= new.end:
        return replace(new, covered=new.reached)
    if known is None:
        return new
    if horizon >= known.end:
        return replace(new, covered=known.reached)
    return replace(new, covered=known.covered, reached=known.reached, end=known.end)
