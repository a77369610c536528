"""A moment of the source, and whether it continues the history in which the last batch was read.

A position in the source means something only in the history in which it was taken. Nothing that a
role without rights may read proves that a history continues once a server was restarted, restored,
cloned, promoted, or has crashed. So it counts as continued only on a server that took part in it
and has kept running since; otherwise all rows are read again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from functions.common.manifests import Instance, Source

XIDS = 1 << 32  # xmin holds the lower 32 bits of a transaction id,
WINDOW = 1 << 31  # and age() can order them within half of that.

# Of several replicas behind one address, each is read whole once and not at every switch.
INSTANCES_AT_MOST = 8
# A replica's last commit has the primary's time, a snapshot that of the server it was taken on.
CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Probe:
    """The server's state just before a snapshot, which shows every transaction that had ended.

    `position` is that of its write-ahead log in bytes, None where it does not say. `running` are
    the transactions below `end` that had not ended, subtransactions as well; None: not looked up.
    `received` is how far a replica that streams had received the log, replayed or not.
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
    """A moment of the source. Every transaction below `horizon` (64 bits) had ended.

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

        They cannot when it may have another history, or when half the range of xmin has been used
        since.
        """
        return (
            self._may_follow(source)
            and self.probe.instance in source.instances
            and horizon <= self.horizon
            and self.end - horizon < WINDOW
        )

    def is_behind(self, source: Source) -> bool:
        """Return whether this is a replica that has not replayed all that `source` shows.

        One that has replayed a commit made after `source` is not behind: it has another history.
        """
        return (
            self.probe.instance.in_recovery
            and _database(self.source) == _database(source)
            and self.source.timeline <= source.timeline
            and self._is_earlier(source)
            and (self.last_commit is None or self.last_commit <= source.snapshot_at + CLOCKS_APART)
        )

    def lags(self) -> bool:
        """Return whether this is a replica that has not replayed all that it had received.

        Without an earlier batch to compare with, nothing else shows that it is not up to date.
        """
        received, position = self.probe.received, self.source.position
        return received is not None and position is not None and position < received

    def source_after(self, source: Source | None) -> Source:
        """Return this snapshot's source with the instances that share its history.

        A primary that is not among those of `source` may have left the history of all of them. A
        replica only replays the log of a timeline, which is the same for all that do.
        """
        this = self.probe.instance
        known = source.instances if source is not None and self._may_follow(source) else []
        if this not in known and not this.in_recovery:
            known = []
        others = [instance for instance in known if instance != this]
        return replace(self.source, instances=[*others, this][-INSTANCES_AT_MOST:])

    def shows_all_of(self, xid: int) -> bool:
        """Return whether a transaction, whose id is a visible row's xmin, is known to have ended.

        Until ids wrap around for the first time the row proves it. Later the row may have been
        made by the transaction that had the same lower 32 bits in an earlier round.
        """
        return self.end <= XIDS or self.probe.had_ended(xid)

    def widen(self, xid: int) -> int:
        """Return the 64-bit id of a transaction that this snapshot sees, given its lower 32."""
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
