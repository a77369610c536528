"""Rows of a star table on their way in: a temporary table of the warehouse's own types.

So it is the warehouse that decides what "differs" means.
"""

from collections.abc import Iterable

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import SESSION, copy_in
from functions.targets.postgres.star import DIMENSIONS, FACTS, Star, StarTable

SESSION_PARAMETERS = {
    **SESSION,
    "jit": "off",
}


class Stage:
    """The rows of one star table of a batch, in a temporary table."""

    def __init__(self, table: StarTable, key: str) -> None:
        self.table = table
        self.key = key
        self.name = f"stage_{table.name}"
        self.columns: list[str] = []
        self.rows = 0

    def fill(self, connection: pg8000.native.Connection, batches: Iterable[pa.RecordBatch]) -> None:
        """Copy the rows in; without any, nothing is created."""
        before = self.rows
        for batch in batches:
            self.open(connection, batch.schema)
            copy_in(connection, identifier(self.name), self.columns, [batch])
            self.rows += batch.num_rows
        if self.rows > before:
            # The stage is ours, and the only table of the plan that we may tell the planner about.
            connection.run(f"ANALYZE {identifier(self.name)}")

    def open(
        self, connection: pg8000.native.Connection, schema: pa.Schema, extra: str = ""
    ) -> None:
        """Create the temporary table unless it is there; `extra` is SQL of a further column."""
        if self.columns:
            return
        self.columns = [self.table.column(field.name) for field in schema]
        connection.run(
            f"CREATE TEMPORARY TABLE {identifier(self.name)} ON COMMIT DROP AS"
            f" SELECT {self.list_of()}{extra} FROM {self.table.target} WITH NO DATA"
        )

    def changed(self) -> str:
        """Return SQL from FROM on: the rows `s` that differ from the newest record of their key."""
        source, target = identifier(self.name), self.table.target
        key, record_id = identifier(self.key), identifier(str(self.table.record_id))
        return (
            f"FROM {source} AS s"
            f" LEFT JOIN (SELECT DISTINCT ON (f.{key}) {self.list_of('f')}"
            f" FROM {target} AS f JOIN {source} AS k ON k.{key} = f.{key}"
            f" ORDER BY f.{key}, f.{record_id} DESC) AS newest ON newest.{key} = s.{key}"
            f" WHERE (newest.{key} IS NULL OR {self.differs('newest', 's')})"
        )

    def list_of(self, alias: str = "", columns: list[str] | None = None) -> str:
        """Return columns, all by default, as an SQL list, each with a table's alias before it."""
        names = self.columns if columns is None else columns
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + identifier(column) for column in names)

    def differs(self, here: str, there: str) -> str:
        """Return the SQL that is true where two aliases disagree in any column but the key."""
        others = [column for column in self.columns if column != self.key]
        return f"({self.list_of(here, others)}) IS DISTINCT FROM ({self.list_of(there, others)})"


def stage_of(star: Star, name: str) -> Stage:
    """Return an empty stage for the star table `name`."""
    table = star.tables[name]
    return Stage(table, table.column((DIMENSIONS | FACTS)[name]))
