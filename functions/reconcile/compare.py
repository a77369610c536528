"""Compare what a star table should hold with what it holds, in the warehouse's own SQL."""

from dataclasses import dataclass, field

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in
from functions.load.stage import Stage

EXAMPLES = 5  # keys that are shown of each kind

_KEYS = pa.schema([("key", pa.int64())])


@dataclass(frozen=True)
class Comparison:
    """How a star table agrees with the source; all numbers are rows.

    `missing` are in the source only, `different` in both, `extra` in the warehouse only and not
    known to be deleted; `deleted` are in the warehouse only because the source has deleted them.
    Rows of the source that no warehouse row can be made of, `quarantined`, are among the missing
    and the different. `examples` has keys of each kind. `error` says why nothing was compared.
    """

    source: int = 0
    warehouse: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    deleted: int = 0
    quarantined: int = 0
    examples: dict[str, list[int]] = field(default_factory=dict)
    error: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the warehouse is what the source says, deletions aside."""
        return self.error is None and not (self.missing or self.different or self.extra)


def compare(
    connection: pg8000.native.Connection,
    stage: Stage,
    source_rows: int,
    unfit: list[int],
    deleted: list[int],
) -> Comparison:
    """Compare the staged rows with the newest state of their table."""
    _stage_keys(connection, "unfit_keys", unfit)
    _stage_keys(connection, "deleted_keys", deleted)
    connection.run("SET LOCAL enable_nestloop = off")
    counts, examples = {}, {}
    for kind, total, keys in connection.run(_counts(stage)):
        counts[kind] = total
        if kind not in ("same", "deleted") and keys:
            examples[kind] = keys
    for name in ("unfit_keys", "deleted_keys"):
        connection.run(f"DROP TABLE {name}")
    return Comparison(
        source=source_rows,
        warehouse=sum(counts.values()) - counts.get("missing", 0),
        missing=counts.get("missing", 0),
        different=counts.get("different", 0),
        extra=counts.get("extra", 0),
        deleted=counts.get("deleted", 0),
        quarantined=len(unfit),
        examples=examples,
    )


def _stage_keys(connection: pg8000.native.Connection, name: str, keys: list[int]) -> None:
    connection.run(f"CREATE TEMPORARY TABLE {identifier(name)} (key bigint) ON COMMIT DROP")
    rows = pa.record_batch({"key": pa.array(keys, pa.int64())}, schema=_KEYS)
    copy_in(connection, identifier(name), ["key"], [rows])
    connection.run(f"ANALYZE {identifier(name)}")


def _counts(stage: Stage) -> str:
    """Return the SQL that counts the keys of each kind, with examples."""
    kind = (
        "CASE WHEN there.key IS NULL THEN 'missing'"
        " WHEN here.key IS NULL AND gone.key IS NOT NULL THEN 'deleted'"
        " WHEN here.key IS NULL THEN 'extra'"
        " WHEN NOT here.fit OR here.row IS DISTINCT FROM there.row THEN 'different'"
        " ELSE 'same' END"
    )
    return (
        f"SELECT kind, count(*), (array_agg(key ORDER BY key) FILTER (WHERE kind <> 'same'))"
        f"[1:{EXAMPLES}] FROM (SELECT coalesce(here.key, there.key) AS key, {kind} AS kind"
        f" FROM ({_expected(stage)}) AS here FULL JOIN ({_newest(stage)}) AS there USING (key)"
        " LEFT JOIN deleted_keys AS gone ON gone.key = there.key) AS compared GROUP BY kind"
    )


def _expected(stage: Stage) -> str:
    key, name = identifier(stage.key), identifier(stage.name)
    return (
        f"SELECT {key}::bigint AS key, true AS fit, ROW({stage.list_of()}) AS row FROM {name}"
        " UNION ALL SELECT key, false, NULL FROM unfit_keys"
    )


def _newest(stage: Stage) -> str:
    """Return the SQL of the table's current state: of a fact, the newest record of each id."""
    key, table = identifier(stage.key), stage.table
    row = f"{key}::bigint AS key, ROW({stage.list_of()}) AS row FROM {table.target}"
    if table.record_id is None:
        return f"SELECT {row}"
    return f"SELECT DISTINCT ON ({key}) {row} ORDER BY {key}, {identifier(table.record_id)} DESC"
