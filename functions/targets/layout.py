"""The tables of a target, under the names that this installation gave them.

Nothing is changed here. Declared alternative names are accepted; a table or column that is missing
fails the load, with what to ask for.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar
from urllib.parse import unquote

from msgspec import structs

from etl.models import Model
from etl.targets import Target, TargetTable, Way
from functions.common.errors import WarehouseSetupError
from functions.common.loaded import TableFile, Warehouse
from functions.targets.own_tables import DELETIONS, LEDGER, is_own


@dataclass(frozen=True)
class Found:
    """A table as the catalogue has it.

    `types` are the SQL types of its columns, in order. `numbered` are the columns that the
    warehouse numbers itself, `required` those that need a value, `opaque` those compared by their
    text, `denied` the rights that this role lacks. `indexes` are the columns of each B-tree index
    of all rows, in order.
    """

    schema: str
    name: str
    oid: int
    file: int | None
    types: Mapping[str, str]
    numbered: list[str]
    required: list[str]
    opaque: frozenset[str]
    denied: frozenset[str]
    indexes: frozenset[tuple[str, ...]] = frozenset()

    def finds(self, columns: Collection[str]) -> bool:
        """Return whether an index finds rows by the values of these columns."""
        return any(set(index[: len(columns)]) == set(columns) for index in self.indexes)

    @property
    def as_file(self) -> TableFile:
        """The table's identity in markers."""
        return TableFile(self.oid, self.file)

    def require_rights(self, needed: Collection[str]) -> None:
        """Raise WarehouseSetupError if this role lacks a right."""
        if lacking := sorted(self.denied & set(needed)):
            raise WarehouseSetupError(
                f"no right to {', '.join(lacking)} on {self.schema}.{self.name} of the warehouse: "
                "ask for it"
            )


Catalogue = Mapping[str, Mapping[str, Found]]
"""The existing tables: schema, name, table."""


@dataclass(frozen=True)
class WarehouseTable:
    """A table of the warehouse: `name` in manifests, and its `actual` name.

    `types` are the SQL types of its columns, `opaque` those compared by their text. `record_id` is
    the column that the warehouse numbers itself, None unless it is a history. It `is_indexed` if an
    index finds rows by their key. A kind adds how its SQL names and compares them.
    """

    name: str
    schema: str
    actual: str
    types: Mapping[str, str]
    record_id: str | None
    key: tuple[str, ...] = ()
    way: Way = "latest"
    other_columns: Mapping[str, str] = field(default_factory=dict)
    opaque: frozenset[str] = frozenset()
    is_indexed: bool = False

    @property
    def declared(self) -> str:
        """Its name in the declaration."""
        return unquote(self.name)

    @property
    def keys(self) -> list[str]:
        """This installation's names of the key's columns."""
        return [self.column(name) for name in self.key]

    def column(self, name: str) -> str:
        """Return this installation's name of a column; raise WarehouseSetupError if it lacks it."""
        for candidate in (name, self.other_columns.get(name, name)):
            if candidate in self.types:
                return candidate
        raise WarehouseSetupError(
            f"warehouse table {self.schema}.{self.actual} has no column {name}: ask for it"
        )


T_co = TypeVar("T_co", bound=WarehouseTable, covariant=True)
T = TypeVar("T", bound=WarehouseTable)


@dataclass(frozen=True)
class Layout(Generic[T_co]):
    """A warehouse as one source feeds it: its identity, and the tables, parents first.

    `calendar` is set if a history needs it, `ledger` if batches are recorded there. `left_out` are
    optional tables that it lacks, and models that need them; `models` are the tables of the other
    models, in their order. The identity includes the table of deleted rows.
    """

    identity: Warehouse
    tables: Mapping[str, T_co]
    calendar: T_co | None = None
    ledger: T_co | None = None
    left_out: list[str] = field(default_factory=list)
    models: Mapping[str, T_co] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, T_co]:
        """The tables, the calendar, and the tables of models."""
        calendar = {self.calendar.name: self.calendar} if self.calendar else {}
        return {**calendar, **self.tables, **self.models}

    @property
    def has_deletions(self) -> bool:
        """Whether the warehouse has the table of deleted rows."""
        return DELETIONS in self.identity.tables

    @property
    def histories(self) -> dict[str, T_co]:
        """The tables, also of models, with a record of each state."""
        return {name: table for name, table in self.all.items() if table.way == "history"}

    @property
    def proving(self) -> dict[str, T_co]:
        """The tables whose newest records prove what the warehouse has."""
        return {**self.histories, **({LEDGER: self.ledger} if self.ledger else {})}

    def table(self, name: str) -> T_co:
        """Return a table, which may be the ledger, by its name in manifests."""
        return self.ledger if self.ledger and name == LEDGER else self.all[name]


