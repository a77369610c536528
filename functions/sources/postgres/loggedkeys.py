"""The keys of a table of which the source's log shows all that may have come or gone.

Only these are looked up in the snapshot, and only the parts of the stored keys that have them are
read and written again.
"""

import pyarrow as pa
import pyarrow.compute as pc

from functions.common.copy import copy_out
from functions.common.objects import ObjectNames
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres import hashedkeys, keysets
from functions.sources.postgres.hashedkeys import FOUND, HashedKeys, Renewed
from functions.sources.postgres.keysets import KeySet, KeySetBuilder
from functions.sources.postgres.keysql import hashed
from functions.sources.postgres.plan import TablePlan
from functions.sources.postgres.unreported import Report

_KEYS = pa.schema([("key", pa.int64())])


def in_runs(
    connection: PostgresConnection, plan: TablePlan, before: KeySet
) -> tuple[KeySet | None, list[pa.Array]]:
    """Return the integer keys that a table has now, and in order those that it no longer has.

    The former are None if they make too many runs.
    """
    if plan.lookup is None or not plan.lookup.touched.moved:
        return before, []
    asked = _read(connection, f"SELECT {plan.key_sql} FROM {plan.lookup.keys('moved')}", _KEYS)
    query = f"SELECT {plan.key_sql} FROM {plan.source} WHERE {plan.lookup.has_key('moved')}"
    here = _read(connection, query, _KEYS)["key"].combine_chunks()
    known = asked["key"].combine_chunks()
    known = known.filter(keysets.is_in(before, known))
    lost = known.filter(pc.invert(pc.is_in(known, here)))
    came = KeySetBuilder()
    came.add(before.not_in(here))
    now = keysets.united(keysets.without(before, lost), came.key_set())
    return now, [lost.sort()] if len(lost) else []


def in_parts(
    connection: PostgresConnection,
    plan: TablePlan,
    before: HashedKeys,
    names: ObjectNames,
    report: Report,
) -> Renewed:
    """Return the other keys that a table has now, and report those that it no longer has."""
    if plan.lookup is None or not plan.lookup.touched.moved:
        return Renewed(before, pa.array([], pa.int64()))
    asked = _read(connection, _hashed(plan, plan.lookup.keys("moved")), FOUND)
    here = f"{plan.source} WHERE {plan.lookup.has_key('moved')}"
    found = copy_out(connection, _hashed(plan, here), FOUND)
    return hashedkeys.renewed(before, names, found, report, asked=asked)


def _hashed(plan: TablePlan, rows: str) -> str:
    """Return the query for keys with their hashes, in order of hash."""
    return (
        f"SELECT hash, key FROM {hashed(plan.key_text, rows)} AS hashed"
        " WHERE key IS NOT NULL ORDER BY hash"
    )


def _read(connection: PostgresConnection, query: str, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(copy_out(connection, query, schema), schema)
