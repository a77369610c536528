"""Compare the rows that a table should have with those it has, in the warehouse's own SQL.

Keys are compared in the form of `functions.common.keys`: as an integer, or as the digest of a text
of any length.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from functions.common.keys import as_type
from functions.common.mysql import MysqlConnection, quoted
from functions.common.objects import Key
from functions.targets import Counted
from functions.targets.comparing import EXAMPLES, EXPLAINING, KINDS, Tally
from functions.targets.digests import HALVES, added, sums_of, without
from functions.targets.mysql.literals import insert_statements
from functions.targets.mysql.snapshot import digest, half, halves, line
from functions.targets.mysql.stage import Stage
from functions.targets.mysql.tables import BOOLEAN

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_DIGEST = "unhex(sha2({}, 256))"
_NUMBER_CHARACTERS = 20  # of the number of a record
_TEXT = "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


class Disagreements:
    """The keys on which the staged rows and the current state of their table disagree.

    They, and the keys that explain some of them, are in temporary tables of the session `notes`,
    which are dropped at the end of the context.
    """

    def __init__(
        self,
        snapshot: MysqlConnection,
        notes: MysqlConnection,
        stage: Stage,
        unfit: Sequence[Key],
    ) -> None:
        """Find them; `unfit` are keys of source rows that cannot be in the warehouse."""
        self._snapshot = snapshot
        self._notes = notes
        self._stage = stage
        self._in_source = stage.rows + len(unfit)
        self._is_integer = _has_integer_key(stage)
        self._shown = "id" if self._is_integer else "shown"
        for name in EXPLAINING:
            self._create(notes, name)
        self._create(notes, "apart", ", in_source boolean, in_warehouse boolean, fit boolean")
        self._create(snapshot, "unfit_keys")
        keys = pa.array(unfit, None if unfit else pa.string())
        self._put(snapshot, "unfit_keys", {self._shown: as_type(keys, self._key_type)})
        self._here = sums_of(*snapshot.run(digest(stage, stage.source, "s")))
        self._there = self._here
        for rows in self._found():
            self._put(notes, "apart", rows)

    def __enter__(self) -> "Disagreements":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # otherwise the sessions end, and their tables with them
            self._notes.run(f"DROP TEMPORARY TABLE {', '.join(['apart', *EXPLAINING])}")
            self._snapshot.run("DROP TEMPORARY TABLE unfit_keys")

    @property
    def _key_type(self) -> pa.DataType:
        return pa.int64() if self._is_integer else pa.string()

    def in_target_only(self) -> Iterator[pa.Array]:
        """Yield the keys that only the target has; no other method may be called meanwhile."""
        query = f"SELECT {self._shown} FROM apart WHERE NOT in_source AND id IS NOT NULL"
        for rows in self._notes.stream(query):
            yield pa.array([key for [key] in rows], self._key_type)

    def explain(
        self, pending: Iterable[pa.Array], deleted: Iterable[pa.Array], aside: pa.Array
    ) -> None:
        """Record which keys changed since the batch, were deleted before, or are in quarantine."""
        for name, parts in zip(EXPLAINING, (pending, deleted, [aside]), strict=True):
            for keys in parts:
                self._put(self._notes, name, {self._shown: as_type(keys, self._key_type)})

    def counted(self) -> Counted:
        """Return the numbers of rows, in all and of each kind, with examples."""
        tally = Tally(self._in_source, len(self._stage.table.key))
        for kind, total, aside in self._notes.run(
            f"SELECT kind, count(*), sum(put_aside) FROM ({KINDS}) AS found GROUP BY kind"
        ):
            tally.add(kind, total, int(aside), self._some(kind, EXAMPLES))
        [[missing, extra]] = self._notes.run(
            "SELECT coalesce(sum(NOT in_warehouse), 0), coalesce(sum(NOT in_source), 0) FROM apart"
        )
        return tally.counted(int(missing), int(extra), self._here, self._there)

    def unexplained(self, limit: int) -> list[Key]:
        """Return up to `limit` keys that are in the warehouse only and unexplained."""
        return self._some("extra", limit)

    def _some(self, kind: str, limit: int) -> list[Key]:
        """Return the first keys of a kind of disagreement."""
        rows = self._notes.run(
            f"SELECT {self._shown} FROM ({KINDS}) AS found WHERE kind = '{kind}'"
            f" AND id IS NOT NULL ORDER BY {self._shown} LIMIT {limit}"
        )
        return [key for [key] in rows]

    def _found(self) -> Iterator[dict[str, pa.Array]]:
        """Yield the keys that disagree, and which side has them.

        The rows of both sides are sorted and grouped by their keys, so the plan depends on no index
        or statistics. Grouping in a temporary table would take 3 to 6 times as long.
        """
        stage, is_history = self._stage, self._stage.table.record_id is not None
        copies = "1" if is_history else "if(sum(here), 1, sum(there))"
        same = "max(line) = max(newest) AND max(line) = min(newest)"
        theirs = halves("newest")
        if is_history:
            state = f"substr(max(newest), {_NUMBER_CHARACTERS + 1})"
            same, theirs = f"max(line) = {state}", ", ".join(half(state, at) for at in HALVES)
        for rows in self._snapshot.stream(
            f"SELECT SQL_BIG_RESULT max(shown), sum(here), sum(there), min(fit), {copies},"
            f" {halves('line')}, {theirs} FROM"
            f" ({_expected(stage, self._key('s'), self._id('s'))} UNION ALL"
            f" SELECT {self._shown}, id, 1, 0, 0, NULL, NULL FROM unfit_keys UNION ALL"
            f" {_newest(stage, self._key('t'), self._id('t'))}) AS every_row GROUP BY id"
            f" HAVING NOT (sum(here) AND sum(there) AND min(fit) AND {same})"
        ):
            for *_, one, two, three, four in rows:
                left = without(self._there, sums_of((one, two)))
                self._there = added(left, sums_of((three, four)))
            yield self._apart([row[:4] for row in rows for _ in range(int(row[4]))])

    def _apart(self, rows: Sequence[Sequence[Any]]) -> dict[str, pa.Array]:
        """Return rows (key, in source, in warehouse, fit) as columns of `apart`.

        A key that the source lacks is neither fit nor unfit.
        """
        return {
            self._shown: pa.array([key for key, *_ in rows], self._key_type),
            "in_source": pa.array([bool(here) for _, here, _, _ in rows], pa.bool_()),
            "in_warehouse": pa.array([bool(there) for _, _, there, _ in rows], pa.bool_()),
            "fit": pa.array([None if fit is None else bool(fit) for *_, fit in rows], pa.bool_()),
        }

    def _key(self, alias: str) -> str:
        """Return the SQL of an alias's keys."""
        if self._is_integer:
            return f"{alias}.{quoted(self._stage.table.keys[0])}"
        return f"CONVERT({self._stage.table.key_text(alias)} USING utf8mb4)"

    def _id(self, alias: str) -> str:
        return self._key(alias) if self._is_integer else _DIGEST.format(self._key(alias))

    def _create(self, session: MysqlConnection, name: str, columns: str = "") -> None:
        """Create a temporary table of keys; texts are identified by a digest."""
        key = "id bigint"
        if not self._is_integer:
            key = f"shown {_TEXT}, id binary(32) AS ({_DIGEST.format('shown')}) STORED"
        place = "place bigint NOT NULL AUTO_INCREMENT PRIMARY KEY"  # some servers require one
        session.run(f"CREATE TEMPORARY TABLE {name} ({place}, {key}{columns}) ENGINE=InnoDB")

    @staticmethod
    def _put(session: MysqlConnection, name: str, columns: dict[str, pa.Array]) -> None:
        rows = pa.table(columns)
        head = f"INSERT INTO {name} ({', '.join(columns)}) VALUES "
        for statement in insert_statements(head, rows, [""] * len(columns), session.packet):
            session.store(statement)


def _has_integer_key(stage: Stage) -> bool:
    [kind, *more] = [stage.table.types[column] for column in stage.table.keys]
    is_integer = kind.partition("(")[0].partition(" ")[0] in _INTEGERS
    return is_integer and kind != BOOLEAN and not more


def _expected(stage: Stage, key: str, identity: str) -> str:
    return (
        f"SELECT {key} AS shown, {identity} AS id, 1 AS here, 0 AS there, 1 AS fit,"
        f" {line(stage, 's')} AS line, NULL AS newest FROM {stage.source} AS s"
    )


def _newest(stage: Stage, key: str, identity: str) -> str:
    """Return the SQL of the table's rows: of a history, the greatest `newest` is the state."""
    newest = line(stage, "t")
    if stage.table.record_id is not None:
        newest = (
            f"concat(lpad(t.{quoted(stage.table.record_id)}, {_NUMBER_CHARACTERS}, '0'), {newest})"
        )
    return f"SELECT {key}, {identity}, 0, 1, NULL, NULL, {newest} FROM {stage.table.target} AS t"
