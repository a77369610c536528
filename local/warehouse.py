"""A warehouse of any kind, to look at what is in it; how its SQL differs by kind is here."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deployer.configuration.databases import DatabaseAddress
from etl import ddl, mysqlddl
from local.session import mysql_session, session

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Warehouse:
    """A warehouse with an open session: `run` runs a statement and returns its rows.

    `quoted` makes an identifier of a name, `text` is the type that any value can be cast to, and
    after `enter` and a schema that is where unqualified names are.
    """

    run: Callable[[str], Rows]
    quoted: Callable[[str], str]
    text: str
    enter: str

    def answer(self, schema: str, query: str) -> Rows:
        """Return the rows of a SELECT whose unqualified names are in a schema."""
        self.run(f"{self.enter} {self.quoted(schema)}")
        return self.run(query)

    def place(self, schema: str, table: str) -> str:
        """Return how SQL names a table."""
        return f"{self.quoted(schema)}.{self.quoted(table)}"

    def tables(self) -> set[tuple[str, str]]:
        """Return schema and name of each table that we may look into; views are none."""
        found = self.run(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
        )
        return {(schema, name) for schema, name in found}

    def count(self, schema: str, table: str) -> int:
        """Count the rows of a table or view."""
        [[found]] = self.run(f"SELECT count(*) FROM {self.place(schema, table)}")
        return int(found)


@contextmanager
def look(address: DatabaseAddress, kind: str) -> Iterator[Warehouse]:
    """Open a session on a warehouse as the functions do; `kind` is that of the target.

    Raises DatabaseProblem for what goes wrong with it, or in the functions' code that uses it.
    """
    if kind == "postgres":
        with session(address) as connection:
            yield Warehouse(
                lambda sql: connection.run(sql) or [], ddl.quoted, "text", "SET search_path TO"
            )
    else:
        with mysql_session(address) as opened:
            yield Warehouse(opened.run, mysqlddl.quoted, "char", "USE")
