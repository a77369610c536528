"""Which batches the warehouse had at a moment: now, after a batch, or at a time.

A batch counts from when it was loaded: what was processed and not loaded, the warehouse never had.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.errors import OperationError, SettingsError
from deployer.query.tables import Document

AsOf = int | datetime
"""A batch, or a time with a zone."""


@dataclass(frozen=True)
class Standing:
    """What the warehouse had of a source: the state after its marker number `marker`.

    `batch` is the newest batch, 0 for none; `tables` are the batches of the tables, which differ
    while one of them is filled again. A table that is not there has `batch`.
    """

    batch: int
    loaded_at: str | None
    marker: int
    tables: Mapping[str, int]

    def has(self, table: str) -> int:
        """Return the newest batch that a table has."""
        return self.tables.get(table, self.batch)


def parse_as_of(text: str) -> AsOf:
    """Return a batch for digits, else a time, in UTC unless it says otherwise.

    Raises SettingsError.
    """
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        what = f"--as-of {text!r} is neither a batch nor a time"
        raise SettingsError([f"{what}: write 12, 2026-11-22 or 2026-11-22T18:00:00Z"]) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def standing(markers: Mapping[int, Document], source: str, as_of: AsOf | None) -> Standing:
    """Return what the warehouse had of a source; raise OperationError for an unknown batch."""
    match as_of:
        case None:
            return _after(markers, len(markers))
        case datetime():
            return _after(markers, _last(markers, lambda each: _written_at(each) <= as_of))
    newest = max((each["batch"] for each in markers.values()), default=0)
    if not 1 <= as_of <= newest:
        loaded = f"loaded are 1 to {newest}" if newest else "no batch is loaded yet"
        raise OperationError(f"batch {as_of} of {source} is not in the warehouse: {loaded}.")
    number = _first_time(markers, as_of)
    return Standing(as_of, markers[number]["written_at"], number, {})


def loaded_at(standing: Standing) -> datetime:
    """Return when the newest batch of a standing was loaded."""
    return datetime.fromisoformat(standing.loaded_at or "")


def _after(markers: Mapping[int, Document], number: int) -> Standing:
    if not number:
        return Standing(0, None, 0, {})
    marker = markers[number]
    return Standing(marker["batch"], marker["written_at"], number, marker["has"])


def _first_time(markers: Mapping[int, Document], batch: int) -> int:
    """Return the last marker before a later batch, or before the batch is applied again.

    It may be applied again to a warehouse that was restored, and be accepted otherwise then.
    """
    number = 0
    for each in range(1, len(markers) + 1):
        found, before = markers[each]["batch"], markers[number]["batch"] if number else 0
        if found > batch or found < before == batch:
            break
        number = each
    return number


def _last(markers: Mapping[int, Document], is_one: Callable[[Document], bool]) -> int:
    """Return the number of the last marker for which something holds, 0 if there is none."""
    return next((number for number in range(len(markers), 0, -1) if is_one(markers[number])), 0)


def _written_at(marker: Document) -> datetime:
    return datetime.fromisoformat(marker["written_at"])
