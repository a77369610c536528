"""Decide how each table of the source is read in this batch, before any row is."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from etl import Table
from functions.common.carried import TRANSACTION
from functions.common.filling import Filling
from functions.common.manifests import IngestionManifest, TableCapture
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres import changes, large, unfit
from functions.sources.postgres.changes import Since
from functions.sources.postgres.columns import Columns, read_columns, sql_name
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.hashedkeys import HashedKeys
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.keysql import (
    hash_of,
    is_integer,
    key_sql,
    text_sql,
)
from functions.sources.postgres.lookup import Lookup
from functions.sources.postgres.portions import Portion
from functions.sources.postgres.sqltypes import arrow_type, is_accepted

ROW_BYTES = 36  # at least, in a table's pages: a header of 23, a pointer of 4, and a key
TableKeys = KeySet | HashedKeys
XID, HASH = "_xid", "_hash"
# The ids of older transactions may have been given out again.
_TRANSACTION = f"CASE WHEN age(xmin) BETWEEN 0 AND {2**31 - 2} THEN xmin::text::bigint END"
"""The columns with a row's transaction and the hash of its key, which stay in extract."""

Turn = Literal["now", "keys", "later"]
"""What is read of a table: rows, only which keys are gone, or nothing, as other tables come first.

Rows of a table are read after those of the tables to which they refer.
"""

Scan = Literal["all", "changes", "logged", "nothing"]
"""What is scanned of a table that is not read whole: rows and keys, or the rows that changed.

A key that came is in a changed row, so the keys need no scan unless rows were deleted. A row that
got another key counts as updated: the next scan of all finds that the old one is gone. Where the
source's log shows which rows were written, only these are looked up.
"""


@dataclass(frozen=True)
class TableSize:
    """About how many rows a table has, and the bytes that it takes."""

    rows: int = 0
    bytes: int = 0


NO_SIZE = TableSize()


