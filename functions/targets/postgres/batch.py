"""Apply one batch in one transaction, to the tables of the warehouse that lack it."""

from bisect import bisect_left
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
from functions.targets import Applied, Moment
from functions.targets.postgres.apply import append_history, upsert_latest
from functions.targets.postgres.calendar import Days
from functions.targets.postgres.careful import (
    Outcome,
    append_each,
    begin,
    delete_each,
    insert_missing_each,
    replace_each,
    upsert_each,
)
from functions.targets.postgres.deletions import Deletions, stage_keys
from functions.targets.postgres.derived import Derived, Deriving
from functions.targets.postgres.evidence import greatest_record, newest_record
from functions.targets.postgres.fill import (
    append_newest,
    by_state,
    first_of,
    insert_first,
    newest_of,
    upsert_newest,
)
from functions.targets.postgres.ledger import record_batch
from functions.targets.postgres.lock import LoaderLock
from functions.targets.postgres.snapshot import delete_rows, others, replace_all
from functions.targets.postgres.stage import stage_of
from functions.targets.postgres.tables import LEDGER, Layout, WarehouseTable

_NOTHING = StarTable(0, [])


@dataclass(frozen=True)
class Warehouse:
    """The warehouse that batches of one source are applied to.

    `deletions` is None where it has no such table. `derived` is what is made of the tables.
    """

    lock: LoaderLock
    layout: Layout
    deletions: Deletions | None
    source: str
    derived: Derived

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
    *,
    models: Collection[str],
) -> Applied:
    """Apply a batch to the tables that are `lacking` it, and run some `models`.

    `before` is the state before it. A table that is not lacking it must not get it: its history
    would be repeated. A row that the warehouse refuses is put aside, and the others are applied.
    """
    try:
        return _Application(warehouse, bucket, manifest, before).batch(lacking, models)
    except DatabaseError as error:
        code = error.args[0].get("C", "")
        if not is_data_error(code):
            raise
    warehouse.connection.run("ROLLBACK")
    logger.warning(
        "the warehouse refused a batch: its rows are tried one by one",
        extra={"batch": manifest.batch, "reason": condition(code)},
    )
    careful = _Application(warehouse, bucket, manifest, before, careful=True)
    return careful.batch(lacking, models)


def retry_refused(
    warehouse: Warehouse, bucket: Bucket, manifest: ProcessedManifest, before: Applied
) -> Applied:
    """Try the refused rows again, one by one; the batch is the newest, which all tables have."""
    return _Application(warehouse, bucket, manifest, before, careful=True).refused()


