"""A commit to an Iceberg table: which files it adds and removes, and up to where it then is.

Objects of the processed bucket become files of the table as they are. Where rows of a file no
longer count, the file is replaced by one with the others: at most one file is in memory.
"""

import uuid
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType, StringType

from etl.targets import Way
from functions.common.errors import CorruptLogError
from functions.common.parquet import packed
from functions.common.storage import Bucket
from functions.lake import tables
from functions.lake.arrow import parquet_file_to_data_file
from functions.lake.changes import Arrival, Position
from functions.lake.files import key_of, location
from functions.lake.overwrite import Overwrite
from functions.lake.settling import Window, counting, newest, texts_of


class Draft:
    """A commit that is being made; nothing of it is visible before `commit`."""

    def __init__(self, table: Table, bucket: Bucket, key: Sequence[str], way: Way) -> None:
        self._table = table
        self._bucket = bucket
        self._key = key
        self._way = way
        self._transaction = tables.Edit(table)
        self._before = {file.file_path: file for file in _files(table)}
        self._files = dict(self._before)

    @property
    def is_empty(self) -> bool:
        """Whether the table has no rows."""
        return not self._files

    def clear(self) -> None:
        """Remove all rows."""
        self._files.clear()

    def add(self, window: Window) -> None:
        """Add what arrives and remove what is deleted or outdated."""
        before = self._rows_of(window.touched) if self._way in ("history", "once") else _NOTHING
        counts = counting(self._way, window, before, self._key)
        if self._way in ("latest", "replace") and self._key:
            self._remove(window.touched)
        for arrival, counting_rows in zip(window.arrivals, counts, strict=True):
            self._arrive(arrival, arrival.rows.filter(counting_rows))

    def _arrive(self, arrival: Arrival, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        fits = tables.evolve(self._transaction, rows.schema)
        if fits and arrival.key is not None and rows.num_rows == arrival.rows.num_rows:
            self._register(location(self._bucket, arrival.key))
        else:
            self.write(rows, arrival.name)

    def write(self, rows: pa.Table, name: str) -> None:
        """Add a new file with rows; `name` places it among the others of a history."""
        key = f"{key_of(self._table.location())}/data/{name}~{uuid.uuid4()}.parquet"
        self._bucket.put(key, packed(tables.as_stored(self._transaction, rows)))
        self._register(location(self._bucket, key))

    def _register(self, path: str) -> None:
        metadata = self._transaction.table_metadata
        self._files[path] = parquet_file_to_data_file(self._table.io, metadata, path)

    def remove(self, path: str) -> None:
        """Remove a file."""
        del self._files[path]

    def _remove(self, keys: pa.Array) -> None:
        """Remove the rows of some keys."""
        for path in self._candidates(keys):
            is_gone = pc.is_in(texts_of(self.read(path, self._key), self._key), keys)
            if pc.any(is_gone).as_py():
                rows = self.read(path).filter(pc.invert(is_gone))
                self.remove(path)
                if rows.num_rows:
                    self.write(rows, name_of(path))

    def _rows_of(self, keys: pa.Array) -> pa.Table:
        """Return the newest rows of some keys, in the order of the files."""
        found = []
        for path in self._candidates(keys):
            is_one = pc.is_in(texts_of(self.read(path, self._key), self._key), keys)
            if pc.any(is_one).as_py():
                found.append(newest(self.read(path).filter(is_one), self._key))
        return pa.concat_tables(found, promote_options="permissive") if found else _none(self._key)

    def _candidates(self, keys: pa.Array) -> list[str]:
        """Return the files that may have rows of some keys, by the bounds of the first column."""
        if not self._key or not self._files or not len(keys):
            return []
        schema = self._transaction.table_metadata.schema()
        field = schema.find_field(self._key[0])
        values = _values(keys, field.field_type) if len(self._key) == 1 else None
        ordered = sorted(self._files, key=name_of)
        if values is None:
            return ordered
        return [each for each in ordered if _may_have(self._files[each], field, values)]

    def read(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a file."""
        with self._table.io.new_input(path).open() as source:
            return pq.read_table(source, columns=columns and list(columns)).combine_chunks()

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file, in the order of their rows."""
        ordered = sorted(self._files, key=name_of)
        return {each: self._files[each].file_size_in_bytes for each in ordered}

    def commit(self, position: Position | None, summary: dict[str, str]) -> None:
        """Commit, with the position that the table then has, None for the same.

        Raises CommitFailedException if the table has changed since it was opened.
        """
        if position is not None:
            self._transaction.set_properties(tables.properties_of(position))
        added = [file for path, file in self._files.items() if path not in self._before]
        removed = [file for path, file in self._before.items() if path not in self._files]
        with self._snapshot(summary, is_overwrite=bool(removed)) as snapshot:
            for file in added:
                snapshot.append_data_file(file)
            for file in removed:
                snapshot.delete_data_file(file)
        self._transaction.commit_transaction()

    def _snapshot(self, summary: dict[str, str], *, is_overwrite: bool) -> Any:
        if is_overwrite:
            return Overwrite.of(self._transaction, self._table.io, summary)
        return self._transaction.update_snapshot(snapshot_properties=summary).merge_append()


_NOTHING = pa.table({})


def name_of(path: str) -> str:
    """Return the part of a file's name by which files are in the order of their rows."""
    return path.rpartition("/")[2].removesuffix(".parquet").partition("~")[0]


def _none(key: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.array([], pa.null()) for name in key})


def _files(table: Table) -> Iterable[DataFile]:
    for task in table.scan().plan_files():
        if task.delete_files:
            raise CorruptLogError(
                f"the Iceberg table {'.'.join(table.name())} was changed by somebody else, with "
                "deletes: drop it, and it is made again"
            )
        yield task.file


def _values(keys: pa.Array, kind: Any) -> list[Any] | None:
    """Return keys as sorted values of a type, None for a type that bounds are not compared of."""
    if isinstance(kind, IntegerType | LongType):
        return sorted(map(int, keys.drop_null().to_pylist()))
    return sorted(keys.drop_null().to_pylist()) if isinstance(kind, StringType) else None


def _may_have(file: DataFile, field: Any, values: list[Any]) -> bool:
    low = (file.lower_bounds or {}).get(field.field_id)
    high = (file.upper_bounds or {}).get(field.field_id)
    if low is None or high is None:
        return True
    at = bisect_left(values, from_bytes(field.field_type, low))
    return at < len(values) and values[at] <= from_bytes(field.field_type, high)