def lay_out(
    make: Callable[..., T],
    there: Catalogue,
    identity: Warehouse,
    target: Target,
    declared: Iterable[TargetTable],
    *,
    models: Sequence[Model] = (),
) -> Layout[T]:
    """Match declared tables, in order, and those of models with the existing ones.

    `make` is the kind's class of tables. The identity, whose schema is the warehouse's own, is
    returned with the files of the tables. Raises WarehouseSetupError for a missing table, column or
    right.
    """
    schema, own = identity.schema, there[identity.schema]
    left_out: list[str] = []
    tables = _found(make, declared, there, schema, left_out)
    made = [each for each in models if not _lacks_input(each, there, schema)]
    left_out += [each.name for each in models if each not in made]
    made_into = _found(make, [each.table for each in made], there, schema, left_out)
    has_history = any(table.way == "history" for table in tables.values())
    calendar = _calendar(make, target, schema, own) if has_history else None
    ledger = _plain(make, own[LEDGER], "record_id") if is_own(own.get(LEDGER), LEDGER) else None
    shown = [*([calendar] if calendar else []), *tables.values(), *made_into.values()]
    files = {table.name: there[table.schema][table.actual].as_file for table in shown}
    if is_own(own.get(DELETIONS), DELETIONS):
        files[DELETIONS] = own[DELETIONS].as_file
    identity = structs.replace(identity, tables=files)
    return Layout(identity, tables, calendar, ledger, left_out, made_into)


def views_of(layout: Layout[T], view_name: Callable[[str], str]) -> dict[str, T]:
    """Return the histories by the names of their views; raise WarehouseSetupError for a clash."""
    views: dict[str, T] = {}
    for table in layout.histories.values():
        first = views.setdefault(view_name(table.declared), table)
        if first is not table:
            raise WarehouseSetupError(
                f"the views of {first.declared} and {table.declared} would both be called "
                f"{view_name(table.declared)}: rename one of the tables, or set "
                "WAREHOUSE_MANAGED=false"
            )
    return views


def missing_from(there: Catalogue, schema: str, target: Target) -> dict[str, list[str]]:
    """Return the declared tables, by schema, that do not exist under any of their names."""
    missing: dict[str, list[str]] = {}
    if target.calendar and target.calendar.name not in there[schema]:
        missing[schema] = [target.calendar.name]
    for table in target.made:
        home = table.schema or schema
        if actual_name(table, there[home]) is None:
            missing.setdefault(home, []).append(table.name)
    return missing


def actual_name(declared: TargetTable, there: Container[str]) -> str | None:
    """Return this installation's name of a table, None if it does not exist."""
    return next((name for name in (declared.name, *declared.other_names) if name in there), None)


def _found(
    make: Callable[..., T],
    declared: Iterable[TargetTable],
    there: Catalogue,
    schema: str,
    left_out: list[str],
) -> dict[str, T]:
    """Return the existing tables, and add to `left_out` the optional ones that are missing."""
    tables: dict[str, T] = {}
    for each in declared:
        home = each.schema or schema
        if (actual := actual_name(each, there[home])) is not None:
            tables[each.id] = _table(make, each, there[home][actual])
        elif each.optional:
            left_out.append(each.name)
        else:
            raise _missing(each.name, home)
    return tables


def _lacks_input(model: Model, there: Catalogue, schema: str) -> bool:
    """Return whether a model needs an optional table that the warehouse lacks."""
    return any(
        actual_name(table, there[table.schema or schema]) is None
        for table in model.base
        if table.optional
    )


def _table(make: Callable[..., T], declared: TargetTable, found: Found) -> T:
    rights = {"SELECT", "INSERT"}
    if declared.way in ("latest", "replace") and declared.key:
        rights.add("UPDATE")
    if declared.way == "replace":
        rights.add("DELETE")
    found.require_rights(rights)
    table = make(
        declared.id,
        found.schema,
        found.name,
        found.types,
        record_id(found) if declared.way == "history" else None,
        declared.key,
        declared.way,
        declared.other_columns,
        found.opaque,
    )
    return replace(table, is_indexed=bool(table.key) and found.finds(table.keys))


def _plain(make: Callable[..., T], found: Found, record_id: str | None = None) -> T:
    """Return a table that has no rows of the pipeline."""
    return make(found.name, found.schema, found.name, found.types, record_id)


def _calendar(
    make: Callable[..., T], target: Target, schema: str, there: Mapping[str, Found]
) -> T | None:
    if target.calendar is None:
        return None
    name = target.calendar.name
    if name not in there:
        raise _missing(name, schema)
    there[name].require_rights({"SELECT", "INSERT"})
    return _plain(make, there[name])


def _missing(name: str, schema: str) -> WarehouseSetupError:
    return WarehouseSetupError(
        f"table {name} is not in schema {schema} of the warehouse, or this role may not "
        "use the schema: ask for it to be prepared, set WAREHOUSE_SCHEMA, or, where the "
        "schema is this role's own, set WAREHOUSE_MANAGED=true"
    )


def record_id(found: Found) -> str:
    """Return the column that orders a history: the only one that the warehouse numbers.

    Raises WarehouseSetupError if there is none, or more than one.
    """
    match found.numbered:
        case [column]:
            return column
    raise WarehouseSetupError(
        f"warehouse table {found.schema}.{found.name} has no single serial or identity column: "
        f"the history in it cannot be kept in order. Ask for one, or declare the table as latest"
    )
