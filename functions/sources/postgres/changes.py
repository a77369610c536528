"""The SQL conditions for changed rows, by the xmin horizon.

Every row version has the id of the transaction that made it, xmin, whatever that transaction did to
columns such as `last_updated`. All transactions below the last batch's horizon had ended in its
snapshot, so a row version that the batch does not have is from a transaction at or above the
horizon. Of these, the ones whose rows the batch has are known by id (`seen`): they had ended as
well, so the batch has all their rows. All other rows are new, however long an open transaction
holds the horizon back.

    the last batch: horizon 100, which is still open; 101 and 103 have ended: seen = 101, 103
    the next batch: rows with xmin >= 100, except 101 and 103: those of 100, 102, 104, ...
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from functions.common.copy import array, set_values, value
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.history import XIDS, Snapshot

# Per table: 40 MB in a function, and up to 7 MB in a manifest. With more the table is read whole,
# which is always correct.
SEEN_AT_MOST = 1 << 18


@dataclass(frozen=True)
class Since:
    """The position of a table's change capture: its horizon, and the transactions seen above it."""

    horizon: int
    seen: frozenset[int]


def standing(
    snapshot: Snapshot, before: IngestionManifest | None, table: str
) -> TableCapture | None:
    """Return the last batch's entry of a table, None if it is not valid in this snapshot."""
    capture = before.tables.get(table) if before else None
    if capture is not None and capture.filling is not None:
        position = capture.filling
        capture = replace(capture, horizon=position.horizon, seen=position.seen)
    if before is None or capture is None or capture.horizon is None:
        return None
    return capture if snapshot.follows(before.source, capture.horizon) else None


def since(capture: TableCapture | None, fingerprint: str, incarnation: str) -> Since | None:
    """Return the position from which to read a table, or None to read all of it."""
    if capture is None or capture.horizon is None:
        return None
    if (capture.fingerprint, capture.incarnation) != (fingerprint, incarnation):
        return None
    if not are_few(capture.seen):
        return None
    return Since(capture.horizon, frozenset(_expand(capture.seen)))


def give_values(
    connection: PostgresConnection, snapshot: Snapshot, positions: dict[str, Since]
) -> None:
    """Set the values that the conditions below refer to.

    `positions` are by each table's variable, a name of letters and digits.
    """
    # Ids below 3 are reserved.
    values = {"horizon": str(snapshot.horizon % XIDS), "end": str(max(snapshot.end % XIDS, 3))}
    for variable, position in positions.items():
        values[f"{variable}_horizon"] = str(position.horizon % XIDS)
        values[f"{variable}_seen"] = array(xid % XIDS for xid in sorted(position.seen))
    set_values(connection, values)


def changed(variable: str, position: Since | None) -> str:
    """Return the SQL condition for the changed rows of a table."""
    if position is None:
        return "true"
    condition = _made_since(f"{variable}_horizon")
    if position.seen:
        condition += f" AND xmin NOT IN (SELECT unnest({value(f'{variable}_seen', 'xid[]')}))"
    return condition


def recent_xid(snapshot: Snapshot) -> str | None:
    """Return the SQL of a row's xmin if it is at or above the new horizon, else NULL.

    Returns None if no transaction was open, so that none is above.
    """
    if snapshot.horizon == snapshot.end:
        return None
    return f"CASE WHEN {_made_since('horizon')} THEN xmin::text::bigint END"


def _made_since(horizon: str) -> str:
    """Return the SQL condition that a row's transaction is in the snapshot and not below an id.

    A row that seems to be from a later transaction is so old that ids have wrapped around since.
    The ages of both ends are evaluated once per statement, and that of an old row as well: it is
    too old for the first comparison, which leaves a scan a third cheaper.
    """
    youngest = f"(SELECT age({value('end', 'xid')}) + 1)"
    return f"age(xmin) <= (SELECT age({value(horizon, 'xid')})) AND age(xmin) >= {youngest}"


def next_seen(
    snapshot: Snapshot, position: Since | None, shown: Iterable[int]
) -> list[tuple[int, int]]:
    """Return the transactions above the new horizon that are seen with this batch, as ranges.

    `shown` are the values of `recent_xid` in the rows of this batch. Ranges are inclusive.
    """
    before = position.seen if position else frozenset()
    widened = {snapshot.widen(xid) for xid in shown}
    after = {xid for xid in widened if snapshot.shows_all_of(xid)} | before
    return _ranges(sorted(xid for xid in after if xid >= snapshot.horizon))


def are_few(seen: Iterable[tuple[int, int]]) -> bool:
    """Return whether a function can hold these transactions, given as inclusive ranges."""
    return sum(high - low + 1 for low, high in seen) <= SEEN_AT_MOST


def _expand(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    for low, high in ranges:
        yield from range(low, high + 1)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
