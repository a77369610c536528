"""One question to the lake: what it names is fetched, made into tables, and asked."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from deployer.errors import OperationError, SettingsError
from deployer.query import answers
from deployer.query.answers import Format, Row
from deployer.query.catalog import Catalog
from deployer.query.database import ROWS_AT_A_TIME, Database
from deployer.query.engine import load_duckdb
from deployer.query.lake import Lake, Moment
from deployer.query.moments import AsOf
from deployer.terminal import Terminal


@dataclass(frozen=True)
class Question:
    """A SELECT, the moment that it is about (None: now), and what becomes of the answer."""

    sql: str
    as_of: AsOf | None
    source: str | None
    format: Format
    output: Path | None

    def __post_init__(self) -> None:
        """Raise SettingsError for a format that cannot go where it should."""
        if self.format == "parquet" and self.output is None:
            raise SettingsError(["--format parquet needs --output FILE"])
        if self.format == "table" and self.output is not None:
            raise SettingsError(["--output needs --format csv, json or parquet"])


def ask(lake: Lake, catalog: Catalog, question: Question, terminal: Terminal) -> None:
    """Answer a question; the answer is the only thing on stdout."""
    with terminal.step("load DuckDB"):
        duckdb = load_duckdb()
    database = Database(duckdb, catalog, lake.cache)
    sql = database.select_of(question.sql)
    named = database.named_in(sql)
    stored = {name: each.declared.id for name, each in named.tables.items()}
    with terminal.step("read the logs"):
        moment = lake.at(question.as_of, question.source, stored.values())
    tables = {name: moment.contents(table) for name, table in stored.items()}
    with terminal.step("fetch objects"):
        paths = moment.fetch(tables.values(), terminal.doing)
    with terminal.step("make tables"):
        database.open(named, tables, paths)
    terminal.note(f"as of {moment.says()}")
    with database.failures():
        _Answer(database, sql, moment).give(question, terminal)


class _Answer:
    def __init__(self, database: Database, sql: str, moment: Moment) -> None:
        relation = database.answer(sql)
        self._names = [str(name) for name in relation.columns]
        self._types = [str(kind) for kind in relation.types]
        self._rows: pa.RecordBatchReader = relation.to_arrow_reader(ROWS_AT_A_TIME)
        self._database = database
        self._moment = moment

    def give(self, question: Question, terminal: Terminal) -> None:
        match question.format:
            case "parquet" if question.output:
                self._wrote(answers.write_parquet(question.output, self._rows), question, terminal)
            case "csv" | "json" if question.output:
                self._write(question, question.output, terminal)
            case "csv":
                answers.write_csv(sys.stdout, self._names, self._texts())
            case "json":
                terminal.result(self._document())
            case _:
                shown = answers.as_table(self._names, self._types, self._texts(), terminal.width)
                terminal.result({}, *shown)

    def _write(self, question: Question, path: Path, terminal: Terminal) -> None:
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                if question.format == "csv":
                    rows = answers.write_csv(file, self._names, self._texts())
                else:
                    document = self._document()
                    answers.write_json(file, document)
                    rows = len(document["rows"])
        except OSError as error:
            raise OperationError(f"--output {path}: {error.strerror or error}") from error
        self._wrote(rows, question, terminal)

    def _wrote(self, rows: int, question: Question, terminal: Terminal) -> None:
        document = {"as_of": self._as_of(), "rows": rows, "output": str(question.output)}
        terminal.result(document, f"{rows:,} rows in {question.output}")

    def _texts(self) -> Iterator[Row]:
        return self._database.rendered(self._rows)

    def _document(self) -> dict[str, Any]:
        names = answers.distinct(self._names)
        columns = dict(zip(names, self._types, strict=True))
        rows = answers.as_json(self._names, self._types, self._texts())
        return {"as_of": self._as_of(), "columns": columns, "rows": rows}

    def _as_of(self) -> Mapping[str, Any]:
        return {
            source: {"batch": each.batch, "loaded_at": each.loaded_at}
            for source, each in self._moment.standings.items()
        }
