"""Read a target: SELECTs of a pipeline, in a transaction that can write nothing.

The module `reader` of a kind's package offers what `Reading` says. Neither pyarrow nor pandas is
imported: a function that somebody waits for reads this way.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from etl.columns import Column
from etl.statements import Statement
from etl.targets import Target
from functions.targets import Place

Cell = None | bool | int | float | str
"""A value as JSON has it. Text are decimals, exact, with all their digits; days, times and moments,
as ISO 8601 has them; NaN and the infinities; and whatever else JSON has no form of."""


@dataclass(frozen=True)
class Query:
    """A SELECT that names tables and columns as they are declared, and what it is given.

    `values` are texts by the names in the statement, `types` what they are to be; a name without a
    type is text. `columns` are those of the answer, as those types; None for all, as they are.
    """

    statement: Statement
    values: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Column] = field(default_factory=dict)
    columns: Mapping[str, Column] | None = None
    at_most: int = 1_000


@dataclass(frozen=True)
class Rows:
    """What came of a query; `is_cut` where there are more rows than it asked for."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    is_cut: bool


@dataclass(frozen=True)
class LoadedBatch:
    """The newest batch of a source that was loaded, and when."""

    batch: int
    loaded_at: datetime


COUNTED_UP_TO = 100_000  # rows of a table


@dataclass(frozen=True)
class Count:
    """The rows of a table: counted, or where they are many estimated from statistics."""

    rows: int
    is_exact: bool


class Snapshot(Protocol):
    """One moment of a target."""

    def state(self) -> str:
        """Return what other moments share with it only while nothing was committed between."""

    def loaded(self, sources: Iterable[str]) -> Mapping[str, LoadedBatch]:
        """Return the newest batch of each of some sources that has any, as the target records."""

    def counts(self) -> Mapping[str, Count]:
        """Return how many rows each table of the target has, by its declared name.

        One that is not there, or that this role may not read, is left out.
        """

    def rows(self, query: Query) -> Rows:
        """Return the rows of a query, in its order.

        Raises WarehouseSetupError for a declared table that is not there, and
        DatabaseStatementError for a SELECT that cannot be run; the next one can all the same.
        """


class Reader(Protocol):
    """A connection that reads; it ends with the first error that is not of a query.

    Only where the target `records_batches` does it know which were loaded.
    """

    @property
    def records_batches(self) -> bool:
        """Whether `Snapshot.loaded` has anything to say."""

    def state(self) -> str:
        """Return what `Snapshot.state` would be now."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Hold one moment of the target."""


class Reading(Protocol):
    """What the module `reader` of a kind offers."""

    def reader(self, place: Place, seconds: float) -> AbstractContextManager[Reader]:
        """Connect, for statements of no more than about half of some seconds.

        The server ends a connection that is idle for so long.
        """


def can_be_read(target: Target) -> bool:
    """Return whether there is a reader for a kind of target; MySQL has none."""
    return find_spec(f"functions.targets.{target.kind}.reader") is not None


def reading(target: Target) -> Reading:
    """Return what reads a kind of target; nothing of the other kinds is imported."""
    return cast("Reading", import_module(f"functions.targets.{target.kind}.reader"))
