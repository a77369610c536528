"""The interface of a kind of target for load and reconcile: its SQL, and nothing else.

    Tables       what the tables of a target have, by which their batches are known
    Session      a target whose lock is held, which is opened by the kind's `loader`
    Transaction  one batch, applied in whole or not at all

Tables are named as in manifests, as in `Layout.all` and for the ledger. Rows come in parts of
bounded size, with columns by their declared names.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from etl.models import Model
from functions.common.loaded import Evidence, Loaded
from functions.common.storage import Bucket
from functions.targets import Made, Moment
from functions.targets.layout import Layout, WarehouseTable

if TYPE_CHECKING:
    import pyarrow as pa

    from functions.targets.calendar import Days


@dataclass(frozen=True)
class Outcome:
    """The outcome of rows: the `places` of the refused ones, from 0 and ascending, with reasons."""

    loaded: Loaded
    places: "pa.Array"
    reasons: list[str]


@dataclass(frozen=True)
class Select:
    """The SELECT of a model: the pipeline's `folder` with its file, and the values of settings."""

    model: Model
    folder: Path
    settings: Mapping[str, str]


@dataclass(frozen=True)
class ModelRun:
    """The result of a model: its counts and columns, and the object `export`, if it has one."""

    loaded: Loaded
    columns: Sequence[str]
    made: Made
    export: str | None


class Tables(Protocol):
    """The tables of a target, as one source feeds them, and what they have."""

    @property
    def layout(self) -> Layout[WarehouseTable]:
        """Which target it is, and its tables."""

    @property
    def start_precision(self) -> timedelta:
        """By how much a server's reported start times may differ."""

    def has_rows(self, table: str) -> bool:
        """Return whether a table has any."""

    def greatest_record(self, table: str) -> int | None:
        """Return the greatest record id of a history, None when it is empty."""

    def newest_record(self, table: str, columns: Sequence[str]) -> Evidence | None:
        """Return the evidence of a history as it is now, None when it is empty.

        `columns` have their declared names.
        """

    def holds(self, table: str, evidence: Evidence) -> bool:
        """Return whether a history has the record of an evidence, unchanged."""


class Session(Tables, Protocol):
    """A target that is locked for this loader; the connection that writes holds the lock."""

    def transaction(self, *, careful: bool = False) -> AbstractContextManager["Transaction"]:
        """Begin a transaction, which is durable when the context ends, or rolled back by an error.

        Raises WarehouseSetupError unless this very session holds the lock, and RefusedRowsError for
        a statement that is rejected because of the values of rows; then the session can be used
        again. After any other error it must be closed. A `careful` transaction continues after a
        refused row: its operations on rows are `apply_each`, `replace_each` and `delete`.
        """

    def definitions(self) -> str:
        """Return a digest of what decides which rows the tables accept."""

    def is_for_reference(self, reason: str) -> bool:
        """Return whether a row was refused because a row that it refers to is missing."""

    def require_lock(self) -> None:
        """Raise WarehouseSetupError if another loader may be at work."""


class Transaction(Protocol):
    """The operations on a target in one transaction; all are idempotent."""

    @property
    def deletions(self) -> "DeletedRows":
        """The table of deleted rows, if the layout has it."""

    def upsert(self, table: str, parts: Iterable["pa.Table"], *, in_sequence: bool) -> Loaded:
        """Insert or update rows by their key.

        In a sequence a key may occur several times, and its last row counts.
        """

    def insert_first(self, table: str, parts: Iterable["pa.Table"]) -> Loaded:
        """Insert the first row of each key that is missing."""

    def replace(self, table: str, parts: Iterable["pa.Table"]) -> Loaded:
        """Make a table equal to some rows, with or without a key."""

    def append(
        self, table: str, parts: Iterable["pa.Table"], days: "Days", *, in_sequence: bool
    ) -> Loaded:
        """Append the rows that differ from the newest record of their key, or have none.

        In a sequence a key may occur several times, and each row is compared with the one before
        it. `days` covers each part before it is inserted.
        """

    def append_newest(self, table: str, parts: Iterable["pa.Table"], days: "Days") -> Loaded:
        """Append the last row of each key, if it differs from the newest record.

        A loader that died may have appended it with all states before it.
        """

    def delete(self, table: str, keys: Iterable["pa.Array"] | None) -> int:
        """Delete the rows of some keys, or all for None; return how many.

        Keys are texts as `functions.common.keys` makes them. A careful transaction keeps rows that
        cannot be deleted, and logs why.
        """

    def apply_each(self, table: str, rows: "pa.Table") -> Outcome:
        """Apply rows with distinct keys, in the way of their table, as if one by one.

        Rows of a table without a key are inserted as often as they are missing.
        """

    def replace_each(self, table: str, parts: Iterable["pa.Table"]) -> Outcome:
        """Make a table equal to those rows that it accepts; places count across all parts."""

    def add_days(self, first: date, last: date) -> int:
        """Add the days that the calendar lacks between `first`, `last` and the days it has.

        A careful transaction skips days that the target refuses. Returns how many were added.
        """

    def record_batch(self, source: str, batch: int) -> None:
        """Append a record to the ledger, which exists."""

    def run_model(self, select: Select, moment: Moment, export: Bucket | None) -> ModelRun:
        """Run a model, merge its rows into its table in its way, and export them.

        Raises PipelineCodeError if it fails; then nothing of it has been done.
        """

    def export_table(self, table: str, moment: Moment, bucket: Bucket) -> str:
        """Write all rows of a table as CSV, in the order of its key; return the object's key."""


class DeletedRows(Protocol):
    """The table `deleted_rows`; tables by their declared names, keys as texts as above."""

    def known(self, tables: Collection[str]) -> set[str]:
        """Return those of some tables that have a recorded deletion."""

    def add(self, table: str, keys: Iterable["pa.Array"], at: datetime, batch: int) -> None:
        """Record that keys were deleted; a recorded deletion is not repeated."""

    def mark_returned(self, table: str, keys: Iterable["pa.Array"], at: datetime) -> None:
        """Mark deletions before `at` of keys that have returned since."""
