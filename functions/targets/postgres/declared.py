"""Let SQL name tables and columns as they are declared, in a warehouse that has other names.

Such a table is put before a SELECT as a common table expression of its declared name, and so are
the current states of histories, which only a managed warehouse has as views. The column by which a
warehouse numbers the records of a history is also called `record_id`. An optional table that is not
there is an empty one.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pg8000.native import identifier

from etl.ddl import sql_type
from etl.targets import Target, TargetTable
from functions.common.errors import WarehouseSetupError
from functions.common.pgconnection import PostgresConnection
from functions.targets.layout import Found, actual_name, record_id
from functions.targets.own_tables import DELETIONS, LEDGER, LEDGER_COLUMNS
from functions.targets.postgres.catalogue import tables_of
from functions.targets.postgres.current import DELETIONS_TYPES, current_state, view_name
from functions.targets.postgres.tables import PostgresTable

RECORD_ID = "record_id"


@dataclass(frozen=True)
class Declared:
    """What SQL may name: the SELECTs that stand for names, and the tables that are `missing`.

    `ledger` is the table of loaded batches, None if this role does not find one; `tables` are
    those that are there, by their declared names.
    """

    selects: dict[str, str]
    missing: dict[str, str]
    ledger: str | None
    tables: dict[str, Found] = field(default_factory=dict)

    def named_in(self, sql: str) -> str:
        """Return the WITH clause for a SELECT; raise WarehouseSetupError for what it lacks.

        A name in a string or a comment counts as well: that does no harm.
        """
        words = set(re.findall(r"\w+", sql))
        for name in sorted(words & self.missing.keys()):
            raise WarehouseSetupError(self.missing[name])
        # Read once for each time that it is named, like the table itself.
        named = [
            f"{identifier(name)} AS NOT MATERIALIZED ({select})"
            for name, select in self.selects.items()
            if name in words
        ]
        return f"WITH {', '.join(named)} " if named else ""


def declared_names(connection: PostgresConnection, schema: str, target: Target) -> Declared:
    """Look at what a warehouse has of a target; `schema` is the warehouse's own."""
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
            names.missing[table.name] = names.missing[view_name(table.name)] = (
                f"table {table.name} is not in schema {home} of the warehouse, or this role may "
                "not use the schema: has a batch been loaded?"
            )
    if target.calendar is not None and target.calendar.name in own:
        names.tables[target.calendar.name] = own[target.calendar.name]
    return names


def _kept(there: Mapping[str, Found], name: str, columns: Collection[str]) -> Found | None:
    """Return a table that load keeps, if it is there, and not another one of its name."""
    found = there.get(name)
    return found if found and set(columns) <= found.types.keys() else None


def _may_read(found: Found | None) -> str | None:
    """Return a table as SQL names it, if it is there and this role may read it."""
    return _home(found) if found and "SELECT" not in found.denied else None


def _add(names: Declared, table: TargetTable, found: Found, deletions: Found | None) -> None:
    """Add what stands for a table, where names differ, and for its current state."""
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
    current = view_name(table.name)
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
