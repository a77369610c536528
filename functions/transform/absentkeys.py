"""The keys of absent parents between two batches: in the manifest, or many in an object.

They lie beside the quarantine of their table, and are read by the batches that have rows of it, or
rows that may wait for it. Others name the object of the batch before.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

import pyarrow as pa

from functions.common.keys import Key, arrays_of
from functions.common.objects import ObjectNames
from functions.common.parquet import digest, opened, packed, put
from functions.common.quarantined import AbsentFile
from functions.common.storage import Bucket

MOST_LISTED = 1_000  # in a manifest

_INTEGERS, _TEXTS = "integers", "texts"


def read(bucket: Bucket, file: AbsentFile) -> set[Key]:
    """Return the keys of an object."""
    with opened(bucket, file.file, file.sha256, file.rows) as source:
        rows = source.read(use_threads=False)
    return {key for name in (_INTEGERS, _TEXTS) for key in rows[name].drop_null().to_pylist()}


def store(bucket: Bucket, names: ObjectNames, keys: Collection[Key]) -> AbsentFile:
    """Write keys as an object."""
    kinds = {_INTEGERS: pa.int64(), _TEXTS: pa.string()}
    columns = {
        name: [each if each.type == kind else pa.nulls(len(each), kind) for each in arrays_of(keys)]
        for name, kind in kinds.items()
    }
    body = packed(pa.table({name: pa.chunked_array(each) for name, each in columns.items()}))
    return AbsentFile(put(bucket, names, body), len(keys), digest(body))


class AbsentKeys(Mapping[str, set[Key]]):
    """Sets of keys by the id of a table, which are read when they are asked for."""

    def __init__(self, found: Mapping[str, Callable[[], set[Key]]]) -> None:
        self._found = found
        self._read: dict[str, set[Key]] = {}

    def __getitem__(self, table: str) -> set[Key]:
        if table not in self._read:
            self._read[table] = self._found[table]()
        return self._read[table]

    def __contains__(self, table: object) -> bool:
        return table in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
