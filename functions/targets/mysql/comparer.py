"""MySQL as a target of reconcile: a snapshot of a warehouse, compared in its own SQL.

It implements `functions.targets.Comparing`, and writes nothing but temporary tables. Results pass
through this function into temporary tables of a second session, because a statement that writes the
rows it reads takes locks, and reads past the snapshot.
https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.database import stored_database
from functions.common.mysql import MysqlConnection, connection, quoted
from functions.common.objects import Key
from functions.targets import Counted, Feed, Place
from functions.targets.comparing import Keep, WarehouseComparer
from functions.targets.digests import sums_of, text
from functions.targets.mysql.apply import keep as keep_one
from functions.targets.mysql.disagreements import Disagreements
from functions.targets.mysql.session import MysqlTables
from functions.targets.mysql.snapshot import digest, line
from functions.targets.mysql.stage import Stage, stage_of
from functions.targets.mysql.tables import MysqlLayout, inspect
from functions.targets.standing import loaded_batch, newest_marked

_SESSION = {
    "net_write_timeout": 600,  # seconds for which the client may not read
    "sort_buffer_size": 16 << 20,
}


@contextmanager
def comparer(place: Place, feed: Feed, seconds: float) -> Iterator["MysqlComparer"]:
    """Connect to a warehouse, and hold one snapshot of it."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = place.settings.get(place.setting("SCHEMA")) or database.dbname
    with connection(database, seconds) as opened, connection(database, seconds) as notes:
        for session in (opened, notes):
            session.run("SET " + ", ".join(f"SESSION {name} = {n}" for name, n in _SESSION.items()))
            session.run(f"USE {quoted(schema)}")  # temporary tables are created there
        layout = inspect(opened, schema, place.target, [each.target for each in feed.mappings])
        batch = loaded_batch(MysqlTables(opened, layout), feed.markers)
        opened.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        latest = max(batch, newest_marked(feed.markers))
        yield MysqlComparer(opened, notes, layout, batch, latest)


class MysqlComparer(WarehouseComparer):
    """A snapshot of the tables that one source feeds; `notes` is the session that is written to."""

    def __init__(
        self,
        snapshot: MysqlConnection,
        notes: MysqlConnection,
        layout: MysqlLayout,
        batch: int,
        latest: int,
    ) -> None:
        super().__init__(layout, batch, latest)
        self._snapshot = snapshot
        self._notes = notes
        self._layout = layout

    @contextmanager
    def _compared(
        self, table: str, rows: Iterable[pa.Table], unfit: Sequence[Key], keep: Keep
    ) -> Iterator[Disagreements]:
        stage = self._staged(table, rows)
        if keep != "all":
            keep_one(stage, "ASC" if keep == "first" else "DESC")
        with Disagreements(self._snapshot, self._notes, stage, unfit) as found:
            yield found
        stage.drop()

    def lines(self, mapping: Mapping, rows: Iterable[pa.Table]) -> Counted:
        """Compare a table without a key with the rows that it should have."""
        stage = self._staged(mapping.target.id, rows)
        found = (
            f"SELECT {line(stage, 's')} AS line, 1 AS is_here, 0 AS is_there"
            f" FROM {stage.source} AS s UNION ALL"
            f" SELECT {line(stage, 't')}, 0, 1 FROM {stage.table.target} AS t"
        )
        [[there, missing, extra]] = self._snapshot.run(
            "SELECT coalesce(sum(there), 0), coalesce(sum(greatest(here - there, 0)), 0),"
            " coalesce(sum(greatest(there - here, 0)), 0) FROM (SELECT SQL_BIG_RESULT line,"
            f" sum(is_here) AS here, sum(is_there) AS there FROM ({found}) AS found"
            " GROUP BY line) AS counted"
        )
        sides = ((stage.source, "s"), (stage.table.target, "t"))
        ours, theirs = (text(sums_of(*self._snapshot.run(digest(stage, *at)))) for at in sides)
        counted = Counted(
            stage.rows,
            int(there),
            missing=int(missing),
            extra=int(extra),
            source_digest=ours,
            warehouse_digest=theirs,
        )
        stage.drop()
        return counted

    def _staged(self, table: str, rows: Iterable[pa.Table]) -> Stage:
        stage = stage_of(self._snapshot, self._layout, table)
        for part in rows:
            stage.open(part.column_names)
            stage.fill(part)
        return stage
