"""Compare the rows that a table should have with those it has, in the warehouse's own SQL.

Keys are compared in the form of `functions.common.keys`: as an integer or a text.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pg8000.native import identifier

from functions.common.copy import copy_in, copy_out
from functions.common.keys import as_type
from functions.common.objects import Key
from functions.targets import Counted
from functions.targets.comparing import EXAMPLES, EXPLAINING, KINDS, Tally
from functions.targets.digests import Sums, added, sums_of, without
from functions.targets.postgres.snapshot import halves
from functions.targets.postgres.stage import Stage


class Disagreements:
    """The keys on which the staged rows and the current state of their table disagree.

    They, and the keys that explain some of them, are in temporary tables, which are dropped at the
    end of the context.
    """

    def __init__(self, stage: Stage, unfit: Sequence[Key]) -> None:
        """Find them; `unfit` are keys of source rows that cannot be in the warehouse."""
        self._stage = stage
        self._connection = connection = stage.connection
        self._in_source = stage.rows + len(unfit)
        self._columns = len(stage.table.key)
        self._is_integer = _has_integer_key(stage)
        self._create("unfit_keys", [pa.array(unfit, None if unfit else pa.string())])
        connection.run("SET LOCAL enable_nestloop = off")
        connection.run(
            "CREATE TEMPORARY TABLE apart ON COMMIT DROP AS SELECT id,"
            " here.id IS NOT NULL AS in_source, there.id IS NOT NULL AS in_warehouse,"
            f" here.fit, {_hash('here.row')} AS mine, {_hash('there.row')} AS theirs"
            f" FROM ({_expected(stage)}) AS here FULL JOIN ({_newest(stage)}) AS there"
            " USING (id) WHERE here.fit IS NOT TRUE OR there.id IS NULL"
            " OR here.row IS DISTINCT FROM there.row"
        )
        connection.run("ANALYZE apart")
        for name in EXPLAINING:
            self._create(name, [])

    def __enter__(self) -> "Disagreements":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.has_working_transaction:  # otherwise the rollback drops them
            names = ", ".join(["apart", "unfit_keys", *EXPLAINING])
            self._connection.run(f"DROP TABLE {names}")

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([("id", pa.int64() if self._is_integer else pa.string())])

    def in_target_only(self) -> Iterator[pa.Array]:
        """Yield the keys that only the target has; no other method may be called meanwhile."""
        query = "SELECT id FROM apart WHERE NOT in_source AND id IS NOT NULL"
        for rows in copy_out(self._connection, query, self._schema):
            yield rows["id"]

    def explain(
        self, pending: Iterable[pa.Array], deleted: Iterable[pa.Array], aside: pa.Array
    ) -> None:
        """Record which keys changed since the batch, were deleted before, or are in quarantine."""
        for name, keys in zip(EXPLAINING, (pending, deleted, [aside]), strict=True):
            self._copy(name, keys)

    def counted(self) -> Counted:
        """Return the numbers of rows, in all and of each kind, with examples."""
        tally = Tally(self._in_source, self._columns)
        for kind, total, aside, keys in self._connection.run(
            f"SELECT kind, count(*), count(*) FILTER (WHERE put_aside),"
            f" (array_agg(id ORDER BY id) FILTER (WHERE id IS NOT NULL))[1:{EXAMPLES}]"
            f" FROM ({KINDS}) AS found GROUP BY kind"
        ):
            tally.add(kind, total, aside, keys or ())
        [[missing, extra]] = self._connection.run(
            "SELECT count(*) FILTER (WHERE NOT in_warehouse), count(*) FILTER (WHERE NOT in_source)"
            " FROM apart"
        )
        return tally.counted(missing, extra, *self._sums())

    def _sums(self) -> tuple[Sums, Sums]:
        """Return those of the expected rows, and of the rows of the table."""
        rows = f"SELECT {_row(self._stage, 's')} FROM {self._stage.source} AS s"
        [mine] = self._connection.run(
            f"SELECT {halves('digest')} FROM (SELECT {_hash('row')} AS digest FROM ({rows})"
            " AS expected) AS digests"
        )
        [apart] = self._connection.run(f"SELECT {halves('mine')}, {halves('theirs')} FROM apart")
        here = sums_of(mine)
        return here, added(without(here, sums_of(apart[:2])), sums_of(apart[2:]))

    def unexplained(self, limit: int) -> list[Key]:
        """Return up to `limit` keys that are in the warehouse only and unexplained."""
        rows = self._connection.run(
            f"SELECT id FROM ({KINDS}) AS found WHERE kind = 'extra' AND id IS NOT NULL"
            " ORDER BY id LIMIT :limit",
            limit=limit,
        )
        return [key for [key] in rows]

    def _create(self, name: str, keys: Iterable[pa.Array]) -> None:
        kind = "bigint" if self._is_integer else "text"
        self._connection.run(f"CREATE TEMPORARY TABLE {name} (id {kind}) ON COMMIT DROP")
        self._copy(name, keys)

    def _copy(self, name: str, keys: Iterable[pa.Array]) -> None:
        [field] = self._schema
        for each in keys:
            if len(each):
                rows = pa.record_batch([as_type(each, field.type)], schema=self._schema)
                copy_in(self._connection, identifier(name), ["id"], [rows])
        self._connection.run(f"ANALYZE {identifier(name)}")


def _has_integer_key(stage: Stage) -> bool:
    kinds = [stage.table.types[column] for column in stage.table.keys]
    return len(kinds) == 1 and kinds[0] in ("smallint", "integer", "bigint")


def _key(stage: Stage, alias: str) -> str:
    """Return the SQL of an alias's key."""
    if _has_integer_key(stage):
        return f"{alias}.{identifier(stage.table.keys[0])}::bigint"
    return stage.table.key_text(alias)


def _row(stage: Stage, alias: str) -> str:
    values = ", ".join(stage.table.value(column, alias) for column in stage.columns)
    return f"ROW({values}) AS row"


def _hash(row: str) -> str:
    """Return the SQL of a digest of a row."""
    return f"sha256(convert_to({row}::text, 'UTF8'))"


def _expected(stage: Stage) -> str:
    return (
        f"SELECT {_key(stage, 's')} AS id, true AS fit, {_row(stage, 's')}"
        f" FROM {stage.source} AS s UNION ALL SELECT id, false, NULL FROM unfit_keys"
    )


def _newest(stage: Stage) -> str:
    """Return the SQL of the table's current state: a history's newest record of each key."""
    table = stage.table
    state = f"{_key(stage, 't')} AS id, {_row(stage, 't')} FROM {table.target} AS t"
    if table.record_id is None:
        return f"SELECT {state}"
    keys = table.key_values("t")
    return (
        f"SELECT DISTINCT ON ({keys}) {state} ORDER BY {keys}, t.{identifier(table.record_id)} DESC"
    )
