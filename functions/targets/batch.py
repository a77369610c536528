"""Apply one batch in one transaction to the tables of the target that lack it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from msgspec.structs import astuple

from functions.common.batchlog import BatchLog
from functions.common.errors import RefusedRowsError
from functions.common.loaded import Loaded, RefusedRows
from functions.common.manifests import ProcessedManifest, StarTable
from functions.common.objects import DataFile
from functions.common.parquet import read_parts, read_rows
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets import Applied, Moment
from functions.targets.calendar import Days
from functions.targets.deletions import keys_in, record
from functions.targets.derived import Derived, Deriving
from functions.targets.layout import WarehouseTable
from functions.targets.own_tables import LEDGER, LEDGER_COLUMNS
from functions.targets.refused import (
    BATCH,
    REASON,
    Superseding,
    among_equal,
    read,
    store,
    with_batch,
    without_superseded,
)
from functions.targets.session import Outcome, Session, Transaction
from functions.targets.states import by_state, first_of, newest_of

_NOTHING = StarTable(0, [])


@dataclass(frozen=True)
class Warehouse:
    """The target of one source's batches, and what is derived from its tables."""

    session: Session
    log: BatchLog[ProcessedManifest]
    derived: Derived


def apply_batch(
    warehouse: Warehouse,
    manifest: ProcessedManifest,
    lacking: Collection[str],
    before: Applied,
    *,
    models: Collection[str],
) -> Applied:
    """Apply a batch to the tables `lacking` it, and run some `models`.

    `before` is the state before it. A table that is not lacking the batch must not get it, or its
    history would be repeated. A row that the target refuses is stored as refused, and the others
    are applied.
    """
    try:
        with warehouse.session.transaction() as transaction:
            return _Application(warehouse, transaction, manifest, before).batch(lacking, models)
    except RefusedRowsError as refused:
        logger.warning(
            "the warehouse refused a batch: its rows are loaded one by one",
            extra={"batch": manifest.batch, "reason": str(refused)},
        )
    with warehouse.session.transaction(careful=True) as transaction:
        application = _Application(warehouse, transaction, manifest, before, careful=True)
        return application.batch(lacking, models)


def retry_refused(warehouse: Warehouse, manifest: ProcessedManifest, before: Applied) -> Applied:
    """Retry the refused rows one by one; the batch is the newest, which all tables have."""
    with warehouse.session.transaction(careful=True) as transaction:
        return _Application(warehouse, transaction, manifest, before).refused()


