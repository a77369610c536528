"""Apply one batch in one transaction, to the tables of the warehouse that lack it."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import pg8000.native
import pyarrow as pa
from msgspec.structs import astuple
from pg8000.native import DatabaseError, identifier

from functions.common.manifests import (
    DataFile,
    Evidence,
    Loaded,
    ProcessedManifest,
    RefusedRows,
)
from functions.common.parquet import read_parts, read_rows
from functions.common.sqlstate import condition, is_data_error
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.load.refused import BATCH, REASON, read, store, with_batch, without_superseded
from functions.targets.postgres.apply import insert_fact, upsert_dimension
from functions.targets.postgres.calendar import Calendar
from functions.targets.postgres.careful import Outcome, append_each, begin, upsert_each
from functions.targets.postgres.deletions import Deletions
from functions.targets.postgres.evidence import newest_record
from functions.targets.postgres.lock import LoaderLock
from functions.targets.postgres.stage import stage_of
from functions.targets.postgres.star import CALENDAR, DIMENSIONS, FACTS, Star


@dataclass(frozen=True)
class Warehouse:
    """The warehouse that batches are applied to; `deletions` is None where it has no such table."""

    lock: LoaderLock
    star: Star
    deletions: Deletions | None

    @property
    def connection(self) -> pg8000.native.Connection:
        """The session that holds the lock."""
        return self.lock.connection


@dataclass(frozen=True)
class Applied:
    """The state after a batch: rows by star table, evidence of the facts, and what is refused."""

    rows: dict[str, Loaded]
    evidence: dict[str, Evidence]
    refused: dict[str, list[RefusedRows]]


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
        self._bucket = bucket
        self._careful = careful
        self._rows: dict[str, Loaded] = {}
        self._evidence = dict(before.evidence)
        self._before = before.refused
        self._refused: dict[str, list[RefusedRows]] = {}
        self._calendar = Calendar(warehouse.connection, warehouse.star, careful=careful)

    def batch(self, manifest: ProcessedManifest, lacking: Collection[str]) -> Applied:
        self._begin()
        still = without_superseded(self._bucket, self._before, manifest, lacking)
        self._refused = {name: list(rows) for name, rows in still.items()}
        for name in (*DIMENSIONS, *FACTS):
            files = manifest.tables[name].files
            if name in lacking:
                self._load(name, files, manifest.batch)
            elif name in FACTS and CALENDAR in lacking:
                for part in read_parts(self._bucket, files):
                    self._calendar.cover(part)
        if self._warehouse.deletions:
            self._warehouse.deletions.tell(self._bucket, [manifest])
        return self._commit()

    def refused(self, batch: int) -> Applied:
        self._begin()
        for name in (*DIMENSIONS, *FACTS):
            for rows in self._before.get(name, []):
                self._retry(name, rows, batch)
        return self._commit()

    def _begin(self) -> None:
        connection = self._warehouse.connection
        connection.run("BEGIN")
        self._warehouse.lock.require()
        _commit_to_disk(connection)
        if self._careful:
            begin(connection)

    def _commit(self) -> Applied:
        self._warehouse.connection.run("COMMIT")
        calendar = Loaded(self._calendar.added, self._calendar.added, 0)
        rows = {**self._rows, CALENDAR: calendar}
        changed = {name: table for name, table in rows.items() if table.staged}
        refused = {name: rows for name, rows in self._refused.items() if rows}
        return Applied(changed, self._evidence, refused)

    def _load(self, name: str, files: list[DataFile], batch: int) -> None:
        """Load the rows of a batch into one table."""
        connection, stage = self._warehouse.connection, stage_of(self._warehouse.star, name)
        if not self._careful and name in DIMENSIONS:
            batches = read_rows(self._bucket, files)
            self._rows[name] = upsert_dimension(connection, stage, batches)
            return
        parts = read_parts(self._bucket, files)
        if not self._careful:
            loaded, columns = insert_fact(connection, stage, parts, self._calendar)
            self._note(name, loaded, columns)
            return
        for part in parts:
            outcome = self._try_each(name, part)
            rows = part.take(outcome.places)
            self._put_aside(name, batch, with_batch(rows, batch), outcome.reasons)

    def _retry(self, name: str, refused: RefusedRows, batch: int) -> None:
        [rows] = read(self._bucket, [refused])
        outcome = self._try_each(name, rows.drop_columns([REASON, BATCH]))
        if Counter(outcome.reasons) == refused.reasons:
            self._refused.setdefault(name, []).append(refused)
        else:
            left = rows.take(outcome.places).drop_columns([REASON])
            self._put_aside(name, batch, left, outcome.reasons)

    def _try_each(self, name: str, rows: pa.Table) -> Outcome:
        connection, stage = self._warehouse.connection, stage_of(self._warehouse.star, name)
        if name in DIMENSIONS:
            outcome = upsert_each(connection, stage, rows)
        else:
            self._calendar.cover(rows)
            outcome = append_each(connection, stage, rows)
        connection.run(f"DROP TABLE {identifier(stage.name)}")
        self._note(name, outcome.loaded, rows.column_names)
        return outcome

    def _put_aside(self, name: str, batch: int, rows: pa.Table, reasons: list[str]) -> None:
        told = rows.append_column(REASON, pa.array(reasons, pa.string()))
        self._refused.setdefault(name, []).extend(store(self._bucket, name, batch, told))

    def _note(self, name: str, loaded: Loaded, columns: list[str]) -> None:
        """Add to what became of a table's rows, and look at its newest record if it has others."""
        before = self._rows.get(name, Loaded(0, 0, 0))
        counts = (sum(pair) for pair in zip(astuple(before), astuple(loaded), strict=True))
        self._rows[name] = Loaded(*counts)
        if name in FACTS and columns:  # a loader that died may have inserted them before
            table = self._warehouse.star.tables[name]
            if newest := newest_record(self._warehouse.connection, table, columns):
                self._evidence[name] = newest


def _commit_to_disk(connection: pg8000.native.Connection) -> None:
    """Have the transaction on the disk when it is committed, since a marker will say that it is.

    Only `off` is weaker than that.
    """
    connection.run(
        "SELECT set_config('synchronous_commit', 'on', true)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
