"""The names that a statement may use: tables, calendars, current states, and declared views."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployer.configuration.declaration import current_view, table_statements
from deployer.query.columns import Columns, columns_of
from etl import DeclarationError, Pipeline
from etl.ddl import CALENDAR_COLUMNS
from etl.targets import Target, TargetTable

RECORD_ID = "record_id"


@dataclass(frozen=True)
class Stored:
    """A table whose rows are in the lake; `columns` are None where nothing declares them."""

    declared: TargetTable
    schema: str
    columns: Columns | None

    @property
    def record_id(self) -> str | None:
        """The column that numbers the records, None unless it is a history."""
        if self.declared.way != "history":
            return None
        return (self.columns and self.columns.record_id) or RECORD_ID


@dataclass(frozen=True)
class Derived:
    """A view: the SELECT of a pipeline."""

    query: str
    schema: str


@dataclass
class Catalog:
    """Everything in a warehouse, by name in lower case, as DuckDB compares names.

    `current` are the views of current states, each with its table; `calendars` have the histories
    whose days they have. `models` are computed in the warehouse alone.
    """

    tables: dict[str, Stored] = field(default_factory=dict)
    current: dict[str, Stored] = field(default_factory=dict)
    calendars: dict[str, tuple[str, tuple[Stored, ...]]] = field(default_factory=dict)
    views: dict[str, Derived] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    schemas: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline, folder: Path, schema: str) -> "Catalog":
        """Return the catalog of a pipeline in a folder, whose tables are in `schema` by default."""
        made = cls()
        for target in pipeline.targets:
            made._add(target, folder, schema)
        return made

    def _add(self, target: Target, folder: Path, schema: str) -> None:
        self.schemas |= dict.fromkeys(target.schemas(schema))
        types = _types(target, schema, folder)
        stored = [
            Stored(table, table.schema or schema, types.get(table.name)) for table in target.tables
        ]
        self.tables |= {each.declared.name.lower(): each for each in stored}
        histories = tuple(each for each in stored if each.declared.way == "history")
        for each in histories:
            self.current[current_view(target, each.declared.name).lower()] = each
        if target.calendar:
            self.calendars[target.calendar.name.lower()] = (schema, histories)
        self.models |= {model.name.lower() for model in target.models}
        for view in target.views:
            self.views[view.name.lower()] = Derived(view.query(folder), view.schema or schema)

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.tables, *self.current, *self.calendars, *self.views})

    def listed(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        """Yield each name with how its rows combine, and the types of its columns, if declared."""
        for name, stored in self.tables.items():
            yield name, stored.declared.way, _shown(stored)
        for name in self.calendars:
            yield name, "calendar", {each: sql.upper() for each, sql in CALENDAR_COLUMNS.items()}
        for name, stored in self.current.items():
            yield name, "current", _shown(stored)
        for name in self.views:
            yield name, "view", {}


def _types(target: Target, schema: str, folder: Path) -> dict[str, Columns]:
    try:
        statements = table_statements(target, schema, folder)
    except DeclarationError:
        return {}  # a prepared warehouse: the objects have the types
    return {name: columns_of(sql) for name, sql in statements.items()}


def _shown(stored: Stored) -> dict[str, str]:
    if stored.columns is None:
        return {}
    number = {stored.record_id: "BIGINT"} if stored.record_id else {}
    return {**number, **stored.columns.types}
