"""One transaction of a PostgreSQL warehouse: see `functions.targets.session.Transaction`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from functions.common.loaded import Loaded
from functions.common.pgconnection import PostgresConnection
from functions.common.storage import Bucket
from functions.targets import Moment
from functions.targets.calendar import Days
from functions.targets.own_tables import LEDGER
from functions.targets.postgres import careful
from functions.targets.postgres.apply import append_history, upsert_latest
from functions.targets.postgres.binary import ROWS_AT_A_TIME
from functions.targets.postgres.calendar import add_days
from functions.targets.postgres.deletions import PostgresDeletions, having_keys, stage_keys
from functions.targets.postgres.exports import export_rows, export_table
from functions.targets.postgres.fill import append_newest, insert_first, upsert_newest
from functions.targets.postgres.models import run_model
from functions.targets.postgres.snapshot import delete_rows, others, replace_all
from functions.targets.postgres.stage import Stage, stage_of
from functions.targets.postgres.tables import PostgresLayout
from functions.targets.session import ModelRun, Outcome, Select


@dataclass(frozen=True)
class PostgresTransaction:
    """The operations between BEGIN and COMMIT; a `careful` one survives a refused row.

    Models find their tables in `schemas`.
    """

    connection: PostgresConnection
    layout: PostgresLayout
    schemas: Sequence[str]
    deletions: PostgresDeletions
    careful: bool

    def upsert(self, table: str, parts: Iterable[pa.Table], *, in_sequence: bool) -> Loaded:
        """Insert or update rows by their key; in a sequence the last row of it counts."""
        stage = self._stage(table)
        if in_sequence:
            return upsert_newest(stage, parts)
        for part in parts:
            stage.fill(part.to_batches(ROWS_AT_A_TIME))
        return upsert_latest(stage)

    def insert_first(self, table: str, parts: Iterable[pa.Table]) -> Loaded:
        """Insert the first row of each key that is missing."""
        return insert_first(self._stage(table), parts)

    def replace(self, table: str, parts: Iterable[pa.Table]) -> Loaded:
        """Make a table equal to some rows."""
        return replace_all(self._stage(table), parts)

    def append(
        self, table: str, parts: Iterable[pa.Table], days: Days, *, in_sequence: bool
    ) -> Loaded:
        """Append the rows that differ from the newest record of their key, or have none."""
        stage = self._stage(table)
        return append_history(stage, parts, days, in_sequence=in_sequence)

    def append_newest(self, table: str, parts: Iterable[pa.Table], days: Days) -> Loaded:
        """Append the last row of each key, if it differs from the newest record."""
        return append_newest(self._stage(table), parts, days)

    def delete(self, table: str, keys: Iterable[pa.Array] | None) -> int:
        """Delete the rows of some keys, or all for None; return how many."""
        stage = self._stage(table)
        if keys is None:
            where = others(stage)
        else:
            stage_keys(self.connection, keys)
            where = having_keys(stage.table)
        delete = careful.delete_each if self.careful else delete_rows
        return delete(stage, where)

    def apply_each(self, table: str, rows: pa.Table) -> Outcome:
        """Apply rows with distinct keys in the way of their table, one by one."""
        stage = self._stage(table)
        outcome = careful.apply_each(stage, rows)
        stage.drop()
        return outcome

    def replace_each(self, table: str, parts: Iterable[pa.Table]) -> Outcome:
        """Make a table equal to those rows that it accepts."""
        stage = self._stage(table)
        outcome = careful.replace_each(stage, parts, is_whole=True)
        stage.drop()
        return outcome

    def add_days(self, first: date, last: date) -> int:
        """Add the days that the calendar lacks; return how many."""
        if self.layout.calendar is None:
            return 0
        return add_days(self.connection, self.layout.calendar, first, last, careful=self.careful)

    def record_batch(self, source: str, batch: int) -> None:
        """Append a record to the ledger, which exists."""
        self.connection.run(
            f"INSERT INTO {self.layout.table(LEDGER).target} (source, batch, loaded_at)"
            " VALUES (:source, :batch, statement_timestamp())",
            source=source,
            batch=batch,
        )

    def run_model(self, select: Select, moment: Moment, export: Bucket | None) -> ModelRun:
        """Run a model, merge its rows into its table, and export them."""
        stage = self._stage(select.model.id)
        loaded, made = run_model(stage, self.schemas, select, moment)
        key = export_rows(stage, export, moment) if export else None
        columns = list(stage.columns)
        stage.drop()
        return ModelRun(loaded, columns, made, key)

    def export_table(self, table: str, moment: Moment, bucket: Bucket) -> str:
        """Write all rows of a table as CSV, in the order of its key; return the object's key."""
        return export_table(self._stage(table), bucket, moment)

    def _stage(self, table: str) -> Stage:
        return stage_of(self.connection, self.layout, table)
