"""Queries of a warehouse of any kind: rows of models, and answers to questions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from deployer.configuration.databases import DatabaseAddress
from deployer.terminal import printable, table
from etl import Model, ddl, mysqlddl
from etl.targets import Target
from local.connection import mysql_session, session
from local.sample import Question

FEW = 20  # rows of a model that is worth showing
NEWEST = 3  # of them, side by side
FIRST = 10  # rows of an answer

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
        """Return the qualified name of a table in SQL."""
        return f"{self.quoted(schema)}.{self.quoted(table)}"

    def tables(self) -> set[tuple[str, str]]:
        """Return schema and name of each table that we may read, without views."""
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


@dataclass(frozen=True)
class ModelRows:
    """The newest rows of a model, the newest first: a value by column, None for NULL."""

    model: str
    rows: tuple[dict[str, str | None], ...]


def model_rows(address: DatabaseAddress, target: Target, schema: str) -> Iterator[ModelRows]:
    """Yield the newest rows of each model that is there and has few of them."""
    with look(address, target.kind) as warehouse:
        there = warehouse.tables() if target.models else set()
        for model in target.models:
            home = model.schema or schema
            if (home, model.name) not in there:
                continue
            rows = warehouse.run(_newest(model, home, warehouse))
            if len(rows) <= FEW:
                named = (dict(zip(model.columns, row, strict=True)) for row in rows[:NEWEST])
                yield ModelRows(f"{home}.{model.name}", tuple(named))


def _newest(model: Model, schema: str, warehouse: Warehouse) -> str:
    quoted, place = warehouse.quoted, warehouse.place(schema, model.name)
    columns = ", ".join(f"CAST({quoted(name)} AS {warehouse.text})" for name in model.columns)
    # Qualified: an unqualified name would be that of the text.
    order = ", ".join(f"model.{quoted(name)} DESC" for name in model.table.key)
    newest_first = f" ORDER BY {order}" if order else ""
    return f"SELECT {columns} FROM {place} AS model{newest_first} LIMIT {FEW + 1}"  # nosec B608


def show_models(models: list[ModelRows]) -> Iterator[Table | str]:
    """Yield each model for a terminal: a line for each column, the rows side by side."""
    for model in models:
        if not model.rows:
            yield f"{model.model} has no rows"
        else:
            shown = table(model.model, *("" for _ in model.rows))
            for name in model.rows[0]:
                shown.add_row(name, *(_shown(row[name]) for row in model.rows))
            yield shown
        yield ""


def _shown(value: str | None) -> str:
    return "-" if value is None else value


@dataclass(frozen=True)
class Answer:
    """The first rows of an answer, as texts by column, None for NULL."""

    question: str
    rows: tuple[dict[str, str | None], ...]


def ask(
    address: DatabaseAddress, target: Target, schema: str, questions: Sequence[Question]
) -> Iterator[Answer]:
    """Yield the answer to each question; raise DatabaseProblem for one that has none."""
    if not questions:
        return
    with look(address, target.kind) as warehouse:
        for title, columns, query in questions:
            rows = warehouse.answer(schema, query)[:FIRST]
            texts = ([None if value is None else str(value) for value in row] for row in rows)
            named = (dict(zip(columns, values, strict=True)) for values in texts)
            yield Answer(title, tuple(named))


def show_questions(answers: Sequence[Answer]) -> Iterator[Table | Text | str]:
    """Yield each answer for a terminal."""
    for answer in answers:
        yield Text(printable(answer.question), "bold")
        if answer.rows:
            shown = table(*answer.rows[0])
            for row in answer.rows:
                shown.add_row(*("-" if value is None else value for value in row.values()))
            yield shown
        yield ""
