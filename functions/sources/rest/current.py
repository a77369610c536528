"""A REST API as a kind of source, for reconcile: the answers in the lake and those of now.

An answer that equals the one read last counts as read; any other came after the batch.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from etl import Pipeline, Rest, Table
from functions.common.accounts import FileRead, FileVersion
from functions.common.batchlog import BatchLog
from functions.common.errors import UnusableFileError
from functions.common.manifests import IngestionManifest
from functions.common.parquet import read_rows
from functions.sources.files.known import known_files
from functions.sources.files.reading import format_reader
from functions.sources.formats.decoding import utf8
from functions.sources.rest.pages import Page
from functions.sources.rest.polling import poll, version_of
from functions.sources.rest.reader import api_of


def current(
    source: Rest,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    since: IngestionManifest | None,
) -> "CurrentAnswers":
    """Poll the API, and compare its answers with those read up to the batch `since`.

    Raises as `Api.ask` does.
    """
    api, now = api_of(source), datetime.now(UTC)
    following = since.batch + 1 if since else 1
    pages = {
        version_of(page, number, api, following, now): page
        for polled in poll(api, source, known_files(log, since, api.host), now)
        if polled.is_new and polled.pages.error is None
        for number, page in enumerate(polled.pages.found, start=1)
    }
    return CurrentAnswers(log, pages)


class CurrentAnswers:
    """The answers of all batches and those of now; `unusable` says why one could not be read."""

    def __init__(self, log: BatchLog[IngestionManifest], pages: dict[FileVersion, Page]) -> None:
        self.unusable: dict[FileVersion, str] = {}
        self._log = log
        self._pages = pages

    def newer(self, table: Table) -> Sequence[FileVersion]:
        """Return the pages of an answer to read after the batch, in order."""
        return [file for file, page in self._pages.items() if page.resource.table is table]

    def has(self, file: FileVersion) -> bool:  # noqa: ARG002  the lake keeps them all
        """Return whether an answer is still there."""
        return True

    def rows(self, table: Table, file: FileVersion, *, was_accepted: bool) -> Iterator[pa.Table]:
        """Yield the rows of a page as extract writes them.

        A page that `was_accepted` may lack columns that were declared since.
        """
        if file not in self._pages:
            yield from self._kept(table, file)
            return
        page = self._pages[file]
        reader, encoding = format_reader(page.resource, was_accepted=was_accepted)
        try:
            for rows in reader.rows(utf8(page.content(), encoding)):
                yield pa.Table.from_batches([rows])
        except UnusableFileError as error:
            self.unusable[file] = str(error)

    def _kept(self, table: Table, file: FileVersion) -> Iterator[pa.Table]:
        """Yield the rows of a page from the batch that its version names."""
        manifest = self._log.read(int(file.version or 0))
        [read] = [each for each in manifest.files if _is(each, table, file)]
        objects = [each for each in manifest.capture(table.id).files if each.key in read.objects]
        for rows in read_rows(self._log.bucket, objects):
            yield pa.Table.from_batches([rows])


def _is(read: FileRead, table: Table, file: FileVersion) -> bool:
    return read.table == table.id and read.file.identity == file.identity
