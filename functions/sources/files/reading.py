"""Copy the rows of one file into the lake, and the file itself if its bucket is not ours."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from etl import Csv, Feed, Resource
from functions.common.accounts import FileRead, FileVersion
from functions.common.ahead import ahead
from functions.common.errors import UnusableFileError
from functions.common.objects import DataFile, ObjectNames
from functions.common.parquet import PartWriter
from functions.common.storage import Bucket
from functions.common.uploads import Upload
from functions.sources.files.listing import Place
from functions.sources.files.opening import bytes_of
from functions.sources.formats.decoding import utf8
from functions.sources.formats.delimited import CsvReader
from functions.sources.formats.json_files import JsonReader


@dataclass(frozen=True)
class Rows:
    """The result of reading a file: the objects with its rows, or the error."""

    header: list[str]
    objects: list[DataFile]
    error: str | None = None


@dataclass(frozen=True)
class Lake:
    """Where the rows of a batch go; `copies` are the names of copies, None where none are kept."""

    bucket: Bucket
    source: str
    batch: int
    day: date
    copies: ObjectNames | None

    def read(self, place: Place, feed: Feed, file: FileVersion) -> tuple[FileRead, list[DataFile]]:
        """Copy the rows of a file; return what a manifest says of it, and the objects with them.

        Raises MissingFileError for a file that was replaced or deleted after it was listed.
        """
        pieces, copy, digest = bytes_of(place, file), None, hashlib.sha256()
        if self.copies is None:
            rows = self.rows(feed, pieces)
        else:
            with Upload(self.bucket, key := self.copies.next()) as upload:
                copied = _copied(pieces, upload, digest)
                rows = self.rows(feed, copied)
                for _ in copied:  # the rest of a file that cannot be used
                    pass
            copy = key if upload.size == file.size else None
        return (
            FileRead(
                table=feed.table.id,
                file=file,
                header=rows.header,
                rows=sum(each.rows for each in rows.objects),
                objects=[each.key for each in rows.objects],
                error=rows.error,
                copy=copy,
                copy_sha256=digest.hexdigest() if copy else None,
            ),
            rows.objects,
        )

    def rows(self, feed: Feed | Resource, pieces: Iterator[bytes]) -> Rows:
        """Copy rows: a thread receives, another separates values, and this one writes."""
        reader, encoding = format_reader(feed)
        writer = PartWriter(self.bucket, f"{self.source}/{feed.table.id}", self.batch, self.day)
        error = None
        try:
            with (
                ahead(pieces) as received,
                ahead(reader.rows(utf8(received, encoding))) as separated,
            ):
                for rows in separated:
                    writer.write(rows)
        except UnusableFileError as unusable:
            error = str(unusable)
        objects = writer.close()  # no manifest names those of an unusable file: they are swept
        return Rows(reader.header, [] if error else objects, error)


def format_reader(
    feed: Feed | Resource, *, was_accepted: bool = False
) -> tuple[CsvReader | JsonReader, str]:
    """Return a reader for one file of a feed, and the encoding of its text.

    A file that `was_accepted` may lack nullable columns, which were declared since.
    """
    if isinstance(feed.format, Csv):
        columns = feed.table.columns.items()
        required = [name for name, each in columns if not (was_accepted and each.nullable)]
        return CsvReader(feed.format, feed.table, required), feed.format.encoding
    return JsonReader(feed.table), "utf-8"


def _copied(pieces: Iterator[bytes], upload: Upload, digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        upload.write(piece)
        yield piece
