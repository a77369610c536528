"""Stop tables with a duplicate key, before any row of them is read.

A unique index rules that out, and then nothing is searched. Without one (a primary key was
dropped, a table inherits from this one, or a partitioned table has a longer key) a table is
searched whenever its keys have changed.
"""

from collections.abc import Mapping
from dataclasses import replace

from functions.common.keys import spoken
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.plan import Survey, TableKeys, TablePlan


def stop_at_equal_keys(
    connection: PostgresConnection,
    plans: Mapping[str, TablePlan],
    found: Mapping[str, Survey],
    known: Mapping[str, TableKeys],
) -> dict[str, TablePlan]:
    """Return the plans, those of tables with a duplicate key with an error.

    `found` are the surveys of the tables that are not read whole, `known` the keys that each table
    had when it was last read: these are distinct.
    """
    return {
        name: replace(plan, error=_equal_keys(connection, plan))
        if _may_have_equal_keys(plan, found.get(name), known.get(name))
        else plan
        for name, plan in plans.items()
    }


def _may_have_equal_keys(plan: TablePlan, found: Survey | None, known: TableKeys | None) -> bool:
    if plan.error is not None or plan.columns.key_is_unique:
        return False
    return found is None or found.differs_from(known)


def _equal_keys(connection: PostgresConnection, plan: TablePlan) -> str | None:
    rows = connection.run(
        f"SELECT key, count(*) FROM (SELECT {plan.key_sql} AS key FROM {plan.source}) AS keys"
        " WHERE key IS NOT NULL GROUP BY key HAVING count(*) > 1 ORDER BY key LIMIT 1"
    )
    names = plan.table.keys
    for key, times in rows:
        which = f"{', '.join(names)} {spoken(key, len(names))}"
        return f"{plan.table}: {times} rows have {which}: leave only one of them"
    return None
