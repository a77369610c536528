"""One scan of each table: which of its keys may have changed, and how many rows have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import literal

from functions.common.copy import copy_out
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres import keysets
from functions.sources.postgres.keysets import KeySet
from functions.sources.postgres.keysql import BUCKETS, HASH_SHIFT, hashed
from functions.sources.postgres.plan import TableKeys, TablePlan


@dataclass(frozen=True)
class Survey:
    """The result of one scan of a table: digests of its keys, and how many rows changed.

    `changed` is None where the rows are copied without being counted first. `is_partial` says that
    there are too many digests: the keys are sparse, and all are read.
    """

    digests: pa.Table
    changed: int | None
    is_partial: bool = False

    def differs_from(self, known: TableKeys | None) -> bool:
        """Return whether the table's keys differ from the known ones; None stands for no keys."""
        digests = known.digests if known is not None else keysets.DIGESTS.empty_table()
        return self.is_partial or len(keysets.changed_buckets(digests, self.digests)) > 0

    @property
    def may_have_changes(self) -> bool:
        """Whether rows have changed, or nobody has counted."""
        return self.changed != 0


def survey(
    connection: PostgresConnection, plans: list[TablePlan], known: Mapping[str, TableKeys]
) -> dict[str, Survey]:
    """Scan tables, each once, in one statement; keys are grouped as in the `known` sets.

    Of a table that is not to be scanned completely, the keys count as those that are known.
    """
    found = _scanned(connection, [plan for plan in plans if plan.scan == "all"], known)
    for plan in plans:
        if plan.scan != "all":
            keys = known.get(plan.id)
            digests = keysets.DIGESTS.empty_table() if keys is None else keys.digests
            is_same = plan.scan == "nothing" or (plan.lookup and plan.lookup.touched.is_empty)
            found[plan.id] = Survey(digests, 0 if is_same else None)
    return found


def _scanned(
    connection: PostgresConnection, plans: list[TablePlan], known: Mapping[str, TableKeys]
) -> dict[str, Survey]:
    if not plans:
        return {}
    scans = [_scan(plan, known.get(plan.id)) for plan in plans]
    schema = pa.schema([("table", pa.string()), *keysets.DIGESTS, ("changed", pa.int64())])
    surveys = {plan.id: Survey(keysets.DIGESTS.empty_table(), 0) for plan in plans}
    at_most = {plan.id: BUCKETS if plan.is_hashed else keysets.DIGESTS_AT_MOST for plan in plans}
    for rows in copy_out(connection, " UNION ALL ".join(scans), schema):
        for name in pc.unique(rows["table"]).to_pylist():
            mine = rows.filter(pc.equal(rows["table"], name))
            surveys[name] = _with(surveys[name], mine, at_most[name])
    return {
        name: replace(found, digests=found.digests.sort_by("bucket").combine_chunks())
        for name, found in surveys.items()
    }


def _scan(plan: TablePlan, known: TableKeys | None) -> str:
    if not plan.is_hashed:
        shift = known.shift if isinstance(known, KeySet) else keysets.SHIFT
        digests = keysets.digest_columns(plan.key, shift)
        rows = f"{plan.source} WHERE {plan.compared}"
        changed = plan.changed
    else:
        digests = f"hash >> {HASH_SHIFT}, count(*), sum(hash)"
        rows = f"{hashed(plan.key_text, plan.source, f'{plan.changed} AS changed')} AS hashed"
        changed = "changed"
    return (
        f"SELECT {literal(plan.id)}, {digests}, count(*) FILTER (WHERE {changed})"
        f" FROM {rows} GROUP BY 2"
    )


def _with(found: Survey, rows: pa.RecordBatch, at_most: int) -> Survey:
    """Return a survey with more of its rows, and at most some number of digests."""
    changed = (found.changed or 0) + pc.sum(rows["changed"]).as_py()
    # A row whose key Arrow cannot hold has none.
    digests = rows.filter(rows["bucket"].is_valid()).select(keysets.DIGESTS.names)
    if found.is_partial or len(found.digests) + len(digests) > at_most:
        return Survey(keysets.DIGESTS.empty_table(), changed, is_partial=True)
    return Survey(pa.concat_tables([found.digests, pa.Table.from_batches([digests])]), changed)
