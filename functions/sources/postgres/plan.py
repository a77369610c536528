"""Decide how each table of the source is read in this batch, before any row is."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pg8000.native
import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier, literal

from etl import Table
from functions.common.copy import copy_out
from functions.common.manifests import IngestionManifest, TableCapture
from functions.sources.postgres import changes, keysets, large, unfit
from functions.sources.postgres.changes import Since
from functions.sources.postgres.columns import Columns, read_columns, sql_name
from functions.sources.postgres.declared import Declared
from functions.sources.postgres.history import Snapshot
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.sqltypes import is_accepted


@dataclass(frozen=True)
class TablePlan:
    """How one table is read: from where on, or why not at all.

    `variable` begins the names of its values in the transaction. `since` is None for a table that
    is read whole; `error` says why a table is left out; `before` is where it stood, None if that
    means nothing here; `recent_xid` is the SQL of a row's transaction, if that is at or above the
    new horizon, and None when none can be; `measured` are the columns of which a value may be too
    large to carry.
    """

    columns: Columns
    variable: str
    since: Since | None
    error: str | None
    before: TableCapture | None
    recent_xid: str | None
    measured: list[str]

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

    @property
    def source(self) -> str:
        """The table as SQL names it."""
        return sql_name(self.table)

    @property
    def was_made_again(self) -> bool:
        """Whether the table has the columns that it had, and may not have the rows."""
        before = self.before
        return (
            before is not None
            and before.fingerprint == self.columns.fingerprint
            and before.incarnation not in ("", self.columns.incarnation)
        )

    @property
    def is_whole(self) -> bool:
        """Whether all rows are read: there is no telling which have changed."""
        return self.since is None

    @property
    def changed(self) -> str:
        """The SQL condition that is true for the rows that changed."""
        return changes.changed(self.variable, self.since)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of `rows`: that of the columns, and `_xid` unless none is recent."""
        schema = self.columns.schema
        return schema if self.recent_xid is None else schema.append(pa.field("_xid", pa.int64()))

    def rows(self, condition: str) -> str:
        """Return the query for the rows for which a condition holds, to be parsed as `schema`."""
        return self.select(condition, *([] if self.recent_xid is None else [self.recent_xid]))

    def select(self, condition: str, *more: str) -> str:
        """Return the query for rows and for `more` expressions of each, to be read by `parse`."""
        columns = ", ".join([large.select_list(self.columns, self.measured), *more])
        return f"SELECT {columns} FROM {self.source} WHERE {condition}"

    def parse(self, block: bytes, schema: pa.Schema) -> list[pa.RecordBatch]:
        """Parse rows of `select` as a schema: that of the columns, then what `more` gives."""
        return unfit.parse(block, schema, has_notes=bool(self.measured))


@dataclass(frozen=True)
class Survey:
    """What one scan of a table tells: the digests of its keys, and how many rows changed."""

    digests: pa.Table
    changed: int

    def differs_from(self, known: KeySet) -> bool:
        """Tell whether the table has other keys than it had."""
        return len(keysets.changed_buckets(known.digests, self.digests)) > 0


def plan_tables(
    connection: pg8000.native.Connection,
    snapshot: Snapshot,
    before: IngestionManifest | None,
    declared: Declared,
    whole: Collection[str] = (),
) -> dict[str, TablePlan]:
    """Return the plan of every table by its id, and give the transaction what conditions need.

    The tables in `whole` are read whole, wherever they stand.
    """
    plans, recent_xid = {}, changes.recent_xid(snapshot)
    tables = read_columns(connection, declared.tables.values())
    drift = {name: columns.drift() for name, columns in tables.items()}
    readable = [columns.table for name, columns in tables.items() if drift[name] is None]
    apart = large.storing_apart(connection, readable)
    for number, (name, columns) in enumerate(tables.items()):
        capture = changes.standing(snapshot, before, name)
        position = changes.since(capture, columns.fingerprint, columns.incarnation)
        # While it was stopped its partner may have changed, with no row of this one beside it.
        resumes = name in declared.joined and capture is not None and capture.error is not None
        if name in whole or resumes or not has_key(capture, columns.table):
            position = None
        error = drift[name] or _rows_without_key(connection, columns)
        measured = large.columns_to_measure(columns, apart=name in apart)
        plans[name] = TablePlan(
            columns, f"t{number}", position, error, capture, recent_xid, measured
        )
    positions = {plan.variable: plan.since for plan in plans.values() if plan.since is not None}
    changes.give_values(connection, snapshot, positions)
    return plans


def has_key(capture: TableCapture | None, table: Table) -> bool:
    """Tell whether rows were told apart by the key that is declared today."""
    if capture is None or capture.key != list(table.keys):
        return False
    types = dict(capture.columns)
    return all(is_accepted(table.columns[name], types.get(name, "")) for name in table.keys)


def _rows_without_key(connection: pg8000.native.Connection, columns: Columns) -> str | None:
    """Say that a table has rows without a key, which nothing could tell apart."""
    if not columns.key_may_be_null:
        return None
    table = columns.table
    for key in table.keys:
        [[found]] = connection.run(
            f"SELECT EXISTS (SELECT FROM {sql_name(table)} WHERE {identifier(key)} IS NULL)"
        )
        if found:
            return f"{table}: a row has no {key}: give it one, or delete it"
    return None


def survey(
    connection: pg8000.native.Connection, plans: list[TablePlan], known: Mapping[str, KeySet]
) -> dict[str, Survey]:
    """Scan tables, each once, in one statement; keys are grouped as in the `known` sets."""
    if not plans:
        return {}
    scans = [
        f"SELECT {literal(plan.id)},"
        f" {keysets.digest_columns(plan.key, known.get(plan.id, KeySet()).shift)},"
        f" count(*) FILTER (WHERE {plan.changed}) FROM {plan.source} GROUP BY 2"
        for plan in plans
    ]
    schema = pa.schema([("table", pa.string()), *keysets.DIGESTS, ("changed", pa.int64())])
    # Not row by row: sparse keys have a digest each.
    found = pa.Table.from_batches(copy_out(connection, " UNION ALL ".join(scans), schema), schema)
    return {plan.id: _survey_of(plan, found) for plan in plans}


def _survey_of(plan: TablePlan, found: pa.Table) -> Survey:
    mine = found.filter(pc.equal(found["table"], plan.id)).sort_by("bucket")
    return Survey(mine.select(keysets.DIGESTS.names), pc.sum(mine["changed"]).as_py() or 0)
