"""Replay of files: the rows of a batch's files that no later file has.

Keys of files are text, and different texts may be the same key: they are compared as converted for
the target.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from etl import Delivered, Pipeline, Table
from functions.common.accounts import FileRead
from functions.common.errors import OutdatedBatchError
from functions.common.keys import is_among, keys_of
from functions.common.manifests import IngestionManifest
from functions.common.objects import DataFile
from functions.common.parquet import PartWriter, read_rows
from functions.common.storage import Bucket
from functions.transform.texts import reading
from functions.transform.values import checked


@dataclass(frozen=True)
class FilesAgain:
    """The files of a batch and of `later` ones, their bucket, and a writer of new objects."""

    bucket: Bucket
    batch: IngestionManifest
    later: Sequence[IngestionManifest]
    write: Callable[[Table], PartWriter]

    def current(
        self, source: Delivered, pipeline: Pipeline
    ) -> Iterator[tuple[FileRead, list[DataFile]]]:
        """Yield the files that still have current rows, in order, each with its objects.

        A file of a `replace` table, or of one without a key, is current as a whole until there is a
        later one. Rows of a `once` table are never superseded. Raises OutdatedBatchError for rows
        without today's key.
        """
        tables = {table.id: table for table in source.tables}
        whole, once = _replaced(source, pipeline), _inserted_once(source, pipeline)
        superseded: dict[str, pa.Array] = {}
        for file in self.batch.files:
            table = tables.get(file.table)
            if table is None or file.error is not None:
                continue
            objects = self._objects(file)
            if table in once or not self._has_later(file.table):
                yield file, objects
            elif table not in whole:
                if table.id not in superseded:
                    superseded[table.id] = self._superseded(table)
                rest = self._without(table, objects, superseded[table.id])
                if rest:
                    rows = sum(each.rows for each in rest)
                    yield replace(file, rows=rows, objects=[each.key for each in rest]), rest

    def _objects(self, file: FileRead) -> list[DataFile]:
        own = set(file.objects)
        return [each for each in self.batch.tables[file.table].files if each.key in own]

    def _has_later(self, table: str) -> bool:
        return any(
            file.table == table and file.error is None
            for manifest in self.later
            for file in manifest.files
        )

    def _superseded(self, table: Table) -> pa.Array:
        """Return the keys that the batch and a later one have."""
        mine = pc.unique(_chunked(self._keys(table, self.batch.tables[table.id].files)))
        files = [file for manifest in self.later for file in manifest.capture(table.id).files]
        found = [mine.filter(is_among(mine, keys)) for keys in self._keys(table, files)]
        return pc.unique(_chunked(found)) if found else mine[:0]

    def _keys(self, table: Table, files: list[DataFile]) -> Iterator[pa.Array]:
        for rows in read_rows(self.bucket, files, table.keys):
            yield _keys_of(table, rows)

    def _without(
        self, table: Table, objects: list[DataFile], superseded: pa.Array
    ) -> list[DataFile]:
        """Write the rows that are not superseded, including those without a key."""
        if not len(superseded):
            return objects
        writer = self.write(table)
        for rows in read_rows(self.bucket, objects):
            writer.write(rows.filter(pc.invert(is_among(_keys_of(table, rows), superseded))))
        return writer.close()


def _replaced(source: Delivered, pipeline: Pipeline) -> set[Table]:
    """Return the tables whose files are only current as a whole."""
    ways = _ways(source, pipeline)
    return {table for table, found in ways.items() if not table.keys or "replace" in found}


def _inserted_once(source: Delivered, pipeline: Pipeline) -> set[Table]:
    """Return the tables whose rows are never changed in the target."""
    return {table for table, found in _ways(source, pipeline).items() if found == {"once"}}


def _ways(source: Delivered, pipeline: Pipeline) -> Mapping[Table, set[str]]:
    return {
        table: {
            mapping.target.way
            for mapping in pipeline.mappings(source.name)
            if mapping.main is table
        }
        for table in source.tables
    }


def _keys_of(table: Table, rows: pa.RecordBatch) -> pa.Array:
    """Return the keys of rows as converted for the target; NULL for invalid ones."""
    if lacking := [name for name in table.keys if name not in rows.schema.names]:
        raise OutdatedBatchError(
            f"files of {table} cannot be replayed: some have no column {lacking[0]}, which is "
            "declared as its key today. Replay a later batch"
        )
    values = {
        name: checked(table, name, reading(table.columns[name])(rows[name])) for name in table.keys
    }
    return keys_of(pa.table(values), table.keys)


def _chunked(keys: Sequence[pa.Array] | Iterator[pa.Array]) -> pa.ChunkedArray:
    found = list(keys)
    return pa.chunked_array(found) if found else pa.chunked_array([], pa.string())
