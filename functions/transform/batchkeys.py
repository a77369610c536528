"""Collects the keys of a batch for its manifest, and those of a thousand batches for the index."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from etl import keymarks
from functions.common.batchkeys import KeyIndex, KeySet, LargeSet
from functions.common.batchlog import BatchLog
from functions.common.keys import Key
from functions.common.manifests import ProcessedManifest, StarTable

LONGEST = 200  # characters of a key in a manifest


@dataclass
class _Keys:
    """The keys of one table so far: which they are is forgotten where they are too many."""

    some: set[Key] | None = field(default_factory=set)
    ends: list[Key] = field(default_factory=list)

    def add(self, keys: pa.Array) -> None:
        if self.some is not None and len(keys) <= keymarks.MOST_MARKS:
            self.some.update(keys.to_pylist())
        elif len(keys):
            self.some = None
        if self.some is not None and len(self.some) > keymarks.MOST_MARKS:
            self.some = None
        ends = pc.min_max(keys).as_py()
        self.ends = [
            limit([*self.ends[at : at + 1], ends[name]])
            for at, (name, limit) in enumerate({"min": min, "max": max}.items())
        ]

    def entry(self, table: str, *, marked: bool) -> KeySet:
        least, greatest = (
            self.ends if all(len(str(end)) <= LONGEST for end in self.ends) else (None, None)
        )
        keys = self.some if marked else None
        marks = (
            None if keys is None else keymarks.joined(keymarks.mark(table, str(k)) for k in keys)
        )
        return KeySet(least, greatest, marks)


class BatchKeys:
    """The keys of a batch by source table: of rows, in a target or not, and of deleted ones."""

    def __init__(self) -> None:
        self._tables: dict[str, _Keys] = {}

    def add(self, table: str, keys: pa.Array) -> None:
        """Add keys of a source table, by its id; those that are NULL are of no row of a target."""
        keys = keys.drop_null()
        if len(keys):
            self._tables.setdefault(table, _Keys()).add(keys)

    def sets(self) -> dict[str, KeySet]:
        """Return the entries of the manifest, with `MOST_MARKS` marks at most."""
        left, sets = keymarks.MOST_MARKS, {}
        known = {name: len(keys.some) for name, keys in self._tables.items() if keys.some}
        for name in sorted(self._tables, key=lambda name: (known.get(name, 0), name)):
            left -= known.get(name, 0)
            sets[name] = self._tables[name].entry(name, marked=name in known and left >= 0)
        return sets


def index_of(log: BatchLog[ProcessedManifest], manifest: ProcessedManifest) -> KeyIndex | None:
    """Return the index of the thousand batches that end with a new one, None if it ends none.

    All manifests but the new one are read for it: one request for each batch in the long run.
    """
    last = manifest.batch
    if last % keymarks.STRETCH:
        return None
    marks: dict[int, list[bytes]] = {}
    large: list[LargeSet] = []
    unknown: list[int] = []
    for each in (*log.read_each(range(last - keymarks.STRETCH + 1, last)), manifest):
        if each.keys is None:
            unknown.append(each.batch)
            continue
        marks[each.batch] = [
            *(one for keys in each.keys.values() for one in keymarks.separate(keys.marks or "")),
            *_snapshots(each.tables.items()),
        ]
        large += [
            LargeSet(each.batch, name, keys.least, keys.greatest)
            for name, keys in each.keys.items()
            if keys.marks is None
        ]
    return KeyIndex(keymarks.index(last, marks), large, unknown)


def _snapshots(tables: Iterable[tuple[str, StarTable]]) -> list[bytes]:
    return [keymarks.snapshot_mark(name) for name, table in tables if table.snapshot]
