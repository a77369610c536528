"""The tables of a warehouse as load knows them, under the names that this installation gave them.

Nothing is changed here: names that differ are followed, and a table or column that is not there
stops the load and says what to ask for.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

import pg8000.native
from msgspec import structs
from pg8000.native import identifier

from etl.models import Model
from etl.targets import Target, TargetTable, Way
from functions.common.errors import WarehouseMismatch
from functions.common.loaded import TableFile, Warehouse
from functions.targets.postgres.catalogue import Found, tables_of

DELETIONS = "deleted_rows"
DELETIONS_COLUMNS = {
    "table_name": "text NOT NULL",
    "business_id": "text NOT NULL",
    "seen_gone_at": "timestamptz NOT NULL",
    "batch": "bigint NOT NULL",
    "seen_again_at": "timestamptz",
}
LEDGER = "loaded_batches"


@dataclass(frozen=True)
class WarehouseTable:
    """A table of the warehouse: `name` as manifests call it, `actual` and its columns as it is.

    `types` are the SQL types of its columns, `opaque` those whose values are compared by their
    text. `record_id` is the column that the warehouse numbers itself, None without a history.
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

    @property
    def declared(self) -> str:
        """Its name in the declaration."""
        return unquote(self.name)

    @property
    def target(self) -> str:
        """The table as SQL names it."""
        return f"{identifier(self.schema)}.{identifier(self.actual)}"

    @property
    def keys(self) -> list[str]:
        """What this installation calls the columns of the key."""
        return [self.column(name) for name in self.key]

    def column(self, name: str) -> str:
        """Return what this installation calls a column; raise WarehouseMismatch if it has none."""
        for candidate in (name, self.other_columns.get(name, name)):
            if candidate in self.types:
                return candidate
        raise WarehouseMismatch(
            f"warehouse table {self.schema}.{self.actual} has no column {name}: ask for it"
        )

    def value(self, column: str, alias: str) -> str:
        """Return the SQL by which values of a column of an alias are compared."""
        value = f"{alias}.{identifier(column)}"
        return f"{value}::text" if column in self.opaque else value

    def key_values(self, alias: str) -> str:
        """Return the SQL list by which the keys of an alias are compared."""
        return ", ".join(self.value(column, alias) for column in self.keys)

    def same_key(self, here: str, there: str) -> str:
        """Return the SQL that is true where two aliases have the same key."""
        return " AND ".join(
            f"{self.value(column, here)} = {self.value(column, there)}" for column in self.keys
        )

    def key_text(self, alias: str) -> str:
        """Return the SQL of a key as the one text that `functions.common.keys` makes of it."""
        texts = [_text(self.types[column], f"{alias}.{identifier(column)}") for column in self.keys]
        if len(texts) == 1:
            return texts[0]
        escaped = [rf"replace(replace({text}, '\', '\\'), ',', '\,')" for text in texts]
        return " || ',' || ".join(escaped)


def _text(kind: str, value: str) -> str:
    """Return the SQL of a value as `functions.common.keys` writes it."""
    if kind.startswith("timestamp"):
        at = f"{value} AT TIME ZONE 'UTC'" if kind.endswith("with time zone") else value
        return f"to_char({at}, 'YYYY-MM-DD HH24:MI:SS.US')"
    if kind.startswith("time") and kind.endswith("without time zone"):
        return f"to_char({value}, 'HH24:MI:SS.US')"
    if kind.startswith("character("):
        return f"concat({value})"  # a cast drops the blanks at its end
    return f"{value}::text"


@dataclass(frozen=True)
class Layout:
    """A warehouse as one source feeds it: which one it is, and the tables, parents first.

    `calendar` is there if a history needs it, `ledger` if batches are recorded there. `left_out`
    are optional tables that it lacks, and models that need them; `models` are the tables of the
    others, in the order in which they are made. The identity knows the table of deleted rows, too.
    """

    identity: Warehouse
    tables: dict[str, WarehouseTable]
    calendar: WarehouseTable | None = None
    ledger: WarehouseTable | None = None
    left_out: list[str] = field(default_factory=list)
    models: dict[str, WarehouseTable] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, WarehouseTable]:
        """The tables, the calendar, and the tables of models."""
        calendar = {self.calendar.name: self.calendar} if self.calendar else {}
        return {**calendar, **self.tables, **self.models}

    @property
    def has_deletions(self) -> bool:
        """Whether the warehouse has the table of deleted rows."""
        return DELETIONS in self.identity.tables

    @property
    def histories(self) -> dict[str, WarehouseTable]:
        """The tables, also of models, that keep a record of each state."""
        return {name: table for name, table in self.all.items() if table.way == "history"}

    @property
    def proving(self) -> dict[str, WarehouseTable]:
        """The tables whose newest records show what the warehouse has."""
        return {**self.histories, **({LEDGER: self.ledger} if self.ledger else {})}


