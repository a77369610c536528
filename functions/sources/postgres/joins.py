"""SQL conditions for the rows that a batch has because of others: those that join, at any depth.

A way leads from the main table of a mapping to a joined table, with a step per join.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
from pg8000.native import identifier

from etl.mapping import Mapping as TargetMapping
from functions.sources.postgres.plan import TablePlan
from functions.sources.postgres.sqltypes import arrow_type


@dataclass(frozen=True)
class Step:
    """A join from rows of `child` to those of `parent` whose key is in their `columns`."""

    child: TablePlan
    columns: tuple[str, ...]
    parent: TablePlan

    @property
    def casts(self) -> list[str]:
        """The types in which both sides are compared: the columns' own, unless the key's differ."""
        pairs = zip(self.columns, self.parent.table.keys, strict=True)
        return [
            self.child.columns.casts[column]
            if _are_comparable(self.child, column, self.parent, key)
            else "text"
            for column, key in pairs
        ]

    def referring(self, qualified: str = "") -> list[str]:
        """Return the columns of the child, as SQL."""
        return self._as_sql(self.columns, qualified)

    def referred(self, qualified: str = "") -> list[str]:
        """Return the columns of the parent's key, as SQL."""
        return self._as_sql(self.parent.table.keys, qualified)

    def _as_sql(self, names: Sequence[str], qualified: str) -> list[str]:
        return [
            f"{qualified}{identifier(name)}" + ("::text" if cast == "text" else "")
            for name, cast in zip(names, self.casts, strict=True)
        ]


Way = tuple[Step, ...]


def ways(mapping: TargetMapping, plans: Mapping[str, TablePlan]) -> Iterator[Way]:
    """Yield the way to each joined table that can be read."""
    known: dict[str, tuple[Way, TablePlan]] = {mapping.parameter: ((), plans[mapping.main.id])}
    for join in mapping.joins:
        parent = plans[join.table.id]
        if join.child in known and parent.error is None:
            way, child = known[join.child]
            way = (*way, Step(child, join.columns, parent))
            known[join.parameter] = way, parent
            yield way


def leads_to(way: Way, condition: str) -> str:
    """Return the condition that a main row joins with a row for which a condition holds."""
    for step in reversed(way):
        condition = (
            f"({', '.join(step.referring())}) IN"
            f" (SELECT {', '.join(step.referred())} FROM {step.parent.source} WHERE {condition})"
        )
    return condition


def leads_nowhere(way: Way) -> str:
    """Return the condition that a main row refers, in the last step of a way, to no row."""
    *before, last = way
    referring = last.referring(f"{last.child.source}.")
    given = " AND ".join(f"{column} IS NOT NULL" for column in referring)
    pairs = zip(last.referred("partner."), referring, strict=True)
    same = " AND ".join(f"{key} = {column}" for key, column in pairs)
    return leads_to(
        tuple(before),
        f"{given} AND NOT EXISTS (SELECT FROM {last.parent.source} AS partner WHERE {same})",
    )


def is_led_to(way: Way, references: str) -> str:
    """Return the condition that a row at the end of a way joins with some main rows.

    `references` is a query for the values of the columns in which they refer to the first step's.
    """
    condition = f"({', '.join(way[0].referred())}) IN ({references})"
    for before, step in pairwise(way):
        condition = (
            f"({', '.join(step.referred())}) IN"
            f" (SELECT {', '.join(step.referring())} FROM {before.parent.source} WHERE {condition})"
        )
    return condition


def any_of(plan: TablePlan, conditions: Sequence[str]) -> str:
    """Return the condition that one of some conditions holds for a row.

    As a UNION, so that PostgreSQL hashes the tables of each, which it does not for an OR.
    """
    if len(conditions) == 1:
        return conditions[0]
    keys = ", ".join(identifier(key) for key in plan.table.keys)
    found = (f"SELECT {keys} FROM {plan.source} WHERE {condition}" for condition in conditions)
    return f"({keys}) IN ({' UNION ALL '.join(found)})"


def _are_comparable(child: TablePlan, column: str, parent: TablePlan, key: str) -> bool:
    ours, theirs = dict(child.columns.types)[column], dict(parent.columns.types)[key]
    are_integers = all(pa.types.is_integer(arrow_type(each)) for each in (ours, theirs))
    return ours == theirs or are_integers
