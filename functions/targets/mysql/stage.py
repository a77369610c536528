"""Staged rows: a temporary table with the types of the table that they are for.

So the warehouse itself decides which values differ. In MySQL a statement can name a temporary table
only once, and statistics cannot be refreshed within a transaction: results about staged rows go
into further tables, by their places, and STRAIGHT_JOIN fixes the order of joins.
"""

import re
from collections.abc import Iterable

import pyarrow as pa

from functions.common.ahead import ahead
from functions.common.errors import OversizedRowError
from functions.common.mysql import MysqlConnection, ServerError, quoted
from functions.common.mysqlcodes import Condition
from functions.targets.mysql.literals import insert_statements
from functions.targets.mysql.tables import MysqlLayout, MysqlTable

_TOO_LONG = Condition(1153, "08S01", "a row is longer than max_allowed_packet [08S01/1153]", True)
_INDEXED_CHARACTERS = 191  # of a text: 764 bytes of the 3,072 of an index
_INDEXED_COLUMNS = 4
_LONG = re.compile(r"(tiny|medium|long)?(text|blob)|json|geometry|point")


class Stage:
    """Rows of one table of a batch, in the temporary table `source`; their places ascend."""

    def __init__(self, connection: MysqlConnection, table: MysqlTable, name: str) -> None:
        self.connection = connection
        self.table = table
        self.source = quoted(name)
        self.columns: list[str] = []
        self.rows = 0
        self._name = name
        self._filled: list[str] = []
        self._created: list[str] = []

    @property
    def place(self) -> str:
        """The quoted name of the column that numbers the rows, which the table does not have."""
        name = "_place"
        while name in self.table.types:
            name += "_"
        return quoted(name)

    @property
    def others(self) -> list[str]:
        """The columns beside the key."""
        keys = self.table.keys
        return [column for column in self.columns if column not in keys]

    def fill(self, rows: pa.Table) -> None:
        """Insert rows in their order, creating the stage for the first."""
        if rows.num_rows:
            self.open(rows.column_names)
            insert(self.connection, self.source, self.table, rows)
            self.rows += rows.num_rows

    def open(self, names: Iterable[str]) -> None:
        """Create the temporary table, with columns of these declared names, unless it exists."""
        if self.columns:
            return
        self.columns = [self.table.column(name) for name in names]
        lines = [f"{quoted(column)} {self._definition(column)} NULL" for column in self.columns]
        lines.append(f"{self.place} bigint NOT NULL AUTO_INCREMENT PRIMARY KEY")
        if self.table.keys and not self.table.is_indexed:
            indexed = map(self._indexed, self.table.keys[:_INDEXED_COLUMNS])
            lines.append(f"KEY ({', '.join(indexed)})")
        self._fillable(self.source, lines)

    def places(self, name: str, column: str = "") -> str:
        """Create a table of places of staged rows, with a column about each."""
        lines = [f"{self.place} bigint NOT NULL PRIMARY KEY", *filter(None, [column])]
        return self._fillable(quoted(f"{self._name}_{name}"), lines)

    def copy(self, name: str) -> str:
        """Create a table like the stage, for other rows with the same places."""
        lines = [f"{quoted(column)} {self._definition(column)} NULL" for column in self.columns]
        lines.append(f"{self.place} bigint NOT NULL PRIMARY KEY")
        return self._fillable(quoted(f"{self._name}_{name}"), lines)

    def create(self, name: str, lines: Iterable[str]) -> str:
        """Create another temporary table; return its quoted name."""
        table = quoted(f"{self._name}_{name}")
        create(self.connection, table, lines)
        self._created.append(table)
        return table

    def empty(self) -> None:
        """Delete the rows and the results about them."""
        for table in self._filled:
            self.connection.run(f"DELETE FROM {table}")
        self.rows = 0

    def drop(self) -> None:
        """Drop the temporary tables, so that the stage can be filled again."""
        if tables := [*self._filled, *self._created]:
            self.connection.run(f"DROP TEMPORARY TABLE {', '.join(tables)}")
        self.columns, self.rows, self._filled, self._created = [], 0, [], []

    def joined(self, alias: str) -> str:
        """Return SQL after FROM: the rows `s`, joined with the table's rows of the same key.

        The join uses the table's index on the key, or, if it has none, the stage's.
        """
        same = self.table.same_key(alias, "s")
        mine, theirs = f"{self.source} AS s", f"{self.table.target} AS {alias}"
        first, second = (mine, theirs) if self.table.is_indexed else (theirs, mine)
        return f"{first} STRAIGHT_JOIN {second} ON {same}"

    def at(self, other: str, alias: str) -> str:
        """Return the SQL that joins another table to the rows `s` by place."""
        return f"{other} AS {alias} ON {alias}.{self.place} = s.{self.place}"

    def list_of(self, alias: str = "") -> str:
        """Return the columns as an SQL list, qualified by an alias."""
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + quoted(column) for column in self.columns)

    def differs(self, here: str, there: str) -> str:
        """Return the SQL condition that two aliases differ in a column other than the key."""
        same = " AND ".join(
            f"{self.table.value(column, here)} <=> {self.table.value(column, there)}"
            for column in self.others
        )
        return f"NOT ({same})" if same else "FALSE"

    def _fillable(self, table: str, lines: Iterable[str]) -> str:
        if table not in self._filled:
            create(self.connection, table, lines)
            self._filled.append(table)
        return table

    def _definition(self, column: str) -> str:
        return self.table.definitions[column]

    def _indexed(self, column: str) -> str:
        """Return a column of an index, long texts as a prefix."""
        kind = self.table.types[column]
        length = re.search(r"^\w+\((\d+)", kind)
        is_text = "char" in kind or "binary" in kind
        is_long = is_text and length is not None and int(length[1]) > _INDEXED_CHARACTERS
        if is_long or _LONG.match(kind):
            return f"{quoted(column)}({_INDEXED_CHARACTERS})"
        return quoted(column)


def create(connection: MysqlConnection, table: str, lines: Iterable[str]) -> None:
    """Create a transactional temporary table, which commits nothing.

    It needs a primary key, which some servers require.
    """
    connection.run(
        f"CREATE TEMPORARY TABLE {table} ({', '.join(lines)}) ENGINE=InnoDB"
        " DEFAULT CHARACTER SET utf8mb4"
    )


def insert(connection: MysqlConnection, target: str, table: MysqlTable, rows: pa.Table) -> None:
    """Insert rows into `target`, a quoted name, which has the columns of a table.

    A thread formats the next statement while the server works. Raises ServerError.
    """
    columns = [table.column(name) for name in rows.column_names]
    head = f"INSERT INTO {target} ({', '.join(map(quoted, columns))}) VALUES "
    kinds = [table.types[column] for column in columns]
    try:
        with ahead(insert_statements(head, rows, kinds, connection.packet)) as statements:
            for statement in statements:
                connection.store(statement)
    except OversizedRowError:
        raise ServerError(_TOO_LONG) from None


def stage_of(connection: MysqlConnection, layout: MysqlLayout, name: str) -> Stage:
    """Return an empty stage for a table, with a short, unique name."""
    return Stage(connection, layout.all[name], f"etl_stage_{list(layout.all).index(name)}")
