"""A snapshot of the source, and whether it continues the history of the last batch.

A position in the source is valid only in the history in which it was taken. After a restart, a
restore, a clone, a promotion or a crash, nothing that an unprivileged role can read proves that the
history continues. So it counts as continued only on a server that was part of it and has kept
running since; otherwise all rows are read again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from functions.common.manifests import Instance, Source

XIDS = 1 << 32  # xmin holds the lower 32 bits of a transaction id,
WINDOW = 1 << 31  # and age() can order them within half of that.

# Of several replicas behind one address, each is read whole once, not at every switch.
INSTANCES_AT_MOST = 8
# A replica's last commit has the primary's time, a snapshot that of its own server.
CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Probe:
    """The server's state just before a snapshot, which shows every transaction that had ended.

    `position` is that in its write-ahead log in bytes, None if it is not reported. `running` are
    the transactions below `end` that had not ended, including subtransactions; None if unknown.
    `received` is the position up to which a streaming replica had received the log.
    """

    instance: Instance
    position: int | None
    end: int
    running: frozenset[int] | None
    received: int | None = None

    def had_ended(self, xid: int) -> bool:
        """Return whether a transaction is known to have ended."""
        return self.running is not None and xid < self.end and xid not in self.running


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the source; every transaction below `horizon` (64 bits) had ended.

    `last_commit` is the time of the last commit that a replica has replayed, None on a primary.
    """

    source: Source
    horizon: int
    probe: Probe
    last_commit: datetime | None = None

    @property
    def end(self) -> int:
        """The first transaction id (64 bits) above all that had ended."""
        return self.source.end

    def follows(self, source: Source, horizon: int) -> bool:
        """Return whether changes since `horizon` of `source` can be recognised in this snapshot.

        They cannot if the history may differ, or after half the range of xmin has been used.
        """
        return (
            self._may_follow(source)
            and self.probe.instance in source.instances
            and horizon <= self.horizon
            and self.end - horizon < WINDOW
        )

    def is_behind(self, source: Source) -> bool:
        """Return whether this is a replica that has not replayed all that `source` has.

        A replica with a commit from after `source` is not behind: it has another history.
        """
        return (
            self.probe.instance.in_recovery
            and _database(self.source) == _database(source)
            and self.source.timeline <= source.timeline
            and self._is_earlier(source)
            and (self.last_commit is None or self.last_commit <= source.snapshot_at + CLOCKS_APART)
        )

    def lags(self) -> bool:
        """Return whether this is a replica that has not replayed all that it has received.

        Without an earlier batch to compare with, this is the only sign that it lags.
        """
        received, position = self.probe.received, self.source.position
        return received is not None and position is not None and position < received

    def source_after(self, source: Source | None) -> Source:
        """Return this snapshot's source with the instances that share its history.

        A primary that is not one of those of `source` may have left their history. A replica only
        replays the log of a timeline, which is the same for all replicas.
        """
        this = self.probe.instance
        known = source.instances if source is not None and self._may_follow(source) else []
        if this not in known and not this.in_recovery:
            known = []
        others = [instance for instance in known if instance != this]
        return replace(self.source, instances=[*others, this][-INSTANCES_AT_MOST:])

    def shows_all_of(self, xid: int) -> bool:
        """Return whether a transaction, whose id is a visible row's xmin, is known to have ended.

        Until the first wraparound the row proves it. Later the row may be from a transaction with
        the same lower 32 bits in an earlier round.
        """
        return self.end <= XIDS or self.probe.had_ended(xid)

    def widen(self, xid: int) -> int:
        """Return the 64-bit id of a visible transaction, given its lower 32 bits."""
        return self.end - (self.end - xid) % XIDS

    def _may_follow(self, source: Source) -> bool:
        return (
            _database(self.source) == _database(source)
            and self.source.timeline == source.timeline
            and (self.probe.position is None) == (source.position is None)
            and not self._is_earlier(source)
        )

    def _is_earlier(self, source: Source) -> bool:
        if self.end < source.end:
            return True
        reached, position = self.probe.position, source.position
        return reached is not None and position is not None and reached < position


def _database(source: Source) -> tuple[str, str, int]:
    return source.system_identifier, source.database, source.database_oid
