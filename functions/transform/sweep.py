"""Remove the objects that no manifest names: those of a run that died, or lost its batch.

An object is first named by the manifest of the batch in its key, which never changes. So if that
batch is in the log and does not name the object, it is never needed. If the batch is not in the
log, it may still be claimed, however late, and the object stays.

Each day is swept once, in order, when all of its batches are in the log. A marker under `swept/`
says that a day is done; a sweep that was interrupted repeats its day.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Generic, TypeVar

from etl import Delivered, Events, Files, Pipeline, Rest
from functions.common.batchlog import BatchLog
from functions.common.errors import CorruptLogError
from functions.common.logs import Logs
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.storage import Bucket
from functions.common.telemetry import logger

DAYS_KEPT = 3  # so that the objects of a failed run can still be inspected

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_OBJECT = re.compile(r"(\d{10})-\d+(\.parquet|\.json)?")

Manifest = TypeVar("Manifest", bound=IngestionManifest | ProcessedManifest)


@dataclass(frozen=True)
class Sweep(Generic[Manifest]):
    """A sweep of the prefixes of a log's bucket.

    Objects under `data` are named by the manifest of their own batch. Under `latest` only those
    that the newest one names are read: `named_latest` returns them. Markers go to bucket `notes`,
    under `name`.
    """

    log: BatchLog[Manifest]
    data: list[str]
    latest: list[str]
    named_latest: Callable[[Manifest], set[str]]
    notes: Bucket
    name: str

    def run(self, today: date, has_time: Callable[[], bool]) -> int:
        """Sweep the days that are due while there is time; return how many objects were removed."""
        removed, newest = 0, self.log.newest()
        if not newest:
            return removed
        manifest = self.log.read(newest)
        # A batch of an earlier day than the newest one's can no longer be claimed.
        end = min(today - timedelta(days=DAYS_KEPT), manifest.source.snapshot_at.date())
        for day in self._days_to((end - timedelta(days=1)).isoformat()):
            if not has_time():
                break
            orphans = [*self._orphans(day, newest), *self._superseded(day, manifest)]
            self.log.bucket.remove(orphans)
            self.notes.put_new(f"{self._prefix}{day}.json", b"{}")
            removed += len(orphans)
            logger.info("day swept", extra={"bucket": self.name, "day": day, "removed": removed})
        return removed

    @property
    def _prefix(self) -> str:
        return f"swept/{self.name}/"

    def _days_to(self, newest: str) -> list[str]:
        """Return the days that have objects and were not swept, up to `newest`, in order."""
        done = max(self.notes.keys(self._prefix), default="")
        last = done.removeprefix(self._prefix).removesuffix(".json")
        if last >= newest or not (last or self._is_as_old_as(newest)):
            return []  # without a look into the folder of each table
        folders = {
            folder.removesuffix("/").rpartition("/")[2]
            for prefix in (*self.data, *self.latest)
            for folder in self.log.bucket.folders(f"{prefix}/", f"{prefix}/{last}")
        }
        return sorted(day for day in folders if _DAY.fullmatch(day) and last < day <= newest)

    def _is_as_old_as(self, day: str) -> bool:
        """Return whether the log begins by a day; one whose first batch cannot be read may.

        What is older, dead runs have left: it is removed with the first day that has a batch.
        """
        try:
            return self.log.read(1).source.snapshot_at.date().isoformat() <= day
        except CorruptLogError:
            return True

    def _orphans(self, day: str, newest: int) -> Iterator[str]:
        named = lru_cache(maxsize=None)(self._named)
        for prefix in self.data:
            for key in self.log.bucket.keys(f"{prefix}/{day}/"):
                batch = _batch(key)
                if batch is not None and batch <= newest and key not in (named(batch) or {key}):
                    yield key

    def _named(self, batch: int) -> set[str] | None:
        """Return the objects of a batch's manifest, or None if that cannot be read."""
        try:
            named = self.log.read(batch).objects
        except CorruptLogError as error:
            logger.warning(f"nothing of batch {batch} is removed: {error}")
            return None
        # Never empty: of a batch that names nothing, all objects are orphans.
        return {"", *named}

    def _superseded(self, day: str, newest: Manifest) -> Iterator[str]:
        named = self.named_latest(newest)
        for prefix in self.latest:
            of_day: dict[str, int] = {}
            for key in self.log.bucket.keys(f"{prefix}/{day}/"):
                batch = _batch(key)
                if batch is not None and batch <= newest.batch:
                    of_day[key] = batch
            yield from of_day.keys() - named
            if of_day:
                yield from self._outlived(prefix, day, named, max(of_day.values()))

    def _outlived(self, prefix: str, day: str, named: set[str], batch: int) -> Iterator[str]:
        """Yield objects that were still read when their own day was swept.

        They are needed if the newest manifest names them, or that of the last `batch` of the swept
        day, for readers of the batches since.
        """
        before = takewhile(f"{prefix}/{day}".__gt__, self.log.bucket.keys(f"{prefix}/"))
        if not (left := {key for key in before if _batch(key)} - named):
            return
        try:
            yield from left - self.named_latest(self.log.read(batch))
        except CorruptLogError as error:
            logger.warning(f"no superseded object of an earlier day is removed: {error}")


def _batch(key: str) -> int | None:
    """Return the batch in a key, None for a key of another form."""
    match = _OBJECT.fullmatch(key.rpartition("/")[2])
    return int(match[1]) if match else None


def sweep_all(pipeline: Pipeline, logs: Logs, today: date, has_time: Callable[[], bool]) -> int:
    """Sweep a source's objects in both buckets; return how many were removed.

    Objects for people, under `errors/` and `exports/`, are never removed.
    """
    source, notes = pipeline.source(logs.ingested.source), logs.processed.bucket
    name = source.name
    tables = [table.id for table in source.tables]
    targets = [mapping.target.id for mapping in pipeline.mappings(name)]
    # The function's role may list only the prefixes that its kinds of sources have.
    data, aside = ["", "tombstones/"], [f"quarantine/{name}/{id_}" for id_ in tables]
    if isinstance(source, Delivered):
        data, aside = [""], []
    keeps_copies = isinstance(source, Rest) or (isinstance(source, Files) and source.remote)
    copies = [f"files/{name}"] if keeps_copies else []
    keys = [] if isinstance(source, Events) else [f"keys/{name}"]
    lists = f"lists/batches/{name}"
    lake = Sweep(
        logs.ingested,
        [*(f"{prefix}{name}/{table}" for prefix in data for table in tables), *copies, lists],
        keys,
        lambda newest: newest.key_objects,
        notes,
        f"{name}/ingestion",
    )
    processed = Sweep(
        logs.processed,
        [*(f"{prefix}{table}" for prefix in data for table in targets), lists],
        aside,
        lambda newest: newest.held_objects,
        notes,
        f"{name}/processed",
    )
    return lake.run(today, has_time) + processed.run(today, has_time)
