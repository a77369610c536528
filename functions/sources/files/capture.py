"""Capture a batch of files: from the known ones and those in the bucket to the next manifest.

Data first, manifest last: nothing that was written counts until the manifest is claimed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from msgspec.structs import replace

from etl import Files, Pipeline
from functions.common.accounts import FileVersion, KnownFiles
from functions.common.batchlog import BatchLog
from functions.common.errors import MissingFileError, RepairRequestError
from functions.common.manifests import IngestionManifest, ProcessedManifest
from functions.common.objects import ObjectNames
from functions.common.telemetry import logger
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.files.choosing import Choice, choose, not_before
from functions.sources.files.finding import Found, find, is_version
from functions.sources.files.headers import registered
from functions.sources.files.known import known_files
from functions.sources.files.listing import Place
from functions.sources.files.manifest import Batch, Registry, claim
from functions.sources.files.reading import Lake

ATTEMPTS = 3  # to read files that belong together, if they change meanwhile


@dataclass(frozen=True)
class Capture:
    """A source of a pipeline, its place, and the logs of its batches.

    `processed` is None if the batches' outcome does not matter. No file is begun once `has_time` is
    false. If `lifted`, files need not settle, and the time of the last batch does not matter.
    """

    source: Files
    pipeline: Pipeline
    place: Place
    log: BatchLog[IngestionManifest]
    processed: BatchLog[ProcessedManifest] | None
    now: Callable[[], datetime]
    has_time: Callable[[], bool]
    lifted: bool = False

    def run(self, run: str, repair: Repair = NO_REPAIR) -> Captured:
        """Write the files that are new, and those of tables to repair, as the next batch.

        Raises BatchConflictError when another run has claimed the batch's number in the meantime;
        what this one wrote then counts for nothing. Raises SettingsError for a bucket that may not
        be read, and RepairRequestError where the time ends before all files of a repair are read.
        """
        newest = self.log.newest()
        before = self.log.read(newest) if newest else None
        known = known_files(self.log, before, self.place.bucket)
        for _ in range(ATTEMPTS):
            at = self.now()
            found = find(
                self.place,
                self.source,
                known.files,
                replaced=self.pipeline.replaced(self.source.name),
                again=repair.tables,
            )
            choice = self._choice(found, before, at, is_repair=bool(repair.tables))
            if not choice.files and (before is None or before.targets == self._targets):
                return Captured(None, {}, postponed=choice.postponed, waiting=choice.waiting)
            batch = Batch(newest + 1, at, before)
            if self._read(choice, batch, known.files, is_whole=bool(repair.tables)):
                names = ObjectNames(f"keys/{self.source.name}", batch.number, at.date())
                stored = known.stored(
                    self.log.bucket, names, batch.number, found.known, choice.skipped
                )
                more = (choice.more or batch.is_cut) and not repair.tables
                return Captured(self._claimed(batch, stored, run), {}, more=more)
        return Captured(None, {}, postponed=f"files of {self.source.name} change while being read")

    @cached_property
    def _targets(self) -> list[str]:
        return sorted(mapping.target.id for mapping in self.pipeline.mappings(self.source.name))

    def _choice(
        self, found: Found, before: IngestionManifest | None, at: datetime, *, is_repair: bool
    ) -> Choice:
        lifted = self.lifted or is_repair
        due = None if lifted else not_before(self.source, self._last(before), at)
        return choose(self.source, found, now=at, not_before=due, lifted=lifted)

    def _last(self, manifest: IngestionManifest | None) -> datetime | None:
        """Return when the newest batch of files was written, None if all of it was refused."""
        if self.source.at_most is None:
            return None
        while manifest and (manifest.replay_of is not None or not manifest.files):
            manifest = self.log.read(manifest.batch - 1) if manifest.batch > 1 else None
        if manifest is None or self._was_refused(manifest.batch):
            return None
        return manifest.written_at

    def _was_refused(self, batch: int) -> bool:
        """Return whether every file of a batch was refused; False until it is transformed."""
        if self.processed is None or self.processed.newest() < batch:
            return False
        files = self.processed.read(batch).files
        return bool(files) and all(file.reason is not None for file in files)

    def _read(
        self, choice: Choice, batch: Batch, known: Mapping[str, FileVersion], *, is_whole: bool
    ) -> bool:
        """Read files into a batch; False if there is nothing to write, as the listing is outdated.

        `known` are the versions that were read last, by key. A repair `is_whole` or nothing: some
        older files without the newer ones would put older rows over newer ones.
        """
        lake = self._lake(batch)
        for feed, file in choice.files:
            if batch.reads and not self.source.together and not self.has_time():
                if is_whole:
                    raise RepairRequestError(
                        f"{self.source.name}: {len(batch.reads):,} of {len(choice.files):,} files "
                        "could be read again in half of a run's time, and nothing was written: "
                        "replay the batches of the files that disagree, oldest first"
                    )
                batch.is_cut = True
                break
            try:
                read, objects = lake.read(self.place, feed, file)
            except MissingFileError as gone:
                logger.warning(str(gone))
                batch.is_cut = True
                if self.source.together or is_whole:
                    return False
                continue
            last = known.get(file.key)
            is_known = last is not None and is_version(file, last)
            batch.add(replace(read, again=is_known), objects)
        return bool(batch.reads) or not choice.files

    def _lake(self, batch: Batch) -> Lake:
        name, day = self.source.name, batch.at.date()
        copies = ObjectNames(f"files/{name}", batch.number, day, ending="")
        return Lake(
            self.log.bucket, name, batch.number, day, copies if self.source.remote else None
        )

    def _claimed(self, batch: Batch, known: KnownFiles, run: str) -> IngestionManifest:
        registry = Registry(*registered(batch.before, self.source.tables, batch.reads, batch.at))
        return claim(
            self.log,
            self.source,
            batch,
            registry,
            place=self.place.bucket,
            targets=self._targets,
            known=known,
            run=run,
            written_at=self.now(),
        )
