"""How far a large load is, and how long it still takes, by the pace of the newest batches.

Only the batch logs are read. The pace is measured from one document of a log to now, so a load that
stands still takes longer with every look. What is not known is None: before there are two batches,
after a pause, and where more rows were found than estimated.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deployer.aws.account import Account
from deployer.errors import OperationError
from deployer.operations.batchlog import BatchLog
from deployer.resources import specs
from deployer.resources.names import BucketUse, FunctionUse, Names

BACK = 5  # batches by which the pace is measured
PAUSE = timedelta(minutes=15)  # longer than any batch takes: before it was another load
LOOK_SECONDS = 5.0

Document = Mapping[str, Any]
Step = tuple[datetime, int]
"""When a document was written, and how much was done then."""

LOGS: dict[FunctionUse, tuple[BucketUse, str]] = {
    "extract": ("ingestion", specs.BATCH_LOG),
    "transform": ("processed", specs.BATCH_LOG),
    "load": ("processed", specs.MARKERS),
}
"""The log that each function writes: the bucket, and the prefix before the name of a source."""


@dataclass(frozen=True)
class Progress:
    """The rows of a table that are `done`, `of` about how many, 0 while none of it is read."""

    done: int
    of: int
    seconds_left: float | None = None

    @property
    def text(self) -> str:
        """What a person reads."""
        if not self.of:
            return "after other tables"
        rows = f"{self.done:,} of about {max(self.of, self.done):,} rows"
        return f"{rows}{about(self.seconds_left)}"


def about(seconds: float | None) -> str:
    """Return what to add for the time that is left; nothing if it is not known."""
    return "" if seconds is None else f", about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return seconds in the unit in which they are read best."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def log_of(account: Account, names: Names, use: FunctionUse, source: str) -> BatchLog:
    """Return the log of a source that a function writes, one of `LOGS`."""
    bucket, prefix = LOGS[use]
    return BatchLog(account.clients.s3, names.bucket(bucket), f"{prefix}{source}/")


def reading(log: BatchLog, newest: Document, now: datetime) -> dict[str, Progress]:
    """Return, by source table that is read in several batches, how far that is.

    `newest` is the newest document of the log.
    """
    begun = _fillings(newest)
    if not any(each["rows"] for each in begun.values()):
        return {name: Progress(0, each["of"]) for name, each in begun.items()}
    documents = list(_newest_first(log, newest))
    return {
        name: Progress(
            each["rows"],
            each["of"],
            seconds_left(_rows(documents, name), each["of"] - each["rows"], now),
        )
        for name, each in begun.items()
    }


def catching_up(log: BatchLog, newest: Document, waiting: int, now: datetime) -> float | None:
    """Return the seconds until no batch waits, None if not known; `newest` is a log's newest."""
    steps = ((_written(each), each["batch"]) for each in _newest_first(log, newest))
    return seconds_left(steps, waiting, now) if waiting > 1 else None


def seconds_left(steps: Iterable[Step], left: int, now: datetime) -> float | None:
    """Return how long what is `left` takes at the pace of some steps, the newest first."""
    recent = list(_without_pauses(steps, now))
    if len(recent) < 2 or left <= 0:
        return None
    (_, done), (began, before) = recent[0], recent[-1]
    return left * (now - began).total_seconds() / (done - before) if done > before else None


def _without_pauses(steps: Iterable[Step], now: datetime) -> Iterator[Step]:
    """Yield the steps, back to a pause, or to where a table was read from its first row again."""
    later, least = now, None
    for at, done in steps:
        if later - at > PAUSE or (least is not None and done > least):
            return
        yield at, done
        later, least = at, done


def _newest_first(log: BatchLog, newest: Document) -> Iterator[Document]:
    """Yield the newest documents of a log, the first of which was read already."""
    yield newest
    last = newest.get("number", newest["batch"])  # a marker has a number of its own
    for number in range(last - 1, max(last - 1 - BACK, 0), -1):
        yield log.read(number)


def _rows(documents: Iterable[Document], table: str) -> Iterator[Step]:
    for document in documents:
        if (filling := _fillings(document).get(table)) is None:
            return
        yield _written(document), filling["rows"]


def _fillings(document: Document) -> dict[str, Document]:
    tables = document.get("tables", {})
    return {name: each["filling"] for name, each in tables.items() if each.get("filling")}


def _written(document: Document) -> datetime:
    return datetime.fromisoformat(document["written_at"])


class Watch:
    """Says every few seconds how far a function is that is being followed."""

    def __init__(
        self,
        account: Account,
        names: Names,
        sources: Sequence[str],
        say: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        """`now` returns the seconds of the epoch."""
        self._account = account
        self._names = names
        self._sources = tuple(sources)
        self._say = say
        self._now = now
        self._looked = now()

    def look(self, use: FunctionUse) -> None:
        """Say how far a function is, if it is time to, and if that can be read."""
        if use not in LOGS or self._now() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._now()
        # The run does not depend on it, and reports what really fails.
        with suppress(BotoCoreError, ClientError, OperationError):
            self._say("; ".join(self._states(use, datetime.fromtimestamp(self._looked, UTC))))

    def _states(self, use: FunctionUse, now: datetime) -> Iterator[str]:
        for source in self._sources:
            log = log_of(self._account, self._names, use, source)
            newest = log.newest_document()
            if use != "extract":
                yield from self._waiting(log, newest, source, now)
            elif newest:
                for name, table in reading(log, newest, now).items():
                    if table.done:
                        yield f"{name}: {table.text}"

    def _waiting(
        self, log: BatchLog, newest: Document | None, source: str, now: datetime
    ) -> Iterator[str]:
        extracted = log_of(self._account, self._names, "extract", source).newest()
        if (left := extracted - (newest["batch"] if newest else 0)) > 0:
            seconds = catching_up(log, newest, left, now) if newest else None
            yield f"{left:,} {'batch' if left == 1 else 'batches'} to go{about(seconds)}"