class _Application:
    """One transaction, in which rows are applied; what is `careful` survives a refused row."""

    def __init__(
        self,
        warehouse: Warehouse,
        bucket: Bucket,
        manifest: ProcessedManifest,
        before: Applied,
        *,
        careful: bool = False,
    ) -> None:
        self._warehouse = warehouse
        self._manifest = manifest
        self._moment = Moment.of(manifest)
        self._connection = warehouse.connection
        self._layout = warehouse.layout
        self._bucket = bucket
        self._careful = careful
        self._rows: dict[str, Loaded] = {}
        self._evidence = dict(before.evidence)
        self._before = before.refused
        self._refused: dict[str, list[RefusedRows]] = {}
        self._deriving = Deriving(
            self._connection, self._layout, bucket, warehouse.derived, self._moment
        )
        self._days = Days(self._connection, self._layout.calendar, careful=careful)

    def batch(self, lacking: Collection[str], models: Collection[str]) -> Applied:
        self._begin()
        keys = {name: table.key for name, table in self._layout.tables.items() if name in lacking}
        self._refused = without_superseded(self._bucket, self._before, self._manifest, keys)
        calendar = self._layout.calendar
        for name, table in self._layout.tables.items():
            entry = self._manifest.tables.get(name, _NOTHING)
            if name in lacking:
                self._load(table, entry)
            elif calendar and calendar.name in lacking and table.way == "history":
                for part in read_parts(self._bucket, entry.files):
                    self._days.cover(part)
        if self._warehouse.deletions:
            self._warehouse.deletions.record(self._bucket, [self._manifest])
        brought = {name for name in keys if self._manifest.brings(name)}
        return self._commit(brought, models)

    def refused(self) -> Applied:
        self._begin()
        for name, table in self._layout.tables.items():
            for rows in self._before.get(name, []):
                self._retry(table, rows)
        changed = {name for name, each in self._rows.items() if each.inserted or each.updated}
        models = self._warehouse.derived.made_of(changed)
        return self._commit(changed, {name for name in models if models[name]})

    def _begin(self) -> None:
        self._connection.run("BEGIN")
        self._warehouse.lock.require()
        _commit_to_disk(self._connection)
        if self._careful:
            begin(self._connection)

    def _commit(self, changed_tables: Collection[str], models: Collection[str]) -> Applied:
        """Make and export what follows from the tables that have changed, and commit all of it."""
        derived = self._deriving
        for result in derived.models(models):
            self._note(result.stage.table, result.loaded, result.stage.columns)
        derived.export(changed_tables)
        if ledger := self._layout.ledger:
            source = self._warehouse.source
            if record := record_batch(self._connection, ledger, source, self._moment.batch):
                self._evidence[LEDGER] = record
        self._connection.run("COMMIT")
        rows = dict(self._rows)
        if self._layout.calendar:
            rows[self._layout.calendar.name] = Loaded(self._days.added, self._days.added, 0)
        changed = {name: each for name, each in rows.items() if each.staged or each.deleted}
        refused = {name: rows for name, rows in self._refused.items() if rows}
        return Applied(
            changed, self._evidence, refused, derived.made, derived.failed, sorted(derived.exports)
        )

    def _load(self, table: WarehouseTable, entry: StarTable) -> None:
        """Load what a batch has of one table."""
        if self._careful and entry.files:
            self._load_each(table, entry)
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
        if entry.snapshot:
            return replace_all(self._connection, table, read_parts(self._bucket, entry.files))
        stage = stage_of(self._layout, table.name)
        if table.way == "once":
            return insert_first(self._connection, stage, read_parts(self._bucket, entry.files))
        if entry.filled or entry.sequence:
            return upsert_newest(self._connection, stage, read_parts(self._bucket, entry.files))
        stage.fill(self._connection, read_rows(self._bucket, entry.files))
        return upsert_latest(self._connection, stage)

    def _load_history(self, table: WarehouseTable, entry: StarTable) -> None:
        stage, parts = stage_of(self._layout, table.name), read_parts(self._bucket, entry.files)
        in_sequence = entry.filled or entry.sequence
        if in_sequence and not self._are_new(table, entry):
            found = append_newest(self._connection, stage, parts, self._days)
        else:
            found = append_history(
                self._connection, stage, parts, self._days, in_sequence=in_sequence
            )
        self._note(table, *found)

    def _are_new(self, table: WarehouseTable, entry: StarTable) -> bool:
        """Tell whether a history can have none of a batch's states, as it is when it is lacking it.

        Its newest record is then the one that was the newest after the batch before, or it has
        none. A loader that died may have added some of them or all.
        """
        known = None if entry.filled else self._evidence.get(table.name)
        return greatest_record(self._connection, table) == (known.record if known else None)

    def _load_each(self, table: WarehouseTable, entry: StarTable) -> None:
        """Load the rows of a batch one by one."""
        batch = self._moment.batch
        if entry.snapshot:
            self._replace_each(table, entry)
            return
        for part in self._parts(table, entry):
            if entry.filled or entry.sequence:  # what was refused may be an earlier state of these
                refused = self._refused.get(table.name, [])
                newer = Superseding.of(table.name, batch, table.key, [part])
                self._refused[table.name] = newer.left_of(self._bucket, refused)
            outcome = self._try_each(table, part)
            rows = part.take(outcome.places)
            self._put_aside(table, batch, with_batch(rows, batch), outcome.reasons)

    def _replace_each(self, table: WarehouseTable, entry: StarTable) -> None:
        """Replace a table row by row; it is read again if some of them are refused."""
        stage, batch = stage_of(self._layout, table.name), self._moment.batch
        parts = read_parts(self._bucket, entry.files)
        outcome = replace_each(self._connection, stage, parts, is_whole=True)
        stage.drop(self._connection)
        self._note(table, outcome.loaded)
        first, refused = 0, outcome.places.to_pylist()
        for part in read_parts(self._bucket, entry.files) if outcome.reasons else ():
            start, end = (bisect_left(refused, at) for at in (first, first + part.num_rows))
            rows = part.take(pa.array([at - first for at in refused[start:end]], pa.int64()))
            self._put_aside(table, batch, with_batch(rows, batch), outcome.reasons[start:end])
            first += part.num_rows

    def _parts(self, table: WarehouseTable, entry: StarTable) -> Iterator[pa.Table]:
        """Yield the rows of a batch, of each key one at a time."""
        if table.way == "once":
            yield from first_of(read_parts(self._bucket, entry.files), table)
        elif not (entry.filled or entry.sequence):
            yield from read_parts(self._bucket, entry.files)
        elif table.way == "history" and self._are_new(table, entry):
            for part in read_parts(self._bucket, entry.files):
                yield from by_state(part, table)
        else:
            yield from newest_of(read_parts(self._bucket, entry.files[::-1]), table)

    def _retry(self, table: WarehouseTable, refused: RefusedRows) -> None:
        [rows] = read(self._bucket, [refused])
        outcome = self._try_each(table, rows.drop_columns([REASON, BATCH]))
        if Counter(outcome.reasons) == refused.reasons:
            self._refused.setdefault(table.name, []).append(refused)
        else:
            left = rows.take(outcome.places).drop_columns([REASON])
            self._put_aside(table, self._moment.batch, left, outcome.reasons)

    def _try_each(self, table: WarehouseTable, rows: pa.Table) -> Outcome:
        stage = stage_of(self._layout, table.name)
        if table.way == "history":
            self._days.cover(rows)
            outcome = append_each(self._connection, stage, rows)
        elif table.way == "once":
            outcome = insert_missing_each(self._connection, stage, rows)
        elif not table.key:
            outcome = replace_each(self._connection, stage, [rows], is_whole=False)
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
