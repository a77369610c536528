"""One transaction of a MySQL warehouse: see `functions.targets.session.Transaction`."""

from collections.abc import Iterable
from datetime import date

import pyarrow as pa

from functions.common.errors import PipelineCodeError
from functions.common.loaded import Loaded
from functions.common.mysql import MysqlConnection, literal
from functions.common.storage import Bucket
from functions.targets import Moment
from functions.targets.calendar import Days
from functions.targets.mysql import apply, careful, snapshot
from functions.targets.mysql.calendar import add_days
from functions.targets.mysql.deletions import MysqlDeletions
from functions.targets.mysql.stage import Stage, stage_of
from functions.targets.mysql.tables import MysqlLayout
from functions.targets.own_tables import LEDGER
from functions.targets.session import ModelRun, Outcome, Select


class MysqlTransaction:
    """The operations of one transaction; a `careful` one survives a refused row."""

    def __init__(
        self,
        connection: MysqlConnection,
        layout: MysqlLayout,
        deletions: MysqlDeletions,
        is_careful: bool,
    ) -> None:
        self.connection = connection
        self.deletions = deletions
        self._layout = layout
        self._is_careful = is_careful
        self._stages: list[Stage] = []

    def upsert(self, table: str, parts: Iterable[pa.Table], *, in_sequence: bool) -> Loaded:
        """Insert or update rows by their key; in a sequence the last row of it counts."""
        return apply.upsert(self._stage(table), parts, in_sequence=in_sequence)

    def insert_first(self, table: str, parts: Iterable[pa.Table]) -> Loaded:
        """Insert the first row of each key that is missing."""
        return apply.insert_first(self._stage(table), parts)

    def replace(self, table: str, parts: Iterable[pa.Table]) -> Loaded:
        """Make a table equal to some rows."""
        return snapshot.replace_all(self._stage(table), parts)

    def append(
        self, table: str, parts: Iterable[pa.Table], days: Days, *, in_sequence: bool
    ) -> Loaded:
        """Append the rows that differ from the newest record of their key, or have none."""
        return apply.append(self._stage(table), parts, days, in_sequence=in_sequence)

    def append_newest(self, table: str, parts: Iterable[pa.Table], days: Days) -> Loaded:
        """Append the last row of each key, if it differs from the newest record."""
        return apply.append_newest(self._stage(table), parts, days)

    def delete(self, table: str, keys: Iterable[pa.Array] | None) -> int:
        """Delete the rows of some keys, or all for None; return how many."""
        stage = self._stage(table)
        if keys is not None:
            return snapshot.delete_keys(stage, keys, is_careful=self._is_careful)
        return snapshot.delete_unused(stage) if self._is_careful else snapshot.delete_all(stage)

    def apply_each(self, table: str, rows: pa.Table) -> Outcome:
        """Apply rows with distinct keys in the way of their table, as if one by one."""
        stage = self._stage(table)
        if not stage.table.key:
            return snapshot.insert_each(stage, [rows])
        return careful.each(self.connection, [rows], lambda some: apply.apply_rows(stage, some))

    def replace_each(self, table: str, parts: Iterable[pa.Table]) -> Outcome:
        """Make a table equal to those rows that it accepts."""
        return snapshot.replace_each(self._stage(table), parts)

    def add_days(self, first: date, last: date) -> int:
        """Add the days that the calendar lacks; return how many."""
        calendar = self._layout.calendar
        if calendar is None:
            return 0
        return add_days(self.connection, calendar, first, last, is_careful=self._is_careful)

    def record_batch(self, source: str, batch: int) -> None:
        """Append a record to the ledger, which exists."""
        self.connection.run(
            f"INSERT INTO {self._layout.table(LEDGER).target} (source, batch, loaded_at)"
            f" VALUES ({literal(source)}, {batch}, UTC_TIMESTAMP(6))"
        )

    def run_model(
        self,
        select: Select,
        moment: Moment,  # noqa: ARG002
        export: Bucket | None,  # noqa: ARG002
    ) -> ModelRun:
        """Raise PipelineCodeError: a declaration of this kind has no models."""
        raise PipelineCodeError(f"{select.model}: MySQL has no models here: declare a view")

    def export_table(
        self,
        table: str,
        moment: Moment,  # noqa: ARG002
        bucket: Bucket,  # noqa: ARG002
    ) -> str:
        """Raise PipelineCodeError: a declaration of this kind has no exports."""
        raise PipelineCodeError(f"table {table}: MySQL has no exports here: do not declare any")

    def drop(self) -> None:
        """Drop the temporary tables."""
        for stage in self._stages:
            stage.drop()
        self.deletions.drop()
        self._stages.clear()

    def _stage(self, table: str) -> Stage:
        """Return an empty stage for a table, dropping the last one."""
        self.drop()
        stage = stage_of(self.connection, self._layout, table)
        self._stages.append(stage)
        return stage
