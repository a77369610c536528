"""Staged rows: a temporary table with the types of the table that they are for.

So the warehouse itself decides which values differ.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import SESSION
from functions.targets.postgres.tables import PostgresLayout, PostgresTable

SESSION_PARAMETERS = {
    **SESSION,
    "jit": "off",
}


FEW = 1_000
"""Rows that are looked up one by one where there is an index, beside however many records."""


class Stage:
    """Rows of one table of a batch, in the temporary table `name` of a session."""

    def __init__(self, connection: PostgresConnection, table: PostgresTable, name: str) -> None:
        self.connection = connection
        self.table = table
        self.name = name
        self.columns: list[str] = []
        self.rows = 0

    @property
    def source(self) -> str:
        """The quoted name of the temporary table."""
        return str(identifier(self.name))

    @property
    def others(self) -> list[str]:
        """The columns beside the key."""
        keys = self.table.keys
        return [column for column in self.columns if column not in keys]

    @property
    def looks_up(self) -> bool:
        """Whether the records of the rows are looked up one by one."""
        return self.table.finds_keys and self.rows <= FEW

    @contextmanager
    def planned(self) -> Iterator[None]:
        """Have statements in which rows are looked up use the index, whatever statistics say."""
        if self.looks_up:
            self.connection.run("SET LOCAL enable_seqscan = off")
        yield
        if self.looks_up:
            self.connection.run("SET LOCAL enable_seqscan = on")

    def fill(self, batches: Iterable[pa.RecordBatch], extra: str = "") -> None:
        """Copy rows into the stage, creating it for the first; `extra` is as in `open`."""
        before = self.rows
        for batch in batches:
            self.open(batch.schema.names, extra)
            copy_in(self.connection, self.source, self.columns, [batch])
            self.rows += batch.num_rows
        if self.rows > before:
            # The stage is the only table of the plan that this role may surely analyse.
            self.connection.run(f"ANALYZE {self.source}")

    def open(self, names: Iterable[str], extra: str = "") -> None:
        """Create the temporary table, with columns of these declared names, unless it exists.

        `extra` is SQL of a further column.
        """
        if self.columns:
            return
        self.columns = [self.table.column(name) for name in names]
        self.connection.run(
            f"CREATE TEMPORARY TABLE {self.source} ON COMMIT DROP AS"
            f" SELECT {self.list_of()}{extra} FROM {self.table.target} WITH NO DATA"
        )

    def drop(self) -> None:
        """Drop the temporary table, so that the stage can be filled again."""
        if self.columns:
            self.connection.run(f"DROP TABLE {self.source}")
        self.columns, self.rows = [], 0

    def changed(self) -> str:
        """Return SQL from FROM on: the rows `s` that differ from the newest record of their key."""
        return f"FROM {self.source} AS s {self.with_newest()} WHERE {self.is_news}"

    def with_newest(self) -> str:
        """Return the SQL that joins the newest record of its key, `newest`, to each row `s`."""
        table = self.table
        keys, record_id = table.key_values("f"), identifier(str(table.record_id))
        if self.looks_up:
            # Not in the order of the record id itself, by whose index all records would be read.
            return (
                f"LEFT JOIN LATERAL (SELECT {self.list_of('f')} FROM {table.target} AS f"
                f" WHERE {table.same_key('f', 's')} ORDER BY f.{record_id} + 0 DESC LIMIT 1)"
                " AS newest ON true"
            )
        return (
            f"LEFT JOIN (SELECT DISTINCT ON ({keys}) {self.list_of('f')}"
            f" FROM {table.target} AS f JOIN {self.source} AS k ON {table.same_key('k', 'f')}"
            f" ORDER BY {keys}, f.{record_id} DESC) AS newest ON {table.same_key('newest', 's')}"
        )

    @property
    def is_news(self) -> str:
        """The SQL condition that `s` has no `newest` record, or differs from it."""
        first = f"newest.{identifier(self.table.keys[0])}"
        return f"({first} IS NULL OR {self.differs('newest', 's')})"

    @property
    def is_missing(self) -> str:
        """The SQL condition that the table has no row with the key of `s`."""
        same_key = self.table.same_key("d", "s")
        return f"NOT EXISTS (SELECT FROM {self.table.target} AS d WHERE {same_key})"

    def list_of(self, alias: str = "") -> str:
        """Return the columns as an SQL list, qualified by an alias."""
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + identifier(column) for column in self.columns)

    def assignments(self, alias: str) -> str:
        """Return the SQL that assigns an alias's columns, except the key."""
        return ", ".join(
            f"{identifier(column)} = {alias}.{identifier(column)}" for column in self.others
        )

    def differs(self, here: str, there: str) -> str:
        """Return the SQL condition that two aliases differ in a column other than the key."""
        if not self.others:
            return "false"
        one, other = (
            ", ".join(self.table.value(column, alias) for column in self.others)
            for alias in (here, there)
        )
        return f"({one}) IS DISTINCT FROM ({other})"


def stage_of(connection: PostgresConnection, layout: PostgresLayout, name: str) -> Stage:
    """Return an empty stage for a table, with a short, unique name."""
    return Stage(connection, layout.all[name], f"stage_{list(layout.all).index(name)}")
