"""Apply the batches of a source that a target lacks, in order, and mark each as loaded."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from functions.common.batchlog import BatchLog
from functions.common.errors import LogCorrupted
from functions.common.loaded import LoadedMarker
from functions.common.manifests import ProcessedManifest
from functions.targets import Applied, Feed, Loader, Standing

RETRY_AFTER = timedelta(hours=1)

Progress = Literal["new", "again", "retried"]


def load_pending(
    loader: Loader, feed: Feed, has_time: Callable[[], bool]
) -> Iterator[tuple[LoadedMarker, Progress]]:
    """Apply what is in the log and not in the target, then what the target had refused.

    Yields each marker and what it is about: a batch that is `new` to all tables, one that comes
    `again` for the tables that lack it, or refused rows that were `retried`. Stops when time is
    short.
    """
    log, standing = feed.log, loader.standing
    newest = log.newest()
    _require_log(log, newest, standing)
    if not standing.has:  # none of the tables, which are optional, is there
        return
    marking = _Marking(loader, feed.markers)
    marking.has |= _undeclared(feed, newest, standing)
    for batch in range(min(marking.has.values()) + 1, newest + 1):
        manifest = log.read(batch)
        lacking = {name for name, has in marking.has.items() if has < batch}
        is_new = len(lacking) == len(marking.has)
        applied = replace(marking.state, rows={})
        if is_new or loader.concerns(manifest, lacking):
            applied = loader.apply(manifest, lacking, marking.state)
        elif batch < newest and has_time():
            marking.has |= dict.fromkeys(lacking, batch)
            continue
        marking.has |= dict.fromkeys(lacking, batch)
        yield marking.mark(manifest, applied), "new" if is_new else "again"
        if not has_time():
            return
    if newest and marking.is_retry_due():
        retried = loader.retry(newest, marking.state)
        yield marking.mark(log.read(newest), retried, is_retry=True), "retried"
    elif newest and not marking.is_recorded:
        marking.mark(log.read(newest), replace(marking.state, rows={}))


def _require_log(log: BatchLog[ProcessedManifest], newest: int, standing: Standing) -> None:
    if (has := max(standing.has.values(), default=0)) > newest:
        raise LogCorrupted(
            f"batch {has} is marked as loaded, and the newest in "
            f"s3://{log.bucket.name}/{log.prefix} is {newest}: was that log emptied? Remove what "
            f"is under loaded/{log.source}/ as well, and all batches are applied again"
        )


def _undeclared(feed: Feed, newest: int, standing: Standing) -> dict[str, int]:
    """Return the newest batches that do not name tables declared since, which lack nothing of them.

    From the first batch that names such a table all do, unless it was declared more than once: then
    it is filled again, and an earlier batch is as good to begin with.
    """
    new = {
        mapping.target.id for mapping in feed.mappings if standing.has.get(mapping.target.id) == 0
    }
    if not any(standing.has.values()):
        return {}
    batches = range(1, newest + 1)
    return {
        name: bisect_left(batches, True, key=lambda batch: name in feed.log.read(batch).tables)
        for name in new
    }


class _Marking:
    """Write markers, each of which has the whole state of the load after it."""

    def __init__(self, loader: Loader, markers: BatchLog[LoadedMarker]) -> None:
        standing = loader.standing
        self._loader = loader
        self._markers = markers
        self._number = markers.newest()
        self._since = standing.since
        self._tried_at = standing.tried_at
        self._definitions = standing.definitions
        self.has = dict(standing.has)
        self.state = Applied({}, standing.evidence, standing.refused)
        self.is_recorded = standing.is_recorded

    def is_retry_due(self) -> bool:
        """Tell whether rows that were refused may be accepted now."""
        if not self.state.refused:
            return False
        is_old = self._tried_at is None or datetime.now(UTC) - self._tried_at > RETRY_AFTER
        return is_old or self._definitions != self._loader.definitions()

    def mark(
        self, manifest: ProcessedManifest, applied: Applied, *, is_retry: bool = False
    ) -> LoadedMarker:
        """Write the marker of a batch that was applied; raise LogCorrupted if its name is taken."""
        now = datetime.now(UTC)
        self._note_trial(applied, now, is_retry=is_retry)
        self.state = applied
        self._number += 1
        marker = LoadedMarker(
            number=self._number,
            batch=manifest.batch,
            written_at=now,
            run=str(uuid4()),
            source=manifest.source,
            warehouse=self._loader.identity,
            since=self._since,
            has=dict(self.has),
            evidence=applied.evidence,
            rows=applied.rows,
            age_seconds=(now - manifest.source.snapshot_at).total_seconds(),
            refused=applied.refused,
            tried_at=self._tried_at,
            definitions=self._definitions,
        )
        if not self._markers.claim(marker):
            self._loader.require_lock()  # a link that was cut lets another loader go on
            raise LogCorrupted(
                f"marker {self._number} of batch {manifest.batch} was written by somebody else "
                f"while its loader was at work: who writes under {self._markers.prefix}?"
            )
        self.is_recorded = True
        return marker

    def _note_trial(self, applied: Applied, now: datetime, *, is_retry: bool) -> None:
        if is_retry or (applied.refused and not self.state.refused):
            self._tried_at, self._definitions = now, self._loader.definitions()
        elif self._loader.may_accept(applied):
            self._tried_at = None