@dataclass(frozen=True)
class TablePlan:
    """How one table is read: from which position, or why not at all.

    `variable` is the prefix of its values' names in the transaction. `since` is None for a table
    that is read whole; `error` says why a table is not read; `before` is its state at the last
    batch, None if that does not apply; `recent_xid` is the SQL of a row's transaction, if that is
    at or above the new horizon, and None when none can be; `measured` are the columns of which a
    value may be too large to carry; `is_waited_for` says whether rows of others wait for those of
    this table, and `is_sparse` whether its integer keys are kept like other keys; `scan` what is
    scanned of the table, and `lookup` finds the keys in the source's log where it is `logged`;
    `filling` is how far a table has been read that is not complete yet, and `portion` the part of
    it that this batch reads.
    """

    columns: Columns
    variable: str
    since: Since | None
    error: str | None
    before: TableCapture | None
    recent_xid: str | None
    measured: list[str]
    is_waited_for: bool
    is_sparse: bool
    scan: Scan = "all"
    lookup: Lookup | None = None
    filling: Filling | None = None
    portion: Portion | None = None
    turn: Turn = "now"

    @property
    def table(self) -> Table:
        """The table, as it is declared."""
        return self.columns.table

    @property
    def id(self) -> str:
        """The table's id."""
        return self.table.id

    @property
    def key(self) -> str:
        """The column of its integer key."""
        return self.table.keys[0]

    def types_of(self, columns: Iterable[str]) -> dict[str, pa.DataType]:
        """Return how Arrow carries some columns."""
        types = dict(self.columns.types)
        return {name: arrow_type(types[name]) for name in columns}

    @cached_property
    def key_types(self) -> dict[str, pa.DataType]:
        """The columns of its key, and how Arrow carries them."""
        return self.types_of(self.table.keys)

    @property
    def has_integer_key(self) -> bool:
        """Whether a key is one integer."""
        return is_integer(self.key_types)

    @property
    def key_sql(self) -> str:
        """The key of a row, as SQL."""
        return key_sql(self.key_types)

    @property
    def key_text(self) -> str:
        """The key of a row as text, as SQL."""
        return text_sql(self.key_types)

    @property
    def is_hashed(self) -> bool:
        """Whether its keys are in parts by their hashes: those that are no integers, or sparse."""
        return self.is_sparse or not self.has_integer_key

    @property
    def source(self) -> str:
        """The table as SQL names it."""
        return sql_name(self.table)

    @property
    def was_made_again(self) -> bool:
        """Whether the table has the same columns as before, but maybe not the same rows."""
        before = self.before
        return (
            before is not None
            and before.fingerprint == self.columns.fingerprint
            and before.incarnation not in ("", self.columns.incarnation)
        )

    @property
    def is_read(self) -> bool:
        """Whether the table is looked at in this batch, or at least its statistics."""
        return self.error is None and self.turn != "later"

    @property
    def is_whole(self) -> bool:
        """Whether all rows are read in this batch, as it is not known which have changed."""
        return self.since is None and self.portion is None and self.turn == "now"

    @property
    def is_left(self) -> bool:
        """Whether the table is not looked at, and keeps its position."""
        return self.scan == "nothing" and self.since is not None

    @property
    def has_unreported(self) -> bool:
        """Whether keys are gone that the last batch had no room for: they have to be scanned."""
        return self.before is not None and self.before.unreported

    @property
    def is_incomplete(self) -> bool:
        """Whether there are known keys of which no batch has had a row."""
        return self.portion is not None and self.portion.had is not None

    @property
    def compared(self) -> str:
        """The SQL condition for the rows whose keys are compared with runs of known ones.

        Of a table that is read for the first time, these are the keys of the rows so far, and those
        of a portion come with its rows: so no scan of all keys comes before the first one.
        """
        return self.portion.had_before if self.portion else "true"

    @property
    def is_logged(self) -> bool:
        """Whether the source's log shows which rows were written."""
        return self.scan == "logged" and self.since is not None

    @property
    def changed(self) -> str:
        """The SQL condition that is true for the rows that changed, of those that batches had."""
        if self.is_whole or self.since is not None:
            changed = changes.changed(self.variable, self.since)
            return f"{changed} AND {self.portion.had_before}" if self.portion else changed
        return "false"

    def parts(self, *, changed: bool = True) -> dict[str, bool]:
        """Return the SQL conditions for the rows that the batch reads: is each that of the portion?

        No row is in two of them. Those that `changed` are left out on request.
        """
        if self.turn != "now":
            return {}
        found = {self.found: False} if changed and not self.is_left else {}
        if self.portion is None or self.portion.is_empty:
            return found
        apart = {f"{condition} AND NOT ({self.portion.rows})": False for condition in found}
        return {self.portion.rows: True} | apart

    @property
    def taken(self) -> str:
        """The SQL condition for the rows that the batch reads."""
        return " OR ".join(f"({condition})" for condition in self.parts()) or "false"

    @property
    def found(self) -> str:
        """The SQL condition by which these rows are found: by their keys, where these are known."""
        if self.lookup is None or not self.is_logged:
            return self.changed
        return f"{self.changed} AND {self.lookup.has_key('written')}"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of `rows`: that of the columns, `_xid`, `_transaction`, `_hash`.

        The first of these unless none is recent, the second unless the table is read whole, the
        last only where a key is hashed, and rows of others wait for it.
        """
        return pa.schema([*self.columns.schema, *((name, pa.int64()) for name in self._own)])

    def rows(self, condition: str, *, are_changed: bool = True) -> str:
        """Return the query for the rows for which a condition holds, to be parsed as `schema`.

        Of rows that are read whether they changed or not, nobody asks for the transaction.
        """
        own = self._own
        if not are_changed and TRANSACTION in own:
            own[TRANSACTION] = "NULL::bigint"
        return self.select(condition, *own.values())

    @property
    def _own(self) -> dict[str, str]:
        """Expressions that `rows` selects beside the columns, as SQL."""
        own = {} if self.recent_xid is None else {XID: self.recent_xid}
        if self.since is not None:
            own[TRANSACTION] = _TRANSACTION
        if self.is_waited_for and self.is_hashed:
            own[HASH] = hash_of(self.key_text)
        return own

    def select(self, condition: str, *more: str) -> str:
        """Return the query for rows and for `more` expressions of each, to be read by `parse`."""
        columns = ", ".join([large.select_list(self.columns, self.measured), *more])
        return f"SELECT {columns} FROM {self.source} WHERE {condition}"

    def parse(self, block: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
        """Parse rows of `select` as a schema: that of the columns, then what `more` gives."""
        return unfit.parse(block, schema, has_notes=bool(self.measured))


def plan_tables(
    connection: PostgresConnection,
    snapshot: Snapshot,
    before: IngestionManifest | None,
    declared: Declared,
    whole: Collection[str] = (),
    *,
    sparse: Collection[str] = (),
) -> dict[str, TablePlan]:
    """Return the plan of every table by its id, and set the values that conditions refer to.

    The tables in `whole` are read whole, whatever their position. The keys of those in `sparse` are
    in parts by their hashes, whatever their types.
    """
    plans, recent_xid = {}, changes.recent_xid(snapshot)
    tables = read_columns(connection, declared.tables.values())
    drift = {name: columns.drift() for name, columns in tables.items()}
    readable = [columns.table for name, columns in tables.items() if drift[name] is None]
    apart = large.storing_apart(connection, readable)
    for number, (name, columns) in enumerate(tables.items()):
        capture = changes.standing(snapshot, before, name)
        position = changes.since(capture, columns.fingerprint, columns.incarnation)
        # While it was stopped, rows that join with it may have changed.
        resumes = name in declared.joined and capture is not None and capture.error is not None
        if name in whole or resumes or not has_key(capture, columns.table):
            position = None
        measured = large.columns_to_measure(columns, apart=name in apart)
        plans[name] = TablePlan(
            columns,
            f"t{number}",
            position,
            drift[name],
            capture,
            recent_xid,
            measured,
            name in declared.waited_for,
            name in sparse,
            filling=_filling(before, columns.table),
        )
    positions = {plan.variable: plan.since for plan in plans.values() if plan.since is not None}
    changes.give_values(connection, snapshot, positions)
    return plans


def _filling(before: IngestionManifest | None, table: Table) -> Filling | None:
    """Return how far the last batch has read a table, None if all of it, or by another key."""
    capture = before.capture(table.id) if before else None
    return capture.filling if capture is not None and has_key(capture, table) else None


def has_key(capture: TableCapture | None, table: Table) -> bool:
    """Return whether a batch identified rows by the key that is declared today."""
    if capture is None or capture.key != list(table.keys):
        return False
    types = dict(capture.columns)
    return all(is_accepted(table.columns[name], types.get(name, "")) for name in table.keys)
