"""Find parents that a batch's facts name and that transform will never see.

The source's own foreign keys rule them out, as long as they are declared and were never switched
off; the warehouse's would refuse the whole batch.
"""

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier, literal

from functions.common.copy import copy_out
from functions.extract.keysets import KeySet, holds
from functions.extract.plan import TablePlan

_FOUND = pa.schema([("parent", pa.string()), ("key", pa.int64())])


def missing_parents(
    connection: pg8000.native.Connection,
    plans: dict[str, TablePlan],
    changed: list[TablePlan],
    known: dict[str, KeySet],
) -> dict[str, list[int]]:
    """Return, by table, the keys of parents that changed facts name and that are not there.

    The parents of a table that is left out are looked for among the keys that it had when it was
    last read.
    """
    queries = [
        _orphans(plan, column, plans[parent])
        for plan in changed
        for column, parent in plan.columns.table.parents.items()
    ]
    missing: dict[str, set[int]] = {}
    if queries:
        for rows in copy_out(connection, " UNION ".join(queries), _FOUND):
            for parent, key in zip(
                rows["parent"].to_pylist(), rows["key"].to_pylist(), strict=True
            ):
                if plans[parent].error is None or not holds(known.get(parent, {}), key):
                    missing.setdefault(parent, set()).add(key)
    return {table: sorted(keys) for table, keys in sorted(missing.items())}


def _orphans(plan: TablePlan, column: str, parent: TablePlan) -> str:
    name, key = identifier(column), identifier(parent.key)
    query = (
        f"SELECT {literal(parent.name)}, child.{name}::bigint FROM {plan.source} AS child"
        f" WHERE child.{name} IS NOT NULL AND ({plan.changed})"
    )
    if parent.error is not None:
        return query
    # NOT IN would look through a list that does not fit into work_mem once for each row.
    return query + f" AND NOT EXISTS (SELECT FROM {parent.source} WHERE {key} = child.{name})"
