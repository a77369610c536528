"""Find parents that a batch's facts name and that transform will never see.

The source's own foreign keys rule them out, as long as they are declared and were never switched
off; the warehouse's would refuse the whole batch.
"""

from collections.abc import Iterable, Mapping

import pg8000.native
import pyarrow as pa

from etl.pipeline import Wait
from functions.common.copy import copy_out
from functions.common.keys import Key
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.keysql import is_integer, key_sql
from functions.sources.postgres.plan import TableKeys, TablePlan


class MissingParents:
    """The parents, by table, that the rows of a batch name and that are not there.

    Single integers are looked for among the keys of the tables in the snapshot. For any other key
    the source itself compares its tables.
    """

    def __init__(
        self, connection: pg8000.native.Connection, plans: Mapping[str, TablePlan]
    ) -> None:
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
        """Look for the parents with integer keys that rows of a table wait for.

        The parents of a table that is left out are looked for among the keys that it had when it
        was last read.
        """
        for wait in waits:
            known = keys.get(wait.parent.id, KeySet())
            if is_integer(plan.types_of(wait.columns)) and isinstance(known, KeySet):
                self._add(wait, known.not_in(rows[wait.columns[0]]))

    def ask(self, waits: Iterable[Wait], plan: TablePlan, keys: Mapping[str, TableKeys]) -> None:
        """Look for the parents with other keys that the changed rows of a table wait for."""
        for wait in waits:
            if not is_integer(plan.types_of(wait.columns)):
                self._ask(wait, plan, keys.get(wait.parent.id))

    def _ask(self, wait: Wait, plan: TablePlan, known: TableKeys | None) -> None:
        key = key_sql(plan.types_of(wait.columns))
        named = f"SELECT DISTINCT {key} AS key FROM {plan.source} WHERE {plan.changed}"
        parent = self._plans[wait.parent.id]
        if parent.error is None:
            there = f"SELECT ({parent.key_sql})::text AS key FROM {parent.source}"
            named = (
                f"SELECT named.key FROM ({named}) AS named LEFT JOIN ({there}) AS there"
                " ON there.key = named.key WHERE there.key IS NULL"
            )
            known = None
        for rows in copy_out(self._connection, named, pa.schema([("key", pa.string())])):
            missing = rows["key"].drop_null()
            self._add(wait, missing if known is None else known.not_in(missing))

    def _add(self, wait: Wait, missing: pa.Array) -> None:
        if len(missing):
            self._found.setdefault(wait.parent.id, set()).update(missing.to_pylist())

    def by_table(self) -> dict[str, list[Key]]:
        """Return all that were found."""
        return {
            table: sorted(keys, key=lambda key: (isinstance(key, str), key))
            for table, keys in sorted(self._found.items())
        }
