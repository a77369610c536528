"""Files as a kind of source, for reconcile: those that are in the bucket now."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from etl import Files, Pipeline, Table
from functions.common.accounts import FileVersion
from functions.common.batchlog import BatchLog
from functions.common.errors import MissingFileError, UnusableFileError
from functions.common.manifests import IngestionManifest
from functions.sources.files.finding import find
from functions.sources.files.known import known_files
from functions.sources.files.listing import Place
from functions.sources.files.opening import bytes_of
from functions.sources.files.reader import place_of
from functions.sources.files.reading import format_reader
from functions.sources.formats.decoding import utf8


def current(
    source: Files,
    pipeline: Pipeline,
    log: BatchLog[IngestionManifest],
    since: IngestionManifest | None,
) -> "CurrentFiles":
    """List the files of a source, and what is to be read of them after the batch `since`."""
    place = place_of(source)
    known = known_files(log, since, place.bucket)
    replaced = pipeline.replaced(source.name)
    found = find(place, source, known.files, replaced=replaced, again=())
    return CurrentFiles(source, place, found.new)


class CurrentFiles:
    """The files that are in a bucket; `unusable` says why not all of one could be read."""

    def __init__(self, source: Files, place: Place, newer: dict[str, list[FileVersion]]) -> None:
        self.unusable: dict[FileVersion, str] = {}
        self._source = source
        self._place = place
        self._newer = newer
        self._there = {file.identity for versions in place.versions() for file in versions}

    def newer(self, table: Table) -> Sequence[FileVersion]:
        """Return the files of a table to read after the batch, in order."""
        return self._newer.get(table.id, [])

    def has(self, file: FileVersion) -> bool:
        """Return whether a version of a file is still there."""
        return file.identity in self._there

    def rows(self, table: Table, file: FileVersion, *, was_accepted: bool) -> Iterator[pa.Table]:
        """Yield the rows of a file as extract writes them, those that can be read.

        A file that `was_accepted` may lack columns that were declared since.
        """
        feed = self._source.feed(table)
        reader, encoding = format_reader(feed, was_accepted=was_accepted)
        try:
            for rows in reader.rows(utf8(bytes_of(self._place, file), encoding)):
                yield pa.Table.from_batches([rows])
        except (MissingFileError, UnusableFileError) as error:
            self.unusable[file] = str(error)
