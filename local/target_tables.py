"""The tables and views of a warehouse: how many rows they have, and when changes arrived."""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from rich.table import Table

from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.declaration import current_view
from deployer.terminal import table
from etl.targets import Target
from functions.common.loaded import LoadedMarker
from functions.common.logs import MarkerLog
from functions.targets.own_tables import DELETIONS
from local.warehouse import look

BATCHES_BACK = 200  # in which the newest change of a table is searched, at 3 ms a batch
MEANING = "seconds: from the commit in the source, or else its snapshot, to the warehouse"


@dataclass(frozen=True)
class TargetRow:
    """A table of the target: its rows, the batch that last changed it, and how long it took.

    `at` is when that change was committed in the source, or, where that is not known, when the
    batch's snapshot was taken; `seconds` are from there to the warehouse's commit. All three are
    None for a table without a recent change.
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


def target_rows(
    address: DatabaseAddress,
    target: Target,
    schema: str,
    logs: Mapping[MarkerLog, datetime | None],
) -> list[TargetRow]:
    """Count the tables of a target and of its models, and find the newest change of each.

    `logs` are the markers of each source, with when its last change was committed, if it is known.
    """
    with look(address, target.kind) as warehouse:
        places = _places(target, schema, warehouse.tables())
        counts = {name: warehouse.count(*place) for name, place in places.items()}
    rows = {name: TargetRow(name, count, None, None, None) for name, count in counts.items()}
    for log, committed in logs.items():
        for name, marker in _newest_changes(log, counts.keys()).items():
            if name in rows:
                rows[name] = _target_row(name, counts[name], marker, committed)
    return list(rows.values())


def _places(
    target: Target, schema: str, there: Container[tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Return schema and name in the database of each table of the target that exists."""
    tables = [*target.tables, *(model.table for model in target.models)]
    places = {
        table.name: [(table.schema or schema, name) for name in (table.name, *table.other_names)]
        for table in tables
    }
    if target.calendar:
        places[target.calendar.name] = [(schema, target.calendar.name)]
    return {
        name: place for name, candidates in places.items() for place in candidates if place in there
    }


def view_rows(address: DatabaseAddress, target: Target, schema: str) -> list[ViewRow]:
    """Count the views of a managed warehouse, and what was deleted."""
    histories = [table.name for table in target.tables if table.way == "history"]
    with look(address, target.kind) as warehouse:
        found = warehouse.run(
            "SELECT table_name, count(DISTINCT business_id)"  # nosec B608
            f" FROM {warehouse.place(schema, DELETIONS)}"
            " WHERE seen_again_at IS NULL GROUP BY table_name"
        )
        deleted = {table: int(keys) for table, keys in found}
        return [
            ViewRow(view, warehouse.count(schema, view), deleted.get(name, 0))
            for name in histories
            for view in [current_view(target, name)]
        ]


def show_views(rows: list[ViewRow]) -> Table:
    """Return the views as a table for a terminal."""
    shown = table("view", "rows", "deleted", numbers=frozenset({"rows", "deleted"}))
    for row in rows:
        shown.add_row(row.view, f"{row.rows:,}", f"{row.deleted:,}")
    return shown


def show_tables(rows: list[TargetRow]) -> Table:
    """Return the rows as a table for a terminal of 80 columns."""
    numbers = frozenset({"rows", "batch", "seconds"})
    shown = table("table", "rows", "newest change (UTC)", "batch", "seconds", numbers=numbers)
    for row in rows:
        shown.add_row(
            row.table,
            f"{row.rows:,}",
            f"{row.at:%Y-%m-%d %H:%M:%S}" if row.at else "",
            str(row.batch or ""),
            f"{row.seconds:.1f}" if row.seconds is not None else "",
        )
    return shown


def _target_row(
    name: str, rows: int, marker: LoadedMarker, committed: datetime | None
) -> TargetRow:
    at = marker.source.snapshot_at
    if committed is not None and committed <= at:
        at = committed
    return TargetRow(name, rows, marker.batch, at, (marker.written_at - at).total_seconds())


def _newest_changes(log: MarkerLog, tables: Collection[str]) -> dict[str, LoadedMarker]:
    """Return, by table, the newest marker with a change."""
    newest: dict[str, LoadedMarker] = {}
    last = log.newest()
    for number in range(last, max(0, last - BATCHES_BACK), -1):
        marker = log.read(number)
        for name, changed in marker.rows.items():
            if changed.inserted or changed.updated:
                newest.setdefault(unquote(name), marker)
        if newest.keys() >= set(tables):
            break
    return newest
