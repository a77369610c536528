"""What a batch changes beside its tables, in the same transaction: models, and exports."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import pg8000.native

from functions.common.errors import FunctionFailed
from functions.common.storage import Bucket
from functions.targets import Made, Moment
from functions.targets.postgres.exports import export_rows, export_table
from functions.targets.postgres.models import Result, Select, run_model
from functions.targets.postgres.tables import Layout


@dataclass(frozen=True)
class Derived:
    """The models of a warehouse, in their order, and what it exports.

    Models find their tables in `schemas`; `exports` are names of tables and models.
    """

    selects: Mapping[str, Select]
    schemas: tuple[str, ...]
    exports: frozenset[str]

    def made_of(self, tables: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the models, and of which of some tables each is made."""
        return {
            name: frozenset(each.id for each in select.model.base if each.id in tables)
            for name, select in self.selects.items()
        }


@dataclass
class Deriving:
    """One transaction: what was made, what failed and why, and the keys of exports."""

    connection: pg8000.native.Connection
    layout: Layout
    bucket: Bucket
    derived: Derived
    moment: Moment
    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)

    def models(self, names: Collection[str]) -> Iterator[Result]:
        """Run some models, and yield what came of those that do not fail."""
        for name, select in self.derived.selects.items():
            if name in names and (result := self._run(name, select)):
                yield result
                result.stage.drop(self.connection)

    def _run(self, name: str, select: Select) -> Result | None:
        """Run a model, unless one that it is made of has failed, and export what comes of it."""
        failed = next((each for each in select.model.inputs if each.id in self.failed), None)
        if failed:
            self.failed[name] = f"{select.model} is made of {failed}, which failed"
            return None
        try:
            result = run_model(
                self.connection, self.layout, self.derived.schemas, select, self.moment
            )
        except FunctionFailed as error:
            self.failed[name] = str(error)
            return None
        self.made[name] = result.made
        if name in self.derived.exports:
            key = export_rows(self.connection, self.bucket, result.stage, self.moment)
            self.exports.append(key)
        return result

    def export(self, tables: Collection[str]) -> None:
        """Export those of some tables that are to be."""
        for name, table in self.layout.tables.items():
            if name in tables and name in self.derived.exports:
                key = export_table(self.connection, self.bucket, table, self.moment)
                self.exports.append(key)
