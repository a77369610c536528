"""Tables and columns by their declared names, for SQL on a warehouse that has other names.

Such a table precedes a SELECT as a common table expression with the declared name, and so do the
current states of histories, which only a managed warehouse has as views. The column that numbers a
history's records is also named `record_id`. A missing optional table is an empty one.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pg8000.native import identifier

from etl.ddl import current_view, sql_type
from etl.targets import Target, TargetTable
from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.targets.layout import Found, actual_name, record_id
from functions.targets.own_tables import DELETIONS, LEDGER, LEDGER_COLUMNS
from functions.targets.postgres.catalogue import tables_of
from functions.targets.postgres.current import DELETIONS_TYPES, current_state
from functions.targets.postgres.tables import PostgresTable

RECORD_ID = "record_id"


@dataclass(frozen=True)
class Declared:
    """The names that SQL may use: SELECTs by name, and the tables that are `missing`, with why.

    `ledger` is the table of loaded batches, None if this role cannot read one; `tables` are the
    existing ones, by their declared names.
    """

    selects: dict[str, str]
    missing: dict[str, str]
    ledger: str | None
    tables: dict[str, Found] = field(default_factory=dict)

    def named_in(self, sql: str) -> str:
        """Return the WITH clause for a SELECT; raise WarehouseSetupError for a missing table.

        Names in strings and comments count as well, which does no harm.
        """
        words = set(re.findall(r"\w+", sql))
        for name in sorted(words & self.missing.keys()):
            raise WarehouseSetupError(self.missing[name])
        # Planned at each reference, like the table itself.
        named = [
            f"{identifier(name)} AS NOT MATERIALIZED ({select})"
            for name, select in self.selects.items()
            if name in words
        ]
        return f"WITH {', '.join(named)} " if named else ""


def declared_names(connection: PostgresConnection, schema: str, target: Target) -> Declared:
    """Return the declared names of a target in a warehouse; `schema` is the warehouse's own."""
    there = {each: tables_of(connection, each) for each in target.schemas(schema)}
    own = there[schema]
    deletions = _kept(own, DELETIONS, DELETIONS_TYPES)
    names = Declared({}, {}, _may_read(_kept(own, LEDGER, LEDGER_COLUMNS)))
    if deletions is None:
        names.selects[DELETIONS] = _empty(DELETIONS_TYPES)
    for table in target.made:
        home = table.schema or schema
        actual = actual_name(table, there[home])
        if actual is not None:
            names.tables[table.name] = there[home][actual]
            _add(names, table, there[home][actual], deletions)
        elif table.optional and table.columns is not None:
            kinds = {name: sql_type(column) for name, column in table.columns.items()}
            names.selects[table.name] = _empty(kinds)
        else:
            names.missing[table.name] = names.missing[current_view(table.name)] = (
                f"table {table.name} is not in schema {home} of the warehouse, or this role may "
                "not use the schema: has a batch been loaded?"
            )
    if target.calendar is not None and target.calendar.name in own:
        names.tables[target.calendar.name] = own[target.calendar.name]
    return names


def _kept(there: Mapping[str, Found], name: str, columns: Collection[str]) -> Found | None:
    """Return a table that load keeps, if it exists and is not another one of that name."""
    found = there.get(name)
    return found if found and set(columns) <= found.types.keys() else None


def _may_read(found: Found | None) -> str | None:
    """Return the quoted name of a table, if it exists and this role may read it."""
    return _home(found) if found and "SELECT" not in found.denied else None


def _add(names: Declared, table: TargetTable, found: Found, deletions: Found | None) -> None:
    """Add a SELECT for a table, where names differ, and for its current state."""
    declared = {actual: name for name, actual in table.other_columns.items()}
    columns = {
        actual if (name := declared.get(actual, actual)) in found.types else name: actual
        for actual in found.types
    }
    shown = dict(columns)
    if table.way == "history" and RECORD_ID not in columns:
        shown[RECORD_ID] = record_id(found)
    if found.name != table.name or any(name != actual for name, actual in shown.items()):
        named = (f"f.{identifier(actual)} AS {identifier(name)}" for name, actual in shown.items())
        names.selects[table.name] = f"SELECT {', '.join(named)} FROM {_home(found)} AS f"
    if table.way != "history":
        return
    current = current_view(table.name)
    if deletions and not _may_read(deletions):
        names.missing[current] = (
            f"no right to SELECT on {found.schema}.{DELETIONS} of the warehouse, which says what "
            f"{current} leaves out: ask for it"
        )
        return
    history = PostgresTable(
        table.id,
        found.schema,
        found.name,
        found.types,
        record_id(found),
        table.key,
        table.way,
        table.other_columns,
        found.opaque,
    )
    names.selects[current] = current_state(history, columns, _may_read(deletions))


def _home(found: Found) -> str:
    return f"{identifier(found.schema)}.{identifier(found.name)}"


def _empty(columns: Mapping[str, str]) -> str:
    """Return a SELECT of no rows."""
    nulls = ", ".join(
        f"CAST(NULL AS {kind.removesuffix(' NOT NULL')}) AS {identifier(name)}"
        for name, kind in columns.items()
    )
    return f"SELECT {nulls} WHERE false"
