"""Find parents to which rows of a batch refer, but which the source does not have.

The source's foreign keys rule them out, as long as they are declared and were never disabled; the
foreign keys of the target would refuse the rows.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from etl.pipeline import Wait
from functions.common.copy import copy_out
from functions.common.keys import Key
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.keysql import is_integer, text_sql
from functions.sources.postgres.plan import TableKeys, TablePlan


class MissingParents:
    """The missing parents of a batch's rows, by table.

    Integer keys are looked up in the runs. For other keys a query compares the tables.
    """

    def __init__(self, connection: PostgresConnection, plans: Mapping[str, TablePlan]) -> None:
        self._connection = connection
        self._plans = plans
        self._found: dict[str, set[Key]] = {}

    def look(
        self,
        waits: Iterable[Wait],
        plan: TablePlan,
        rows: pa.RecordBatch,
        keys: Mapping[str, TableKeys],
    ) -> None:
        """Look for the parents that rows of a table wait for, and whose keys are in runs.

        For a parent table that is not read, these are the keys from when it was last read.
        """
        for wait in waits:
            if known := _runs(wait, plan, keys):
                self._add(wait, known.not_in(rows[wait.columns[0]]))

    def ask(self, waits: Iterable[Wait], plan: TablePlan, keys: Mapping[str, TableKeys]) -> None:
        """Look for the other parents that the changed rows of a table wait for."""
        for wait in waits:
            if not _runs(wait, plan, keys):
                self._ask(wait, plan, keys.get(wait.parent.id))

    def _ask(self, wait: Wait, plan: TablePlan, known: TableKeys | None) -> None:
        types = plan.types_of(wait.columns)
        named = f"SELECT DISTINCT {text_sql(types)} AS key FROM {plan.source} WHERE {plan.taken}"
        parent = self._plans[wait.parent.id]
        if parent.error is None:
            there = f"SELECT {parent.key_text} AS key FROM {parent.source}"
            named = (
                f"SELECT named.key FROM ({named}) AS named LEFT JOIN ({there}) AS there"
                " ON there.key = named.key WHERE there.key IS NULL"
            )
            known = None
        for rows in copy_out(self._connection, named, pa.schema([("key", pa.string())])):
            missing = rows["key"].drop_null()
            if is_integer(types):
                missing = missing.cast(pa.int64())
            self._add(wait, missing if known is None else known.not_in(missing))

    def _add(self, wait: Wait, missing: pa.Array) -> None:
        if len(missing):
            self._found.setdefault(wait.parent.id, set()).update(missing.to_pylist())

    def by_table(self) -> dict[str, list[Key]]:
        """Return all missing parents."""
        return {
            table: sorted(keys, key=lambda key: (isinstance(key, str), key))
            for table, keys in sorted(self._found.items())
        }


def _runs(wait: Wait, plan: TablePlan, keys: Mapping[str, TableKeys]) -> KeySet | None:
    """Return the keys of a parent, if rows of a table refer to them by an integer."""
    known = keys.get(wait.parent.id, KeySet())
    if isinstance(known, KeySet) and is_integer(plan.types_of(wait.columns)):
        return known
    return None
