"""Which rows of a table's objects are not in the table, by the way in which its rows combine.

A row has a place: the number of its object and of the row in it, so places ascend in the order in
which rows were loaded. A table is all of its rows but those at the places that are computed here:

    history    a row that equals the one of its key before it
    latest     a row of whose key there is a later one
    once       a row of whose key there is an earlier one
    replace    as latest, since the newest snapshot, and rows of keys that were deleted since

To find them takes a scan of all keys. So the places are kept, by the digests of the objects: when a
log has grown, only keys of new rows are looked at again.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from deployer.query.tables import Contents
from etl.ddl import quoted
from etl.targets import Way

SHIFT = 32  # bits for the number of a row in its object

# Beside the columns of a table, which may have any name of their own.
PLACE = "__lake_place"
UNTIL = "__lake_until"
LAST = "__lake_last"

Dropped = Literal["repeated", "outdated", "later"]
BY_WAY: dict[Way, Dropped] = {
    "history": "repeated",
    "latest": "outdated",
    "once": "later",
    "replace": "outdated",
}


@dataclass(frozen=True)
class Scan:
    """A relation of rows with their places; its other `columns` are those of a table."""

    relation: str
    key: Sequence[str]
    columns: Sequence[str]

    @property
    def keys(self) -> str:
        """The SQL list of the key's columns."""
        return ", ".join(map(quoted, self.key))

    @property
    def row(self) -> str:
        """The SQL of a row as one value; NULL equals NULL in it."""
        return f"row({', '.join(map(quoted, self.columns))})"


def several(scan: Scan) -> str:
    """Return the query of the keys that more than one row has."""
    return f"SELECT {scan.keys} FROM {scan.relation} GROUP BY ALL HAVING count(*) > 1"


def keys_after(scan: Scan, place: int) -> str:
    """Return the query of the keys of rows from a place on."""
    return f"SELECT DISTINCT {scan.keys} FROM {scan.relation} WHERE {PLACE} >= {place}"


def dropped(scan: Scan, what: Dropped, among: str) -> str:
    """Return the query of the places of rows that are not in a table, of the keys in `among`."""
    of_key = f"(PARTITION BY {scan.keys} ORDER BY {PLACE})"
    some = f"{scan.relation} SEMI JOIN {among} USING ({scan.keys})"
    match what:
        case "repeated":
            row = scan.row
            return (
                f"SELECT {PLACE} FROM (SELECT {PLACE}, {row} AS this,"
                f" lag({row}) OVER {of_key} AS that, lag({PLACE}) OVER {of_key} AS earlier"
                f" FROM {some})"
                " WHERE earlier IS NOT NULL AND this IS NOT DISTINCT FROM that"
            )
        case "outdated":
            other = f"lead({PLACE}) OVER {of_key}"
        case "later":
            other = f"lag({PLACE}) OVER {of_key}"
    return (
        f"SELECT {PLACE} FROM (SELECT {PLACE}, {other} AS other FROM {some})"
        " WHERE other IS NOT NULL"
    )


def deleted(scan: Scan, returning: Scan, gone: str) -> str:
    """Return the query of the places of rows that were deleted, and have not returned.

    `gone` is a relation of deleted keys, each with the place before which it deletes,
    `__lake_until`. A key has returned with any later row of `returning`, also with one that changes
    nothing.
    """
    until = f"SELECT {scan.keys}, max({UNTIL}) AS {UNTIL} FROM {gone} GROUP BY ALL"
    last = (
        f"SELECT {scan.keys}, max({PLACE}) AS {LAST} FROM {returning.relation}"
        f" SEMI JOIN {gone} USING ({scan.keys}) GROUP BY ALL"
    )
    return (
        f"SELECT {PLACE} FROM {scan.relation} JOIN ({until}) AS gone USING ({scan.keys})"
        f" JOIN ({last}) AS newest USING ({scan.keys}) WHERE {LAST} < {UNTIL}"
    )


def refilled(contents: Contents) -> list[tuple[int, int]]:
    """Return the ranges of places in which only the last row of each key counts.

    They are those of batches that repeat what the table may have: a replay, and a table that is
    filled again. The first batch of a table has all of its states.
    """
    ranges, files = [], 0
    for entry in contents.entries:
        if entry.is_filled and files:
            ranges.append((files << SHIFT, (files + len(entry.files)) << SHIFT))
        files += len(entry.files)
    return ranges


def batch_range(contents: Contents, batch: int) -> tuple[int, int] | None:
    """Return the places of a batch's rows; None if it has none."""
    files = 0
    for entry in contents.entries:
        if entry.batch == batch and entry.files:
            return files << SHIFT, (files + len(entry.files)) << SHIFT
        files += len(entry.files)
    return None


def limits(contents: Contents) -> list[int]:
    """Return, for each object with deleted keys, the place until which it deletes rows."""
    found, files = [], 0
    for entry in contents.entries:
        files += len(entry.files)
        found += [files << SHIFT] * len(entry.tombstones)
    return found


def digests(contents: Contents, what: str) -> list[str]:
    """Return the names of `what` is dropped after the first object, the first two, and so on.

    A name depends on `what` and on the objects, and so never changes its meaning.
    """
    names, whole = [], hashlib.sha256(what.encode())
    for entry in contents.entries:
        for number, file in enumerate(entry.files):
            is_again = entry.is_filled and not number
            whole.update(f"{file.sha256} {is_again}\n".encode())
            names.append(f"{whole.hexdigest()}.places.parquet")
    return names


def longest(names: Sequence[str], there: Collection[str]) -> int:
    """Return of how many objects the places are known; 0 if of none."""
    return max((number for number, name in enumerate(names, 1) if name in there), default=0)
