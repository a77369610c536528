"""Stop tables in which a row has no key, or several have the same one, before any row is read.

A primary key rules out both, and then nothing is searched. Without one (it was dropped, a table
inherits from this one, or a partitioned table has a longer key) a table is searched whenever its
keys have changed, and for rows without a key whenever it is looked at.
"""

from collections.abc import Mapping
from dataclasses import replace

from pg8000.native import identifier

from functions.common.keys import spoken
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.plan import TableKeys, TablePlan
from functions.sources.postgres.surveys import Survey


def stop_at_missing_keys(
    connection: PostgresConnection, plans: Mapping[str, TablePlan]
) -> dict[str, TablePlan]:
    """Return the plans, those of tables with a row that nothing identifies with an error."""
    return {
        name: replace(plan, error=_missing_key(connection, plan))
        if plan.error is None and plan.columns.key_may_be_null and not plan.is_left
        else plan
        for name, plan in plans.items()
    }


def _missing_key(connection: PostgresConnection, plan: TablePlan) -> str | None:
    for key in plan.table.keys:
        [[found]] = connection.run(
            f"SELECT EXISTS (SELECT FROM {plan.source} WHERE {identifier(key)} IS NULL)"
        )
        if found:
            return f"{plan.table}: a row has no {key}: give it one, or delete it"
    return None


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
