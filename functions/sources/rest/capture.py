"""Capture a batch of answers: from the known pages and the API's new ones to the next manifest.

Data first, manifest last: nothing that was written counts until the manifest is claimed. An answer
is used only if all of its pages are usable.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from etl import Pipeline, Rest
from etl.settings import period
from functions.common.accounts import FileRead
from functions.common.batchlog import BatchLog
from functions.common.errors import ProviderBusyError
from functions.common.httpclient import Api
from functions.common.manifests import IngestionManifest, TableSchema
from functions.common.objects import ObjectNames
from functions.common.uploads import Upload
from functions.sources import NO_REPAIR, Captured, Repair
from functions.sources.files.headers import registered
from functions.sources.files.known import Known, known_files
from functions.sources.files.manifest import Batch, Registry, claim
from functions.sources.files.reading import Lake, Rows
from functions.sources.rest.pace import Pace
from functions.sources.rest.pages import Page
from functions.sources.rest.polling import Polled, poll, version_of


@dataclass(frozen=True)
class Capture:
    """A source of a pipeline, its API, and the log of its batches.

    `at_most` is the text of the setting that limits how often it is polled, "" if none does. If
    `lifted`, it is polled whatever the `pace`.
    """

    source: Rest
    pipeline: Pipeline
    api: Api
    log: BatchLog[IngestionManifest]
    now: Callable[[], datetime]
    pace: Pace
    at_most: str = ""
    lifted: bool = False

    def run(self, run: str, repair: Repair = NO_REPAIR) -> Captured:
        """Write the answers that are new, and those of tables to repair, as the next batch.

        Raises BatchConflictError when another run has claimed the batch's number in the meantime,
        and as `Api.ask` does.
        """
        at = self.now()
        if at < self.pace.until and not (self.lifted or repair.tables):
            return Captured(None, self.pace.stopped, waiting=self.pace.why)
        newest = self.log.newest()
        before = self.log.read(newest) if newest else None
        known = known_files(self.log, before, self.api.host)
        try:
            answers = list(poll(self.api, self.source, known, at))
        except ProviderBusyError as later:
            self.pace.rest(later.seconds, at, f"{self.api.host} asks for a pause")
            raise
        batch = Batch(newest + 1, at, before)
        stopped: dict[str, str] = {}
        for each in answers:
            table = each.resource.table
            is_due = each.is_new or table.id in repair.tables or _error_before(batch, table.id)
            if is_due and (why := self._read(each, batch)):
                stopped[table.id] = f"{table}: {why}"
        fills = before is not None and before.targets != self._targets
        manifest = self._claimed(batch, known, run) if batch.reads or fills else None
        self._leave_alone(stopped)
        return Captured(manifest, stopped)

    @property
    def _targets(self) -> list[str]:
        return sorted(mapping.target.id for mapping in self.pipeline.mappings(self.source.name))

    def _leave_alone(self, stopped: Mapping[str, str]) -> None:
        if self.source.at_most and (time := period(self.at_most)):
            why = f"once in {self.at_most} ({self.source.at_most.name})"
            self.pace.wait(self.now() + time, why, stopped)

    def _read(self, polled: Polled, batch: Batch) -> str | None:
        """Read the pages of an answer into a batch; return the error if one is unusable.

        Then only that page is stored, unless the last answer had the same error.
        """
        table, pages = polled.resource.table, polled.pages.found
        lake = Lake(self.log.bucket, self.source.name, batch.number, batch.at.date(), None)
        copies = ObjectNames(f"files/{self.source.name}", batch.number, batch.at.date(), ending="")
        if polled.pages.error is None:
            read = [lake.rows(polled.resource, page.content()) for page in pages]
        else:
            good = [Rows([], []) for _ in pages[1:]]
            read = [*good, Rows(list(table.columns), [], polled.pages.error)]
        numbered = [*enumerate(zip(pages, read, strict=True), start=1)]
        unusable = [(number, each) for number, each in numbered if each[1].error]
        error = unusable[0][1][1].error if unusable else None
        if error is None or error != _error_before(batch, table.id):
            for number, (page, rows) in unusable[:1] or numbered:
                batch.add(self._kept(page, number, rows, copies, batch), rows.objects)
        return error

    def _kept(
        self, page: Page, number: int, rows: Rows, copies: ObjectNames, batch: Batch
    ) -> FileRead:
        """Store a page as it came; return its entry in the manifest."""
        with Upload(self.log.bucket, key := copies.next()) as upload:
            upload.write(page.answer.body)
        return FileRead(
            table=page.resource.table.id,
            file=version_of(page, number, self.api, batch.number, batch.at),
            header=rows.header,
            rows=sum(each.rows for each in rows.objects),
            objects=[each.key for each in rows.objects],
            error=rows.error,
            copy=key,
            copy_sha256=hashlib.sha256(page.answer.body).hexdigest(),
            url=page.url,
        )

    def _claimed(self, batch: Batch, known: Known, run: str) -> IngestionManifest:
        names = ObjectNames(f"keys/{self.source.name}", batch.number, batch.at.date())
        stored = known.stored(self.log.bucket, names, batch.number, known.files.keys(), ())
        schemas, drift = registered(batch.before, self.source.tables, batch.reads, batch.at)
        for read in batch.reads:
            schema = schemas.get(read.table, TableSchema([], "", batch.at, carried=True))
            schemas[read.table] = replace(schema, error=read.error)
        return claim(
            self.log,
            self.source,
            batch,
            Registry(schemas, drift),
            place=self.api.host,
            targets=self._targets,
            known=stored,
            run=run,
            written_at=self.now(),
        )


def _error_before(batch: Batch, table: str) -> str | None:
    """Return why the last answer about a table could not be used; None if it could."""
    schema = batch.before.schemas.get(table) if batch.before else None
    return schema.error if schema else None
