"""Apply one batch in one transaction, to the tables of the warehouse that lack it."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pg8000.native
import pyarrow as pa
from msgspec.structs import astuple
from pg8000.native import DatabaseError

from functions.common.loaded import Loaded, RefusedRows
from functions.common.manifests import ProcessedManifest, StarTable
from functions.common.parquet import read_parts, read_rows
from functions.common.sqlstate import condition, is_data_error
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.load.refused import (
    BATCH,
    REASON,
    Superseding,
    read,
    store,
    with_batch,
    without_superseded,
)
from functions.targets import Applied
from functions.targets.postgres.apply import append_history, upsert_latest
from functions.targets.postgres.calendar import Days
from functions.targets.postgres.careful import (
    Outcome,
    append_each,
    begin,
    delete_each,
    replace_each,
    upsert_each,
)
from functions.targets.postgres.deletions import Deletions, stage_keys
from functions.targets.postgres.evidence import newest_record
from functions.targets.postgres.fill import fill_history, is_new, keep_newest, newest_of
from functions.targets.postgres.ledger import record_batch
from functions.targets.postgres.lock import LoaderLock
from functions.targets.postgres.snapshot import delete_rows, others, replace_all
from functions.targets.postgres.stage import stage_of
from functions.targets.postgres.tables import LEDGER, Layout, WarehouseTable

_NOTHING = StarTable(0, [])


@dataclass(frozen=True)
class Warehouse:
    """The warehouse that batches of one source are applied to.

    `deletions` is None where it has no such table.
    """

    lock: LoaderLock
    layout: Layout
    deletions: Deletions | None
    source: str

    @property
    def connection(self) -> pg8000.native.Connection:
        """The session that holds the lock."""
        return self.lock.connection


def apply_batch(
    warehouse: Warehouse,
    bucket: Bucket,
    manifest: ProcessedManifest,
    lacking: Collection[str],
    before: Applied,
) -> Applied:
    """Apply a batch to the tables that are `lacking` it; `before` is the state before it.

    A table that is not lacking it must not get it: its history would be repeated. A row that the
    warehouse refuses is put aside, and the others are applied.
    """
    try:
        return _Application(warehouse, bucket, before).batch(manifest, lacking)
    except DatabaseError as error:
        code = error.args[0].get("C", "")
        if not is_data_error(code):
            raise
    warehouse.connection.run("ROLLBACK")
    logger.warning(
        "the warehouse refused a batch: its rows are tried one by one",
        extra={"batch": manifest.batch, "reason": condition(code)},
    )
    return _Application(warehouse, bucket, before, careful=True).batch(manifest, lacking)


def retry_refused(warehouse: Warehouse, bucket: Bucket, batch: int, before: Applied) -> Applied:
    """Try the refused rows again, one by one; `batch` is the newest, which all tables have."""
    return _Application(warehouse, bucket, before, careful=True).refused(batch)


class _Application:
    """One transaction, in which rows are applied; what is `careful` survives a refused row."""

    def __init__(
        self, warehouse: Warehouse, bucket: Bucket, before: Applied, *, careful: bool = False
    ) -> None:
        self._warehouse = warehouse
        self._connection = warehouse.connection
        self._layout = warehouse.layout
        self._bucket = bucket
        self._careful = careful
        self._rows: dict[str, Loaded] = {}
        self._evidence = dict(before.evidence)
        self._before = before.refused
        self._refused: dict[str, list[RefusedRows]] = {}
        self._days = Days(self._connection, self._layout.calendar, careful=careful)

    def batch(self, manifest: ProcessedManifest, lacking: Collection[str]) -> Applied:
        self._begin()
        keys = {name: table.key for name, table in self._layout.tables.items() if name in lacking}
        self._refused = without_superseded(self._bucket, self._before, manifest, keys)
        calendar = self._layout.calendar
        for name, table in self._layout.tables.items():
            entry = manifest.tables.get(name, _NOTHING)
            if name in lacking:
                self._load(table, entry, manifest.batch)
            elif calendar and calendar.name in lacking and table.way == "history":
                for part in read_parts(self._bucket, entry.files):
                    self._days.cover(part)
        if self._warehouse.deletions:
            self._warehouse.deletions.record(self._bucket, [manifest])
        return self._commit(manifest.batch)

    def refused(self, batch: int) -> Applied:
        self._begin()
        for name, table in self._layout.tables.items():
            for rows in self._before.get(name, []):
                self._retry(table, rows, batch)
        return self._commit(batch)

    def _begin(self) -> None:
        self._connection.run("BEGIN")
        self._warehouse.lock.require()
        _commit_to_disk(self._connection)
        if self._careful:
            begin(self._connection)

    def _commit(self, batch: int) -> Applied:
        if ledger := self._layout.ledger:
            source = self._warehouse.source
            if record := record_batch(self._connection, ledger, source, batch):
                self._evidence[LEDGER] = record
        self._connection.run("COMMIT")
        rows = dict(self._rows)
        if self._layout.calendar:
            rows[self._layout.calendar.name] = Loaded(self._days.added, self._days.added, 0)
        changed = {name: each for name, each in rows.items() if each.staged or each.deleted}
        refused = {name: rows for name, rows in self._refused.items() if rows}
        return Applied(changed, self._evidence, refused)

    def _load(self, table: WarehouseTable, entry: StarTable, batch: int) -> None:
        """Load what a batch has of one table."""
        if self._careful and entry.files:
            self._load_each(table, entry, batch)
        elif entry.files and table.way == "history":
            self._load_history(table, entry)
        elif entry.files:
            self._note(table, self._load_latest(table, entry))
        if table.way == "replace" and entry.tombstones:
            keys = stage_keys(self._connection, self._bucket, table, entry.tombstones)
            self._delete(
                table,
                f"SELECT d.ctid AS at, d.tableoid AS relation FROM {table.target} AS d"
                f" JOIN {keys} AS k ON {table.key_text('d')} = k.key",
            )
        elif entry.snapshot and not entry.files:
            self._delete(table, others(stage_of(self._layout, table.name)))

    def _delete(self, table: WarehouseTable, where: str) -> None:
        delete = delete_each if self._careful else delete_rows
        deleted = delete(self._connection, table, where)
        self._note(table, Loaded(0, 0, 0, deleted=deleted))

    def _load_latest(self, table: WarehouseTable, entry: StarTable) -> Loaded:
        stage, rows = stage_of(self._layout, table.name), read_rows(self._bucket, entry.files)
        if entry.snapshot:
            return replace_all(self._connection, stage, rows)
        stage.fill(self._connection, rows)
        if entry.filled:
            keep_newest(self._connection, stage)
        return upsert_latest(self._connection, stage)

    def _load_history(self, table: WarehouseTable, entry: StarTable) -> None:
        stage, parts = stage_of(self._layout, table.name), read_parts(self._bucket, entry.files)
        load = fill_history if entry.filled else append_history
        self._note(table, *load(self._connection, stage, parts, self._days))

    def _load_each(self, table: WarehouseTable, entry: StarTable, batch: int) -> None:
        """Load the rows of a batch one by one."""
        for part in self._parts(table, entry):
            if entry.filled:  # what was refused may be an earlier state of these rows
                refused = self._refused.get(table.name, [])
                newer = Superseding.of(table.name, batch, table.key, [part])
                self._refused[table.name] = newer.left_of(self._bucket, refused)
            outcome = self._try_each(table, part, is_snapshot=entry.snapshot)
            rows = part.take(outcome.places)
            self._put_aside(table, batch, with_batch(rows, batch), outcome.reasons)

    def _parts(self, table: WarehouseTable, entry: StarTable) -> Iterator[pa.Table]:
        """Yield the rows of a batch: a snapshot as a whole, of a filled table what it lacks."""
        if entry.snapshot:
            yield pa.concat_tables(read_parts(self._bucket, entry.files))
        elif entry.filled and not is_new(self._connection, table):
            yield from newest_of(read_parts(self._bucket, entry.files[::-1]), table)
        else:
            yield from read_parts(self._bucket, entry.files)

    def _retry(self, table: WarehouseTable, refused: RefusedRows, batch: int) -> None:
        [rows] = read(self._bucket, [refused])
        outcome = self._try_each(table, rows.drop_columns([REASON, BATCH]))
        if Counter(outcome.reasons) == refused.reasons:
            self._refused.setdefault(table.name, []).append(refused)
        else:
            left = rows.take(outcome.places).drop_columns([REASON])
            self._put_aside(table, batch, left, outcome.reasons)

    def _try_each(
        self, table: WarehouseTable, rows: pa.Table, *, is_snapshot: bool = False
    ) -> Outcome:
        stage = stage_of(self._layout, table.name)
        if table.way == "history":
            self._days.cover(rows)
            outcome = append_each(self._connection, stage, rows)
        elif is_snapshot or not table.key:
            outcome = replace_each(self._connection, stage, rows, is_whole=is_snapshot)
        else:
            outcome = upsert_each(self._connection, stage, rows)
        stage.drop(self._connection)
        self._note(table, outcome.loaded, rows.column_names)
        return outcome

    def _put_aside(
        self, table: WarehouseTable, batch: int, rows: pa.Table, reasons: list[str]
    ) -> None:
        stored = rows.append_column(REASON, pa.array(reasons, pa.string()))
        self._refused.setdefault(table.name, []).extend(
            store(self._bucket, table.name, batch, stored)
        )

    def _note(self, table: WarehouseTable, loaded: Loaded, columns: Collection[str] = ()) -> None:
        """Add to what became of a table's rows, and look at its newest record if it has others."""
        before = self._rows.get(table.name, Loaded(0, 0, 0))
        counts = (sum(pair) for pair in zip(astuple(before), astuple(loaded), strict=True))
        self._rows[table.name] = Loaded(*counts)
        if table.way != "history" or not columns:
            return
        # A loader that died may have inserted them before.
        if newest := newest_record(self._connection, table, list(columns)):
            self._evidence[table.name] = newest


def _commit_to_disk(connection: pg8000.native.Connection) -> None:
    """Have the transaction on the disk when it is committed, since a marker will say that it is.

    Only `off` is weaker than that.
    """
    connection.run(
        "SELECT set_config('synchronous_commit', 'on', true)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