class _Application:
    """One transaction in which rows are applied; a `careful` one survives a refused row."""

    def __init__(
        self,
        warehouse: Warehouse,
        transaction: Transaction,
        manifest: ProcessedManifest,
        before: Applied,
        *,
        careful: bool = False,
    ) -> None:
        self._warehouse = warehouse
        self._manifest = manifest
        self._moment = Moment.of(manifest)
        self._session = warehouse.session
        self._transaction = transaction
        self._layout = warehouse.session.layout
        self._bucket = warehouse.log.bucket
        self._careful = careful
        self._rows: dict[str, Loaded] = {}
        self._evidence = dict(before.evidence)
        self._before = before.refused
        self._refused: dict[str, list[RefusedRows]] = {}
        self._deriving = Deriving(
            transaction, warehouse.log.bucket, warehouse.derived, self._moment
        )
        self._days = Days(transaction.add_days if self._layout.calendar else None)

    def batch(self, lacking: Collection[str], models: Collection[str]) -> Applied:
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
        if self._layout.has_deletions:
            record(self._transaction.deletions, self._layout, self._bucket, [self._manifest])
        brought = {name for name in keys if self._manifest.brings(name)}
        return self._result(brought, models)

    def refused(self) -> Applied:
        for name, table in self._layout.tables.items():
            refused = self._before.get(name, [])
            if refused and not table.key:
                self._retry_lines(table, refused)
                continue
            for rows in refused:
                self._retry(table, rows)
        changed = {name for name, each in self._rows.items() if each.inserted or each.updated}
        models = self._warehouse.derived.made_of(changed)
        return self._result(changed, {name for name in models if models[name]})

    def _result(self, changed_tables: Collection[str], models: Collection[str]) -> Applied:
        """Run models and exports for the tables that have changed; return the new state."""
        derived = self._deriving
        for name, run in derived.models(models):
            self._note(self._layout.models[name], run.loaded, run.columns)
        derived.export(changed_tables)
        if self._layout.ledger:
            self._transaction.record_batch(self._warehouse.log.source, self._moment.batch)
            self._prove(LEDGER, LEDGER_COLUMNS[1:])
        rows = dict(self._rows)
        if self._layout.calendar:
            rows[self._layout.calendar.name] = Loaded(self._days.added, self._days.added, 0)
        changed = {name: each for name, each in rows.items() if each.staged or each.deleted}
        refused = {name: rows for name, rows in self._refused.items() if rows}
        return Applied(
            changed, self._evidence, refused, derived.made, derived.failed, sorted(derived.exports)
        )

    def _load(self, table: WarehouseTable, entry: StarTable) -> None:
        """Load a batch's entry of one table."""
        if self._careful and entry.files:
            self._load_each(table, entry)
        elif entry.files:
            self._load_all(table, entry)
        if table.way == "replace" and entry.tombstones:
            self._delete(table, keys_in(self._bucket, table, entry.tombstones))
        elif entry.snapshot and not entry.files:
            self._delete(table, None)

    def _delete(self, table: WarehouseTable, keys: Iterable[pa.Array] | None) -> None:
        deleted = self._transaction.delete(table.name, keys)
        self._note(table, Loaded(0, 0, 0, deleted=deleted))

    def _load_all(self, table: WarehouseTable, entry: StarTable) -> None:
        """Load the rows of a batch in whole parts."""
        transaction, name, columns = self._transaction, table.name, list[str]()
        parts = _noting(columns, read_parts(self._bucket, entry.files))
        in_sequence = entry.filled or entry.sequence
        if entry.snapshot:
            loaded = transaction.replace(name, parts)
        elif table.way == "once":
            loaded = transaction.insert_first(name, parts)
        elif table.way == "history" and in_sequence and not self._are_new(table, entry):
            loaded = transaction.append_newest(name, parts, self._days)
        elif table.way == "history":
            loaded = transaction.append(name, parts, self._days, in_sequence=in_sequence)
        else:
            slices = _slices(self._bucket, entry.files)
            loaded = transaction.upsert(
                name, parts if in_sequence else slices, in_sequence=in_sequence
            )
        self._note(table, loaded, columns)

    def _are_new(self, table: WarehouseTable, entry: StarTable) -> bool:
        """Return whether a history certainly has none of a batch's states.

        Its newest record is then the one that was the newest after the previous batch, or it has
        none. Otherwise a loader that died may have added some or all of them.
        """
        known = None if entry.filled else self._evidence.get(table.name)
        return self._session.greatest_record(table.name) == (known.record if known else None)

    def _load_each(self, table: WarehouseTable, entry: StarTable) -> None:
        """Load the rows of a batch one by one."""
        batch = self._moment.batch
        if entry.snapshot:
            self._replace_each(table, entry)
            return
        for part in self._parts(table, entry):
            if (
                entry.filled or entry.sequence
            ):  # a refused row may be an earlier state of one of these
                refused = self._refused.get(table.name, [])
                newer = Superseding.of(table.name, batch, table.key, [part])
                self._refused[table.name] = newer.left_of(self._bucket, refused)
            outcome = self._try_each(table, part)
            rows = part.take(outcome.places)
            self._put_aside(table, batch, with_batch(rows, batch), outcome.reasons)

    def _replace_each(self, table: WarehouseTable, entry: StarTable) -> None:
        """Replace a table row by row; the rows are read again if some are refused."""
        batch = self._moment.batch
        parts = read_parts(self._bucket, entry.files)
        outcome = self._transaction.replace_each(table.name, parts)
        self._note(table, outcome.loaded)
        first, refused = 0, outcome.places.to_pylist()
        for part in read_parts(self._bucket, entry.files) if outcome.reasons else ():
            start, end = (bisect_left(refused, at) for at in (first, first + part.num_rows))
            rows = part.take(pa.array([at - first for at in refused[start:end]], pa.int64()))
            self._put_aside(table, batch, with_batch(rows, batch), outcome.reasons[start:end])
            first += part.num_rows

    def _parts(self, table: WarehouseTable, entry: StarTable) -> Iterator[pa.Table]:
        """Yield the rows of a batch in parts, none with two rows of a key."""
        if table.way == "once":
            yield from first_of(read_parts(self._bucket, entry.files), table.key)
        elif not (entry.filled or entry.sequence):
            yield from read_parts(self._bucket, entry.files)
        elif table.way == "history" and self._are_new(table, entry):
            for part in read_parts(self._bucket, entry.files):
                yield from by_state(part, table.key)
        else:
            yield from newest_of(read_parts(self._bucket, entry.files[::-1]), table.key)

    def _retry(self, table: WarehouseTable, refused: RefusedRows) -> None:
        [rows] = read(self._bucket, [refused])
        outcome = self._try_each(table, rows.drop_columns([REASON, BATCH]))
        if Counter(outcome.reasons) == refused.reasons:
            self._refused.setdefault(table.name, []).append(refused)
        else:
            left = rows.take(outcome.places).drop_columns([REASON])
            self._put_aside(table, self._moment.batch, left, outcome.reasons)

    def _retry_lines(self, table: WarehouseTable, refused: list[RefusedRows]) -> None:
        """Retry the refused lines of a snapshot, all at once: equal ones are counted."""
        parts = read(self._bucket, refused)
        lines = pa.concat_tables(parts, promote_options="permissive")
        batch = lines[BATCH][0].as_py()
        files = self._warehouse.log.read(batch).tables[table.name].files
        rows = among_equal(self._bucket, files, lines.drop_columns([REASON, BATCH]))
        outcome = self._try_each(table, rows)
        before = sum((Counter(each.reasons) for each in refused), Counter[str]())
        if Counter(outcome.reasons) == before:
            self._refused[table.name] = refused
        else:
            left = with_batch(rows.take(outcome.places), batch)
            self._put_aside(table, self._moment.batch, left, outcome.reasons)

    def _try_each(self, table: WarehouseTable, rows: pa.Table) -> Outcome:
        if table.way == "history":
            self._days.cover(rows)
        outcome = self._transaction.apply_each(table.name, rows)
        self._note(table, outcome.loaded, rows.column_names)
        return outcome

    def _put_aside(
        self, table: WarehouseTable, batch: int, rows: pa.Table, reasons: list[str]
    ) -> None:
        stored = rows.append_column(REASON, pa.array(reasons, pa.string()))
        self._refused.setdefault(table.name, []).extend(
            store(self._bucket, table.name, batch, stored)
        )

    def _note(self, table: WarehouseTable, loaded: Loaded, columns: Sequence[str] = ()) -> None:
        """Add to a table's counts, and record the newest record of a history."""
        before = self._rows.get(table.name, Loaded(0, 0, 0))
        counts = (sum(pair) for pair in zip(astuple(before), astuple(loaded), strict=True))
        self._rows[table.name] = Loaded(*counts)
        if table.way == "history" and columns:
            # Also without new rows: a loader that died may have inserted them.
            self._prove(table.name, columns)

    def _prove(self, history: str, columns: Sequence[str]) -> None:
        if newest := self._session.newest_record(history, columns):
            self._evidence[history] = newest


def _noting(columns: list[str], parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows, and store the names of their columns in `columns`."""
    for part in parts:
        columns[:] = part.column_names
        yield part


def _slices(bucket: Bucket, files: list[DataFile]) -> Iterator[pa.Table]:
    """Yield rows in slices, with one object in memory."""
    for rows in read_rows(bucket, files):
        yield pa.Table.from_batches([rows])
