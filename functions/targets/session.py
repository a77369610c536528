"""What load and reconcile ask of a kind of target: its SQL, and nothing else.

    Tables       what the tables of a target have; enough to tell which batches they hold
    Session      a target whose lock is held, which is opened by the kind's `loader`
    Transaction  one batch on its way in, all or none

Tables go by their names in manifests, as in `Layout.all`; the ledger is there as well.
Rows come in parts of bounded size, whose columns have their declared names.
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
    """What became of rows: the `places` of those that were refused, and why each was.

    Places are counted from 0 and ascend.
    """

    loaded: Loaded
    places: "pa.Array"
    reasons: list[str]


@dataclass(frozen=True)
class Select:
    """The SELECT of a model: the pipeline's `folder` has its file, `settings` are its values."""

    model: Model
    folder: Path
    settings: Mapping[str, str]


@dataclass(frozen=True)
class ModelRun:
    """What came of a model: its rows have these columns, and are in the object `export`, if any."""

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
        """By how much the times may differ at which one server says that it was started."""

    def has_rows(self, table: str) -> bool:
        """Return whether a table has any."""

    def greatest_record(self, table: str) -> int | None:
        """Return the greatest record id of a history, None when it is empty."""

    def newest_record(self, table: str, columns: Sequence[str]) -> Evidence | None:
        """Return the evidence of a history as it is now, None when it is empty.

        `columns` have their declared names.
        """

    def holds(self, table: str, evidence: Evidence) -> bool:
        """Return whether a history has the record of an evidence, as it was then."""


class Session(Tables, Protocol):
    """A target that nobody else loads into, while the connection that writes holds the lock."""

    def transaction(self, *, careful: bool = False) -> AbstractContextManager["Transaction"]:
        """Begin a transaction; it is on the disk when the context ends, or undone by an error.

        Raises WarehouseSetupError unless this very session holds the lock. Raises RefusedRowsError
        for a statement that was refused because of the values of rows; the session can be used
        again. Any other error leaves it to be closed. A `careful` one goes on after a refused row:
        its operations of many rows are `apply_each`, `replace_each` and `delete`.
        """

    def definitions(self) -> str:
        """Return a digest of all that decides which rows the tables accept."""

    def is_for_reference(self, reason: str) -> bool:
        """Return whether a row was refused because one that it refers to was not there."""

    def require_lock(self) -> None:
        """Raise WarehouseSetupError if another loader may be at work."""


class Transaction(Protocol):
    """What is done to a target in one transaction. Doing it again changes nothing."""

    @property
    def deletions(self) -> "DeletedRows":
        """The table of deleted rows, which is asked for where the layout has it."""

    def upsert(self, table: str, parts: Iterable["pa.Table"], *, in_sequence: bool) -> Loaded:
        """Insert or update rows by their key.

        In a sequence a key may come several times: then the last row of it counts.
        """

    def insert_first(self, table: str, parts: Iterable["pa.Table"]) -> Loaded:
        """Insert the first row of each key that is not there."""

    def replace(self, table: str, parts: Iterable["pa.Table"]) -> Loaded:
        """Make a table equal to some rows, which need no key."""

    def append(
        self, table: str, parts: Iterable["pa.Table"], days: "Days", *, in_sequence: bool
    ) -> Loaded:
        """Add the rows that differ from the newest record of their key, or have none.

        In a sequence a key may come several times: then from the row of their key before them.
        `days` covers each part before it goes in.
        """

    def append_newest(self, table: str, parts: Iterable["pa.Table"], days: "Days") -> Loaded:
        """Add the last row of each key, if it differs from the newest record.

        A loader that died may have added it with all states before it.
        """

    def delete(self, table: str, keys: Iterable["pa.Array"] | None) -> int:
        """Delete the rows of some keys, None: all; return how many.

        Keys are texts as `functions.common.keys` makes them. A careful transaction keeps rows that
        may not be deleted, and logs why.
        """

    def apply_each(self, table: str, rows: "pa.Table") -> Outcome:
        """Apply rows, no two of one key, in the way of their table, as if one by one.

        Lines of a table without a key are inserted where they are not there as often.
        """

    def replace_each(self, table: str, parts: Iterable["pa.Table"]) -> Outcome:
        """Make a table equal to those rows that it accepts; places count through all parts."""

    def add_days(self, first: date, last: date) -> int:
        """Add the days that the calendar lacks, from its first or this one to its last or this one.

        A careful transaction leaves out days that the target refuses. Returns how many were added.
        """

    def record_batch(self, source: str, batch: int) -> None:
        """Add a record to the ledger, which is there."""

    def run_model(self, select: Select, moment: Moment, export: Bucket | None) -> ModelRun:
        """Run a model and let its rows come together with those of its table, then export them.

        Raises PipelineCodeError if it fails; then nothing of it has been done.
        """

    def export_table(self, table: str, moment: Moment, bucket: Bucket) -> str:
        """Write all rows of a table as CSV, in the order of its key; return the object's key."""


class DeletedRows(Protocol):
    """The table `deleted_rows`. Tables go by their declared names, keys are texts as above."""

    def known(self, tables: Collection[str]) -> set[str]:
        """Return those of some tables of which a deletion is recorded."""

    def add(self, table: str, keys: Iterable["pa.Array"], at: datetime, batch: int) -> None:
        """Record that keys were seen to be gone; a deletion that is there is not repeated."""

    def mark_returned(self, table: str, keys: Iterable["pa.Array"], at: datetime) -> None:
        """Mark the deletions of keys that were there again.

        That concerns deletions before `at`, of which no earlier return is known.
        """
