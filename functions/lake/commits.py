"""Commit to the Iceberg table of a target table what was loaded since its position.

Rows and position are one commit, on top of the snapshot that the table had when it was opened. So a
run that dies before its commit has changed nothing, one that dies after it is not repeated, and of
two at the same time one is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from etl.targets import TargetTable
from functions.common.batchlog import BatchLog
from functions.common.logs import MarkerLog
from functions.common.manifests import ProcessedManifest
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.lake.changes import Arrival, Change, Cleared, Deletion, Position, changes, events
from functions.lake.draft import Draft
from functions.lake.settling import Window
from functions.lake.tables import Catalog, position_of

WINDOW_BYTES = 64 << 20  # of rows in memory at a time
COMMIT_BYTES = 256 << 20  # of rows; a batch is never split
CHANGES_AT_MOST = 500  # in a commit
# Markers that say nothing about a table are passed over without a commit, up to so many.
IDLE_AT_MOST = 100


@dataclass(frozen=True)
class Feed:
    """A target table, and the logs of the source that feeds it."""

    target: TargetTable
    bucket: Bucket
    log: BatchLog[ProcessedManifest]
    markers: MarkerLog


@dataclass
class Progress:
    """How far a table is: its position, the commits of this run, and whether there is more."""

    position: Position = field(default_factory=Position)
    commits: int = 0
    is_behind: bool = False


def keep_up(catalog: Catalog, feed: Feed, has_time: Callable[[], bool]) -> Progress:
    """Commit until the table has all that was loaded, or time is short."""
    progress = Progress()
    while has_time():
        making = Making.of(catalog, feed)
        progress.position, progress.is_behind = making.began_at, making.is_behind
        if making.draft is None:
            return progress
        try:
            making.commit()
        except CommitFailedException as error:
            logger.warning(f"{feed.target.id}: another run has committed: {error}")
            continue
        progress.commits += 1
        progress.position = making.position
        if not progress.is_behind:
            return progress
    return progress


@dataclass
class Making:
    """A commit that is being made of changes since `began_at`; `is_behind` if there are more.

    `draft` is None if nothing has to be committed.
    """

    catalog: Catalog
    feed: Feed
    table: Table | None
    began_at: Position
    position: Position
    draft: Draft | None = None
    is_behind: bool = False
    batches: list[int] = field(default_factory=list)
    waiting: list[Arrival | Deletion] = field(default_factory=list)
    bytes: int = 0
    number: int = 0

    @classmethod
    def of(cls, catalog: Catalog, feed: Feed) -> "Making":
        """Read what was loaded since the position of a table, as much as fits one commit."""
        table = catalog.find(feed.target.id)
        position = position_of(table) if table else Position()
        made = cls(catalog, feed, table, position, position)
        made._read()
        return made

    def _read(self) -> None:
        feed = self.feed
        for change in changes(feed.markers, feed.log, feed.target.id, self.began_at):
            if self.bytes >= COMMIT_BYTES or self.number >= CHANGES_AT_MOST:
                self.is_behind = True
                break
            if not change.is_empty:
                self._apply(change)
                self.number += 1
            self.position = change.position
        if self.table and self.position.marker - self.began_at.marker >= IDLE_AT_MOST:
            self._open(self.table)

    def _apply(self, change: Change) -> None:
        target = self.feed.target
        is_new = (self._open(self.table).is_empty if self.table else True) and not self.waiting
        found = events(self.feed.bucket, change, target.key, target.way, is_new=is_new)
        for event in found:
            match event:
                case Cleared():
                    self.waiting.clear()
                    if self.draft:
                        self.draft.clear()
                case Deletion():
                    self.waiting.append(event)
                case Arrival():
                    self._arrive(event)
        self.batches += [batch for batch, _ in change.entries]

    def _arrive(self, arrival: Arrival) -> None:
        if self.table is None:
            self.table = self.catalog.create(self.feed.target.id, arrival.rows.schema)
        self._open(self.table)
        self.waiting.append(arrival)
        self.bytes += arrival.rows.nbytes
        if sum(each.rows.nbytes for each in self.waiting if isinstance(each, Arrival)) >= (
            WINDOW_BYTES
        ):
            self._settle()

    def _open(self, table: Table) -> Draft:
        if self.draft is None:
            target = self.feed.target
            self.draft = Draft(table, self.feed.bucket, target.key, target.way)
        return self.draft

    def _settle(self) -> None:
        if self.draft and self.waiting:
            self.draft.add(Window.of(self.waiting, self.feed.target.key))
        self.waiting.clear()

    def commit(self) -> None:
        """Commit what was read."""
        self._settle()
        named = {"loaded.source": self.feed.log.source, "loaded.marker": str(self.position.marker)}
        if self.batches:
            named["loaded.batches"] = f"{min(self.batches)}-{max(self.batches)}"
        if self.draft:
            self.draft.commit(self.position, named)
