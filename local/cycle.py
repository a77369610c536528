"""What the sandbox shows: how the changes of a first cycle arrived, table by table."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import pg8000.native
from pg8000.native import identifier
from rich.table import Table

from deployer.account import Account
from deployer.databases import DatabaseAddress
from deployer.names import Names
from deployer.terminal import table
from functions.common.manifests import LoadedMarker
from functions.common.storage import Bucket
from functions.load.markers import MarkerLog
from functions.targets.postgres.tables import DELETIONS, Layout
from local.business_day import trade
from local.connection import connect, transaction
from local.declared import layout_of, views
from local.session import session

BATCHES_BACK = 200  # how far the newest change of a table is looked for, at 3 ms a batch
MEANING = "seconds: from the commit in the source, or else its snapshot, to the warehouse"


@dataclass(frozen=True)
class StarRow:
    """One star table: its rows, the batch that last changed it, and how long that was on the way.

    `at` is when that change was committed in the source, or, where that is not known, when the
    batch's snapshot was taken; `seconds` are from there to the warehouse's commit. All three are
    None for a table that was not changed of late.
    """

    table: str
    rows: int
    batch: int | None
    at: datetime | None
    seconds: float | None


@dataclass(frozen=True)
class ViewRow:
    """A view of the current state: its rows, and how many it leaves out as deleted."""

    view: str
    rows: int
    deleted: int


def trade_a_minute(writer: DatabaseAddress, rng: Random) -> datetime:
    """Let the shop work for a minute's worth; return when the last of it was committed."""
    with session(writer) as connection:
        trade(connection, rng, datetime.now(UTC).replace(tzinfo=None))
    return datetime.now(UTC)


def take_an_order_back(database_url: str) -> None:
    """Delete the newest sales order with what belongs to it; the URL is that of the superuser."""
    newest = "SELECT max(sales_order_id) FROM sales_order"
    its = f"SELECT transaction_id FROM transaction WHERE sales_order_id = ({newest})"
    with connect(database_url) as connection, transaction(connection):
        connection.run(f"DELETE FROM payment WHERE transaction_id IN ({its})")
        connection.run(f"DELETE FROM transaction WHERE transaction_id IN ({its})")
        connection.run(f"DELETE FROM sales_order WHERE sales_order_id = ({newest})")


def star_rows(
    account: Account,
    names: Names,
    warehouse: DatabaseAddress,
    schema: str,
    committed: datetime | None = None,
) -> list[StarRow]:
    """Count the warehouse's tables, and find the newest change of each in the batch log.

    `committed` is when the last change was committed in the source, if that is known.
    """
    with session(warehouse) as connection:
        star = layout_of(connection, schema)
        counts = {name: _count(connection, found.target) for name, found in star.all.items()}
    newest = _newest_changes(Bucket(account.clients.s3, names.bucket("processed")), star)
    return [_star_row(name, rows, newest.get(name), committed) for name, rows in counts.items()]


def view_rows(warehouse: DatabaseAddress, schema: str) -> list[ViewRow]:
    """Count the views of a managed warehouse, and what was deleted."""
    with session(warehouse) as connection:
        deleted = (
            f"SELECT count(DISTINCT business_id) FROM {identifier(schema)}.{identifier(DELETIONS)}"
            " WHERE table_name = :fact AND seen_again_at IS NULL"
        )
        return [
            ViewRow(
                view,
                _count(connection, f"{identifier(schema)}.{identifier(view)}"),
                int(connection.run(deleted, fact=fact)[0][0]),
            )
            for view, fact in views().items()
        ]


def show_views(rows: list[ViewRow]) -> Table:
    """Return the views as a table for a terminal."""
    shown = table("view", "rows", "deleted", numbers=frozenset({"rows", "deleted"}))
    for row in rows:
        shown.add_row(row.view, f"{row.rows:,}", f"{row.deleted:,}")
    return shown


def show(rows: list[StarRow]) -> Table:
    """Return the rows as a table for a terminal of 80 columns."""
    numbers = frozenset({"rows", "batch", "seconds"})
    shown = table("star table", "rows", "newest change (UTC)", "batch", "seconds", numbers=numbers)
    for row in rows:
        shown.add_row(
            row.table,
            f"{row.rows:,}",
            f"{row.at:%Y-%m-%d %H:%M:%S}" if row.at else "",
            str(row.batch or ""),
            f"{row.seconds:.1f}" if row.seconds is not None else "",
        )
    return shown


def _count(connection: pg8000.native.Connection, target: str) -> int:
    [[rows]] = connection.run(f"SELECT count(*) FROM {target}")
    return int(rows)


def _star_row(
    name: str, rows: int, marker: LoadedMarker | None, committed: datetime | None
) -> StarRow:
    if marker is None:
        return StarRow(name, rows, None, None, None)
    at = marker.source.snapshot_at
    if committed is not None and committed <= at:
        at = committed
    return StarRow(name, rows, marker.batch, at, (marker.written_at - at).total_seconds())


def _newest_changes(processed: Bucket, star: Layout) -> dict[str, LoadedMarker]:
    """Return, by star table, the newest marker that tells of a change."""
    newest: dict[str, LoadedMarker] = {}
    for marker in _markers(processed):
        for name, changed in marker.rows.items():
            if changed.inserted or changed.updated:
                newest.setdefault(name, marker)
        if newest.keys() == star.all.keys():
            break
    return newest


def _markers(processed: Bucket) -> Iterator[LoadedMarker]:
    """Yield what was loaded of late, the newest first."""
    log = MarkerLog(processed, "source")
    newest = log.newest()
    for number in range(newest, max(0, newest - BATCHES_BACK), -1):
        yield log.read(number)
