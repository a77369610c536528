"""Apply the batches of a source that a target lacks, in order, and mark each as loaded."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from msgspec.structs import replace

from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError, PipelineCodeError
from functions.common.loaded import LoadedMarker
from functions.common.manifests import ProcessedManifest
from functions.load.marks import index_of
from functions.load.models import Models
from functions.targets import Applied, Feed, Loader, Standing

RETRY_AFTER = timedelta(hours=1)

Progress = Literal["new", "again", "retried"]


@dataclass(frozen=True)
class Step:
    """An applied batch, or a retry, and its marker.

    A batch is `new`, or applied `again` for tables that lack it, which may be all of a restored or
    moved warehouse; refused rows are `retried`.
    """

    marker: LoadedMarker
    progress: Progress
    manifest: ProcessedManifest
    applied: Applied


def load_pending(loader: Loader, feed: Feed, has_time: Callable[[], bool]) -> Iterator[Step]:
    """Apply the batches that the target lacks, then retry the rows that it refused.

    Stops when time is short. Raises PipelineCodeError at the end for a model that failed.
    """
    newest = feed.log.newest()
    _require_log(feed.log, newest, loader.standing)
    if not loader.standing.has:  # all tables are optional, and none exists
        return
    marking = _Marking(loader, feed, newest)
    yield from _steps(loader, feed.log, marking, has_time)
    if marking.failed:
        raise PipelineCodeError("; ".join(marking.failed.values()))


def _steps(
    loader: Loader,
    log: BatchLog[ProcessedManifest],
    marking: "_Marking",
    has_time: Callable[[], bool],
) -> Iterator[Step]:
    newest = marking.newest
    if newest and not marking.is_recorded:
        # A loader that dies after its first commit must not leave rows that seem to be all.
        marking.mark(log.read(max(1, *marking.has.values())), marking.state.unchanged())
    for batch in range(marking.first, newest + 1):
        manifest = log.read(batch)
        lacking = {name for name, has in marking.has.items() if has < batch}
        models = marking.models.due(manifest, marking.has, lacking)
        progress: Progress = "new" if batch > marking.reached else "again"
        applied = marking.state.unchanged()
        is_lacked = len(lacking) == len(marking.has)
        is_applied = is_lacked or models or loader.concerns(manifest, lacking)
        if is_applied:
            applied = loader.apply(manifest, lacking, models, marking.state)
        marking.note(batch, lacking, models, applied)
        if is_applied or batch == newest or not has_time():
            yield Step(marking.mark(manifest, applied), progress, manifest, applied)
            if not has_time():
                return
    if newest and marking.is_retry_due() and has_time():
        manifest = log.read(newest)
        retried = loader.retry(manifest, marking.state)
        marking.note_retry(retried)
        yield Step(marking.mark(manifest, retried, is_retry=True), "retried", manifest, retried)


def _require_log(log: BatchLog[ProcessedManifest], newest: int, standing: Standing) -> None:
    if (has := max(standing.has.values(), default=0)) > newest:
        raise CorruptLogError(
            f"batch {has} is marked as loaded, and the newest in "
            f"s3://{log.bucket.name}/{log.prefix} is {newest}: was that log emptied? Remove what "
            f"is under loaded/{log.source}/ as well, and all batches are applied again"
        )


def _reached(last: LoadedMarker) -> int:
    """Return the newest batch that any warehouse got, by the newest marker."""
    return max(last.reached, last.batch, *last.has.values())


def _undeclared(feed: Feed, newest: int, standing: Standing) -> dict[str, int]:
    """Return the last batch before each table that was declared since, which lacks none of them.

    From the first batch that names such a table all batches do, unless it was declared more than
    once. Then it is filled again, and any earlier batch may be the first.
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
    """Writes markers, each with the complete state of the load after it.

    `reached` is the newest batch that any warehouse got; `failed` says which models fail at
    present, and why.
    """

    def __init__(self, loader: Loader, feed: Feed, newest: int) -> None:
        standing = loader.standing
        self._loader = loader
        self._log = feed.log
        self._markers = feed.markers
        self._number = feed.markers.newest()
        self.newest = newest
        recorded = _reached(self._markers.read(self._number)) if self._number else 0
        self.reached = max(recorded, *standing.has.values())
        self._since = standing.since
        self._tried_at = standing.tried_at
        self._definitions = standing.definitions
        self.has = standing.has | _undeclared(feed, newest, standing)
        settled = newest if standing.is_ahead else standing.settled
        self.models = Models(loader.models, dict(standing.models), settled)
        self.models.begin(self.has)
        self.failed: dict[str, str] = {}
        self.state = Applied({}, standing.evidence, standing.refused)
        self.is_recorded = standing.is_recorded

    @property
    def first(self) -> int:
        """The first batch that a table or a model lacks."""
        return min([*self.has.values(), *self.models.has.values()]) + 1

    def note(
        self, batch: int, lacking: Collection[str], models: Collection[str], applied: Applied
    ) -> None:
        """Record that a batch was applied to the tables `lacking` it, and that models were run."""
        self.models.done(batch, self.has, applied.failed)
        self.has |= dict.fromkeys(lacking, batch)
        left = {name: why for name, why in self.failed.items() if name not in models}
        self.failed = left | applied.failed

    def note_retry(self, retried: Applied) -> None:
        """Record that models failed with the rows that were accepted in a retry."""
        self.models.lack(self.newest, retried.failed)
        self.failed |= retried.failed

    def is_retry_due(self) -> bool:
        """Return whether refused rows may be accepted now."""
        if not self.state.refused:
            return False
        is_old = self._tried_at is None or datetime.now(UTC) - self._tried_at > RETRY_AFTER
        return is_old or self._definitions != self._loader.definitions()

    def mark(
        self, manifest: ProcessedManifest, applied: Applied, *, is_retry: bool = False
    ) -> LoadedMarker:
        """Write the marker of an applied batch; raise CorruptLogError if its name is taken."""
        now = datetime.now(UTC)
        self._note_trial(applied, now, is_retry=is_retry)
        self.state = applied
        self._number += 1
        self.reached = max(self.reached, manifest.batch)
        marker = LoadedMarker(
            number=self._number,
            batch=manifest.batch,
            written_at=now,
            run=str(uuid4()),
            source=manifest.source,
            warehouse=self._loader.identity,
            since=self._since,
            has=self.has | self.models.has,
            settled=self.models.settled,
            reached=self.reached,
            evidence=applied.evidence,
            rows=applied.rows,
            age_seconds=(now - manifest.source.snapshot_at).total_seconds(),
            refused=applied.refused,
            tried_at=self._tried_at,
            definitions=self._definitions,
            processed_sha256=self._log.digest(manifest.batch),
        )
        marker = replace(marker, index=index_of(self._markers, marker))
        if not self._markers.claim(marker):
            self._loader.require_lock()  # after a lost connection another loader may have started
            raise CorruptLogError(
                f"marker {self._number} of batch {manifest.batch} was written by another program "
                f"while its loader was at work: what writes under {self._markers.prefix}?"
            )
        self.is_recorded = True
        return marker

    def _note_trial(self, applied: Applied, now: datetime, *, is_retry: bool) -> None:
        if is_retry or (applied.refused and not self.state.refused):
            self._tried_at, self._definitions = now, self._loader.definitions()
        elif self._loader.may_accept(applied):
            self._tried_at = None
