"""Read a target: a pipeline's SELECTs, in read-only transactions.

A kind's module `reader` implements `Reading`. Neither pyarrow nor pandas is imported, because
callers wait for the function that reads this way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from etl.columns import Column
from etl.statements import Statement
from etl.targets import Target
from functions.common.errors import DatabaseAccessError
from functions.common.selfcheck import Need
from functions.targets import Place

Cell = None | bool | int | float | str
"""A value of JSON. Decimals are texts with all their digits; dates, times and timestamps texts in
ISO 8601; NaN, infinities and values of all other types texts as well."""


@dataclass(frozen=True)
class Query:
    """A SELECT that names tables and columns as they are declared, with its parameters.

    `values` are texts by the names in the statement, `types` their types; a name without a type is
    text. `columns` are those of the answer, cast to these types; None for all, uncast.
    """

    statement: Statement
    values: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Column] = field(default_factory=dict)
    columns: Mapping[str, Column] | None = None
    at_most: int = 1_000


@dataclass(frozen=True)
class Rows:
    """The result of a query; `is_cut` if there are more rows than `at_most`."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    is_cut: bool


@dataclass(frozen=True)
class LoadedBatch:
    """The newest loaded batch of a source, and when it was loaded."""

    batch: int
    loaded_at: datetime


COUNTED_UP_TO = 100_000  # rows of a table


@dataclass(frozen=True)
class Count:
    """The number of a table's rows: counted, or estimated from statistics where it is large."""

    rows: int
    is_exact: bool


class Snapshot(Protocol):
    """A snapshot of a target."""

    def state(self) -> str:
        """Return a token that changes with every commit."""

    def loaded(self, sources: Iterable[str]) -> Mapping[str, LoadedBatch]:
        """Return the newest batch of each of some sources, as the target records it."""

    def counts(self) -> Mapping[str, Count]:
        """Return the number of rows of each table, by its declared name.

        A table that does not exist, or that this role may not read, is left out.
        """

    def rows(self, query: Query) -> Rows:
        """Return the rows of a query, in its order.

        Raises WarehouseSetupError for a declared table that does not exist, and
        DatabaseStatementError for a SELECT that fails; the snapshot remains usable.
        """


class Reader(Protocol):
    """A read-only connection, unusable after any error that is not a query's.

    It reports loaded batches only where the target `records_batches`.
    """

    @property
    def records_batches(self) -> bool:
        """Whether `Snapshot.loaded` returns anything."""

    def denied(self) -> list[str]:
        """Return the tables that exist and that this role may not read, by their declared names."""

    def state(self) -> str:
        """Return the current `Snapshot.state`."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Hold a snapshot of the target."""


class Reading(Protocol):
    """The interface of the module `reader` of a kind."""

    def reader(self, place: Place, seconds: float) -> AbstractContextManager[Reader]:
        """Connect, for statements of at most about half of `seconds`.

        The server ends a connection that is idle for `seconds`.
        """


def can_be_read(target: Target) -> bool:
    """Return whether a kind of target has a reader; MySQL has none."""
    return find_spec(f"functions.targets.{target.kind}.reader") is not None


def needs_of(places: Iterable[Place], seconds: float) -> Iterator[Need]:
    """Yield targets that are read, as needs of a function."""
    for place in places:
        if can_be_read(place.target):
            yield Need(f"target {place.target.name}", partial(_look, place, seconds))


def _look(place: Place, seconds: float) -> str:
    with reading(place.target).reader(place, seconds) as reader:
        if denied := reader.denied():
            raise DatabaseAccessError(
                f"no right to read {', '.join(denied)}: GRANT SELECT on it to this role"
            )
        reader.state()
    return "can be read"


def reading(target: Target) -> Reading:
    """Return the reader of a target's kind; no other kind is imported."""
    return cast("Reading", import_module(f"functions.targets.{target.kind}.reader"))
