"""Compare what a star table should hold with what it holds, in the warehouse's own SQL."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pg8000.native
import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in, copy_out
from functions.targets.postgres.stage import Stage

EXAMPLES = 5  # keys that are shown of each kind

_KEYS = pa.schema([("key", pa.int64())])
_KEY_TABLES = ("pending_keys", "deleted_keys", "aside_keys")
_KIND = """CASE WHEN pending.key IS NOT NULL THEN 'pending'
    WHEN in_source AND in_warehouse THEN 'different' WHEN in_source THEN 'missing'
    WHEN deleted.key IS NOT NULL THEN 'deleted' ELSE 'extra' END"""


@dataclass(frozen=True)
class Comparison:
    """How a star table agrees with the source; all numbers are rows.

    `missing` are in the source only, `different` in both, `extra` in the warehouse only and not
    known to be deleted; `deleted` are in the warehouse only because the source has deleted them.
    `pending` disagree because the source changed after the newest batch in the warehouse, and are
    among none of the others. Of the missing and the different, `quarantined` are those that were
    put aside with a reason. `examples` has keys of each kind. `error` says why nothing was
    compared, `note` what to know about the numbers.
    """

    source: int = 0
    warehouse: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    pending: int = 0
    deleted: int = 0
    quarantined: int = 0
    examples: dict[str, list[int]] = field(default_factory=dict)
    error: str | None = None
    note: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the warehouse is what the source says, deletions and pending rows aside."""
        return self.error is None and not (self.missing or self.different or self.extra)


class Disagreements:
    """The keys for which the staged rows and the newest state of their table disagree.

    They are in a temporary table, and so are the keys that explain some of them. Everything is gone
    when the context ends.
    """

    def __init__(
        self, connection: pg8000.native.Connection, stage: Stage, unfit: list[int]
    ) -> None:
        """Find them. `unfit` are keys in the source that no row of the warehouse can be made of."""
        self._connection = connection
        self._stage = stage
        self._in_source = stage.rows + len(unfit)
        self._create("unfit_keys", [pa.array(unfit, pa.int64())])
        connection.run("SET LOCAL enable_nestloop = off")
        connection.run(
            "CREATE TEMPORARY TABLE apart ON COMMIT DROP AS SELECT key,"
            " here.key IS NOT NULL AS in_source, there.key IS NOT NULL AS in_warehouse,"
            f" here.fit FROM ({_expected(stage)}) AS here FULL JOIN ({_newest(stage)}) AS there"
            " USING (key) WHERE here.fit IS NOT TRUE OR there.key IS NULL"
            " OR here.row IS DISTINCT FROM there.row"
        )
        connection.run("ANALYZE apart")
        for name in _KEY_TABLES:
            self._create(name, [])

    def __enter__(self) -> "Disagreements":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection._transaction_status == b"T":  # else all is gone with the transaction
            names = ", ".join(["apart", "unfit_keys", *_KEY_TABLES])
            self._connection.run(f"DROP TABLE {names}")

    def in_warehouse_only(self) -> Iterator[pa.Array]:
        """Yield the keys that the source does not have; nothing else may be asked meanwhile."""
        query = "SELECT key FROM apart WHERE NOT in_source AND key IS NOT NULL"
        for rows in copy_out(self._connection, query, _KEYS):
            yield rows["key"]

    def explain(
        self, pending: Iterable[pa.Array], deleted: Iterable[pa.Array], aside: Iterable[pa.Array]
    ) -> None:
        """Say which keys changed since the batch, were deleted before, or were put aside."""
        for name, keys in zip(_KEY_TABLES, (pending, deleted, aside), strict=True):
            self._copy(name, keys)

    def counted(self) -> Comparison:
        """Count the disagreements of each kind, with examples; agreements count as well."""
        kinds: Counter[str] = Counter()
        examples, quarantined = {}, 0
        for kind, total, aside, keys in self._connection.run(
            f"SELECT kind, count(*), count(*) FILTER (WHERE put_aside),"
            f" (array_agg(key ORDER BY key) FILTER (WHERE key IS NOT NULL))[1:{EXAMPLES}]"
            f" FROM ({self._kinds()}) AS found GROUP BY kind"
        ):
            kinds[kind] = total
            if kind in ("missing", "different"):
                quarantined += aside
            if kind not in ("deleted", "pending") and keys:
                examples[kind] = keys
        [[missing, extra]] = self._connection.run(
            "SELECT count(*) FILTER (WHERE NOT in_warehouse), count(*) FILTER (WHERE NOT in_source)"
            " FROM apart"
        )
        return Comparison(
            source=self._in_source,
            warehouse=self._in_source - missing + extra,
            quarantined=quarantined,
            examples=examples,
            missing=kinds["missing"],
            different=kinds["different"],
            extra=kinds["extra"],
            pending=kinds["pending"],
            deleted=kinds["deleted"],
        )

    def unexplained(self, limit: int) -> list[int]:
        """Return keys that are in the warehouse only and that nothing explains, up to a limit."""
        rows = self._connection.run(
            f"SELECT key FROM ({self._kinds()}) AS found WHERE kind = 'extra' AND key IS NOT NULL"
            " ORDER BY key LIMIT :limit",
            limit=limit,
        )
        return [key for [key] in rows]

    def _kinds(self) -> str:
        return (
            f"SELECT apart.key, {_KIND} AS kind, fit IS FALSE OR aside.key IS NOT NULL AS put_aside"
            " FROM apart LEFT JOIN (SELECT DISTINCT key FROM pending_keys) AS pending USING (key)"
            " LEFT JOIN (SELECT DISTINCT key FROM deleted_keys) AS deleted USING (key)"
            " LEFT JOIN (SELECT DISTINCT key FROM aside_keys) AS aside USING (key)"
        )

    def _create(self, name: str, keys: Iterable[pa.Array]) -> None:
        self._connection.run(f"CREATE TEMPORARY TABLE {name} (key bigint) ON COMMIT DROP")
        self._copy(name, keys)

    def _copy(self, name: str, keys: Iterable[pa.Array]) -> None:
        for each in keys:
            if len(each):
                rows = pa.record_batch([each], schema=_KEYS)
                copy_in(self._connection, identifier(name), ["key"], [rows])
        self._connection.run(f"ANALYZE {identifier(name)}")


def _expected(stage: Stage) -> str:
    key, name = identifier(stage.table.keys[0]), identifier(stage.name)
    return (
        f"SELECT {key}::bigint AS key, true AS fit, ROW({stage.list_of()}) AS row FROM {name}"
        " UNION ALL SELECT key, false, NULL FROM unfit_keys"
    )


def _newest(stage: Stage) -> str:
    """Return the SQL of the table's current state: of a fact, the newest record of each id."""
    key, table = identifier(stage.table.keys[0]), stage.table
    row = f"{key}::bigint AS key, ROW({stage.list_of()}) AS row FROM {table.target}"
    if table.record_id is None:
        return f"SELECT {row}"
    return f"SELECT DISTINCT ON ({key}) {row} ORDER BY {key}, {identifier(table.record_id)} DESC"
