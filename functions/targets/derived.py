"""What is derived from a batch's tables in the same transaction: models and exports."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from etl.models import Model
from functions.common.errors import PipelineCodeError
from functions.common.storage import Bucket
from functions.targets import Made, Moment
from functions.targets.layout import WarehouseTable
from functions.targets.session import ModelRun, Select, Transaction

SHOWN_AT_MOST = 1_000  # rows of a model that are passed to its `says`


@dataclass(frozen=True)
class Derived:
    """A warehouse's models in order, and the names of the tables and models that it exports."""

    selects: Mapping[str, Select]
    exports: frozenset[str]

    def made_of(self, tables: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the models, each with those of some tables that it is made of."""
        return {
            name: frozenset(each.id for each in select.model.base if each.id in tables)
            for name, select in self.selects.items()
        }


@dataclass
class Deriving:
    """The models and exports of one transaction: results, failures, and the keys of objects."""

    transaction: Transaction
    bucket: Bucket
    derived: Derived
    moment: Moment
    made: dict[str, Made] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)

    def models(self, names: Collection[str]) -> Iterator[tuple[str, ModelRun]]:
        """Run some models, and yield the results of those that do not fail."""
        for name, select in self.derived.selects.items():
            if name in names and (result := self._run(name, select)):
                yield name, result

    def _run(self, name: str, select: Select) -> ModelRun | None:
        """Run a model, unless one that it is made of has failed, and export its rows."""
        failed = next((each for each in select.model.inputs if each.id in self.failed), None)
        if failed:
            self.failed[name] = f"{select.model} is made of {failed}, which failed"
            return None
        bucket = self.bucket if name in self.derived.exports else None
        try:
            result = self.transaction.run_model(select, self.moment, bucket)
        except PipelineCodeError as error:
            self.failed[name] = str(error)
            return None
        self.made[name] = result.made
        if result.export:
            self.exports.append(result.export)
        return result

    def export(self, tables: Collection[str]) -> None:
        """Export those of some tables that are declared as exports."""
        for name in sorted(self.derived.exports & set(tables)):
            self.exports.append(self.transaction.export_table(name, self.moment, self.bucket))


def are_shown(model: Model, rows: int) -> bool:
    """Return whether a model describes its rows in words, and these are few."""
    return model.says is not None and rows <= SHOWN_AT_MOST


def require_columns(model: Model, names: Sequence[str]) -> None:
    """Raise PipelineCodeError unless a SELECT has exactly the declared columns."""
    for name in model.columns:
        if names.count(name) != 1:
            has = "two columns" if name in names else "no column"
            raise PipelineCodeError(f"{model}: its SELECT has {has} {name}: correct one of the two")
    if more := [name for name in names if name not in model.columns]:
        raise PipelineCodeError(f"{model}: its SELECT has a column {more[0]}: declare it as well")


def without_key(model: Model, key: Sequence[str], *, is_double: bool) -> PipelineCodeError:
    """Return the error for rows of a model without a key, or with the same key."""
    what = "several rows of the same" if is_double else "a row without"
    return PipelineCodeError(f"{model}: its SELECT has {what} {', '.join(key)}, its key")


def export_key(table: WarehouseTable, moment: Moment) -> str:
    """Return the key of a table's CSV; a newer one of the same day replaces it."""
    schema = quote(table.schema, safe="")
    return f"exports/{schema}/{table.name}/{moment.day.isoformat()}.csv"