def inspect(
    connection: pg8000.native.Connection,
    schema: str,
    target: Target,
    declared: Iterable[TargetTable],
    models: Sequence[Model] = (),
) -> Layout:
    """Look at declared tables, in order, and at those of models; `schema` is the warehouse's own.

    Raises WarehouseMismatch for a table, a column or a right that lacks.
    """
    there = {each: tables_of(connection, each) for each in target.schemas(schema)}
    own = there[schema]
    left_out: list[str] = []
    tables = _found(declared, there, schema, left_out)
    made = [each for each in models if not _lacks_input(each, there, schema)]
    left_out += [each.name for each in models if each not in made]
    made_into = _found([each.table for each in made], there, schema, left_out)
    has_history = any(table.way == "history" for table in tables.values())
    calendar = _calendar(target, schema, own) if has_history else None
    layout = Layout(
        _identity(connection, schema, {}),
        tables,
        calendar,
        ledger_of(own),
        left_out,
        made_into,
    )
    files = {name: there[table.schema][table.actual].as_file for name, table in layout.all.items()}
    if is_deletions(own.get(DELETIONS)):
        files[DELETIONS] = own[DELETIONS].as_file
    return replace(layout, identity=structs.replace(layout.identity, tables=files))


def _found(
    declared: Iterable[TargetTable],
    there: Mapping[str, Mapping[str, Found]],
    schema: str,
    left_out: list[str],
) -> dict[str, WarehouseTable]:
    """Return the tables that are there, and add to `left_out` the optional ones that are not."""
    tables: dict[str, WarehouseTable] = {}
    for each in declared:
        home = each.schema or schema
        if (actual := actual_name(each, there[home])) is not None:
            tables[each.id] = _table(each, there[home][actual])
        elif each.optional:
            left_out.append(each.name)
        else:
            raise _missing(each.name, home)
    return tables


def _lacks_input(model: Model, there: Mapping[str, Mapping[str, Found]], schema: str) -> bool:
    """Tell whether a model needs an optional table that the warehouse does not have."""
    return any(
        actual_name(table, there[table.schema or schema]) is None
        for table in model.base
        if table.optional
    )


def is_deletions(found: Found | None) -> bool:
    """Tell whether this is the table of deleted rows that load keeps.

    Raises WarehouseMismatch when this role may not use it.
    """
    if found is None or not DELETIONS_COLUMNS.keys() <= found.types.keys():
        return False
    found.require_rights({"SELECT", "INSERT", "UPDATE"})
    return True


def ledger_of(there: Mapping[str, Found]) -> WarehouseTable | None:
    """Return the table in which load records batches; None if there is none, or another one.

    Raises WarehouseMismatch when this role may not use it.
    """
    found = there.get(LEDGER)
    if found is None or not {"record_id", "source", "batch", "loaded_at"} <= found.types.keys():
        return None
    found.require_rights({"SELECT", "INSERT"})
    return WarehouseTable(LEDGER, found.schema, LEDGER, found.types, "record_id")


def actual_name(declared: TargetTable, there: Container[str]) -> str | None:
    """Return what this installation calls a table, None if it has none."""
    return next((name for name in (declared.name, *declared.other_names) if name in there), None)


def _table(declared: TargetTable, found: Found) -> WarehouseTable:
    rights = {"SELECT", "INSERT"}
    if declared.way in ("latest", "replace") and declared.key:
        rights.add("UPDATE")
    if declared.way == "replace":
        rights.add("DELETE")
    found.require_rights(rights)
    return WarehouseTable(
        declared.id,
        found.schema,
        found.name,
        found.types,
        _record_id(found) if declared.way == "history" else None,
        declared.key,
        declared.way,
        declared.other_columns,
        found.opaque,
    )


def _calendar(target: Target, schema: str, there: Mapping[str, Found]) -> WarehouseTable | None:
    if target.calendar is None:
        return None
    name = target.calendar.name
    if name not in there:
        raise _missing(name, schema)
    there[name].require_rights({"SELECT", "INSERT"})
    return WarehouseTable(name, schema, name, there[name].types, None)


def _missing(name: str, schema: str) -> WarehouseMismatch:
    return WarehouseMismatch(
        f"table {name} is not in schema {schema} of the warehouse, or this role may not "
        "use the schema: ask for it to be prepared, set WAREHOUSE_SCHEMA, or, where the "
        "schema is this role's own, set WAREHOUSE_MANAGED=true"
    )


def _record_id(found: Found) -> str:
    """Return the column that orders a history: the one that the warehouse numbers."""
    match found.numbered:
        case [column]:
            return column
    raise WarehouseMismatch(
        f"warehouse table {found.schema}.{found.name} has no single serial or identity column: "
        f"the history in it cannot be kept in order. Ask for one, or declare the table as latest"
    )


def _identity(
    connection: pg8000.native.Connection, schema: str, tables: dict[str, TableFile]
) -> Warehouse:
    [[system_identifier, database, oid, started_at]] = connection.run(
        "SELECT system_identifier::text, datname::text, oid, pg_postmaster_start_time()"
        " FROM pg_control_system(), pg_database WHERE datname = current_database()"
    )
    return Warehouse(system_identifier, database, oid, schema, started_at, tables)
