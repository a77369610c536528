"""The objects of a target table at a moment, and the rows in them that its warehouse never had.

A row that the warehouse refuses is in the objects of its batch too. The markers say which rows are
refused after each batch. Such a row is not in the warehouse while it is refused, and never was if
a newer row of its key, or a deletion, came first. It is there from the retry on that accepted it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Document = Mapping[str, Any]


class File(NamedTuple):
    """A Parquet object."""

    key: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """What a batch has of a table; see `StarTable` of the manifests."""

    batch: int
    files: tuple[File, ...]
    tombstones: tuple[File, ...]
    is_filled: bool
    is_snapshot: bool


class Superseded(NamedTuple):
    """Rows that were refused until a batch came: those in `before` that are not in `after` it."""

    batch: int
    before: tuple[File, ...]
    after: tuple[File, ...]


@dataclass(frozen=True)
class Refusals:
    """Rows of a table that are not in the warehouse, in objects with a column `_batch`.

    Those of `open_now` are refused at present, those of `superseded` were until their batches.
    """

    open_now: tuple[File, ...] = ()
    superseded: tuple[Superseded, ...] = ()

    @property
    def files(self) -> set[File]:
        """All objects."""
        gone = (file for each in self.superseded for file in (*each.before, *each.after))
        return {*self.open_now, *gone}

    def since(self, snapshot: int) -> "Refusals":
        """Return what is left of them after the batch of a snapshot, which replaces all rows."""
        left = tuple(each for each in self.superseded if each.batch > snapshot)
        return Refusals(self.open_now, left)


@dataclass(frozen=True)
class Contents:
    """A table at a moment: what its batches have, in order, and what was refused."""

    entries: tuple[Entry, ...] = ()
    refusals: Refusals = field(default_factory=Refusals)

    @property
    def files(self) -> tuple[File, ...]:
        """The objects with rows, in order."""
        return tuple(file for entry in self.entries for file in entry.files)

    @property
    def objects(self) -> set[File]:
        """All objects."""
        gone = {file for entry in self.entries for file in entry.tombstones}
        return {*self.files, *gone, *self.refusals.files}


def contents(
    table: str, manifests: Mapping[int, Document], has: int, refusals: Refusals
) -> Contents:
    """Return a table that has the batches up to `has`; a snapshot replaces what was before it."""
    entries: list[Entry] = []
    for batch in sorted(manifests):
        if batch <= has and (entry := manifests[batch].get(table)):
            found = _entry(batch, entry)
            entries = [found] if found.is_snapshot else [*entries, found]
    if entries and entries[0].is_snapshot:
        refusals = refusals.since(entries[0].batch)
    return Contents(tuple(entries), refusals)


def _entry(batch: int, entry: Document) -> Entry:
    return Entry(
        batch,
        tuple(_files(entry.get("files", ()))),
        tuple(_files(entry.get("tombstones", ()))),
        bool(entry.get("filled")),
        bool(entry.get("snapshot")),
    )


def _files(documents: Iterable[Document]) -> Iterator[File]:
    for each in documents:
        yield File(each["key"], each["rows"], each["sha256"])


def refusals(markers: Mapping[int, Document], last: int, table: str) -> Refusals:
    """Return what the warehouse has refused of a table up to the marker `last`.

    A table that has fewer batches than before, as after a restore, gets the later ones again. So
    what was superseded in those is forgotten. A marker may also record what is known, or be of
    batches that another table gets again: then nothing is.
    """
    before: tuple[File, ...] = ()
    has = 0
    superseded: list[Superseded] = []
    for number in range(1, last + 1):
        marker = markers[number]
        now = tuple(_refused(marker.get("refused", {}).get(table, ())))
        last_has, has = has, marker.get("has", {}).get(table, has)
        if has < last_has:
            superseded = [each for each in superseded if each.batch <= has]
        elif set(before) - set(now) and not _is_retry(marker):  # a retry has accepted them
            superseded.append(Superseded(has, before, now))
        before = now
    return Refusals(before, tuple(superseded))


def _refused(rows: Iterable[Any]) -> Iterator[File]:
    return _files(each["file"] for each in rows)


def _is_retry(marker: Document) -> bool:
    """Return whether refused rows were tried again; a first refusal has nothing before it."""
    return bool(marker.get("tried_at") == marker["written_at"])
