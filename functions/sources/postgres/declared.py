"""A pipeline's declarations of one source, by the ids of its tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from etl import Pipeline, Postgres, Table
from etl.mapping import Mapping
from etl.pipeline import Wait


@dataclass(frozen=True)
class Declared:
    """A source of a pipeline, and how its tables are used."""

    source: Postgres
    pipeline: Pipeline

    @cached_property
    def mappings(self) -> tuple[Mapping, ...]:
        """How the target tables are made, parents before those that refer to them."""
        return self.pipeline.mappings(self.source.name)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """All tables, those that rows of others wait for first."""
        mains = [mapping.main for mapping in self.mappings]
        return {table.id: table for table in dict.fromkeys([*mains, *self.source.tables])}

    @cached_property
    def targets(self) -> list[str]:
        """The target tables that the source feeds."""
        return sorted(mapping.target.id for mapping in self.mappings)

    @cached_property
    def waited_for(self) -> frozenset[str]:
        """The tables that rows of others wait for."""
        return frozenset(table.id for table in self.pipeline.waited_for(self.source.name))

    @cached_property
    def joined(self) -> frozenset[str]:
        """The tables that are joined to make target tables."""
        return frozenset(
            table.id for mapping in self.mappings if mapping.joins for table in mapping.tables
        )

    def of(self, main: str) -> list[Mapping]:
        """Return the mappings of a main table."""
        return [mapping for mapping in self.mappings if mapping.main.id == main]

    def waits(self, main: str) -> Iterable[Wait]:
        """Return the parents that rows of a table wait for in any of its mappings."""
        return dict.fromkeys(
            wait for mapping in self.of(main) for wait in self.pipeline.waits(mapping)
        )
