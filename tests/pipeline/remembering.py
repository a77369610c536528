"""What a warehouse answered after each batch, and what the lake answers for the same moments."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from deployer.query.cache import Cache
from deployer.query.catalog import Catalog
from deployer.query.database import Database
from deployer.query.engine import load_duckdb
from deployer.query.lake import Lake
from deployer.query.moments import AsOf
from deployer.query.tables import Contents
from etl.loading import folder, load
from tests.pipeline.conftest import Functions
from tests.pipeline.warehouse_rows import rows_in

Rows = Counter[tuple[Any, ...]]

_VALUES: Mapping[str, Callable[[str], Any]] = {
    "BOOLEAN": "true".__eq__,
    "FLOAT": float,
    "DOUBLE": float,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "TIMESTAMP": datetime.fromisoformat,
    "TIMESTAMP WITH TIME ZONE": datetime.fromisoformat,
    "VARCHAR": str,
    "JSON": str,
}


def comparable(value: Any) -> Any:
    """Return a value of a driver as one that equals that of the lake."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value


def answers(
    lake: Lake,
    folder: Path,
    schema: str,
    questions: Mapping[str, str],
    as_of: AsOf | None = None,
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of some SELECTs as Python values."""
    database = Database(load_duckdb(), Catalog.of(lake.pipeline, folder, schema), lake.cache)
    named = database.named_in(" UNION ALL ".join(map(database.select_of, questions.values())))
    moment = lake.at(as_of)
    tables = {name: moment.contents(each.declared.id) for name, each in named.tables.items()}
    database.open(named, tables, moment.fetch(tables.values(), lambda _: None))
    return {name: list(_rows(database, sql)) for name, sql in questions.items()}


def _rows(database: Database, sql: str) -> Iterator[tuple[Any, ...]]:
    with database.failures():
        relation = database.answer(sql)
        kinds = [str(kind) for kind in relation.types]
        for row in database.rendered(relation.to_arrow_reader(1000)):
            yield tuple(_value(kind, text) for kind, text in zip(kinds, row, strict=True))


def _value(kind: str, text: str | None) -> Any:
    if text is None:
        return None
    if kind in _VALUES:
        return _VALUES[kind](text)
    return Decimal(text)


def as_document(text: Any) -> Any:
    """Return the text of a JSON document in the form of `comparable`."""
    with suppress(ValueError, TypeError):
        return json.dumps(json.loads(text), sort_keys=True)
    return text


@dataclass
class Memory:
    """The answers of a warehouse, by batch and by time, to compare with those of the lake.

    `tables` have their columns, of which those in `documents` are JSON.
    """

    functions: Functions
    pipeline: str
    source: str
    cache: Cache
    tables: Mapping[str, Sequence[str]]
    documents: Collection[str] = ()
    answers: dict[datetime, tuple[int, dict[str, Rows]]] = field(default_factory=dict)

    def note(self) -> None:
        """Keep what the warehouse has in all tables, with its newest marker."""
        functions = self.functions
        *_, newest = functions.keys(functions.processed, f"loaded/{self.source}/")
        marker = functions.document(functions.processed, newest)
        at = datetime.fromisoformat(marker["written_at"])
        self.answers[at] = marker["batch"], self.now()

    def now(self) -> dict[str, Rows]:
        """Return all rows of the warehouse."""
        return {
            table: Counter(
                tuple(map(comparable, row))
                for row in rows_in(self.functions.warehouse, self._select(table))
            )
            for table in self.tables
        }

    def wrong(self, order: Random | None = None) -> list[str]:
        """Return where the lake says something else, now or as of any moment, in a random order."""
        found = list(self._differing(None, self.now()))
        moments = list(self.answers.items())
        if order:
            order.shuffle(moments)
        for at, (batch, answer) in moments:
            # What tables consist of decides the answer, which takes much longer.
            if self._contents(at) != self._contents(batch):
                found.append(f"as of {at}: not what batch {batch} left")
            found += self._differing(batch, answer)
        return found

    def _contents(self, as_of: AsOf) -> list[Contents]:
        """Return what all tables of the source consisted of."""
        lake = self._lake()
        moment = lake.at(as_of)
        return [moment.contents(each.target.id) for each in lake.pipeline.mappings(self.source)]

    def _lake(self) -> Lake:
        declared, functions = load(self.pipeline), self.functions
        return Lake(functions.s3, functions.processed, declared, [self.source], self.cache)

    def _differing(self, as_of: AsOf | None, answer: Mapping[str, Rows]) -> Iterator[str]:
        questions = {table: self._select(table) for table in self.tables}
        schema = self.functions.warehouse.schema
        found = answers(self._lake(), folder(self.pipeline), schema, questions, as_of)
        for table, expected in answer.items():
            lakes = Counter(map(self._comparable(table), found[table]))
            if lakes != expected:
                missing, more = list((expected - lakes).items()), list((lakes - expected).items())
                yield f"as of {as_of} {table}: {missing[:3]} are missing, {more[:3]} too many"

    def _select(self, table: str) -> str:
        return f"SELECT {', '.join(self.tables[table])} FROM {table}"

    def _comparable(self, table: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        is_document = [name in self.documents for name in self.tables[table]]
        return lambda row: tuple(
            as_document(value) if is_one else value
            for value, is_one in zip(row, is_document, strict=True)
        )
