"""PostgreSQL as a target of reconcile: a snapshot of a warehouse, compared in its own SQL.

It implements `functions.targets.Comparing`, and writes nothing but temporary tables.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.database import stored_database
from functions.common.objects import Key
from functions.common.pgconnection import PostgresConnection
from functions.common.postgres import connection
from functions.common.settings import required
from functions.targets import Counted, Feed, Place
from functions.targets.comparing import Keep, WarehouseComparer
from functions.targets.digests import sums_of, text
from functions.targets.postgres.disagreements import Disagreements
from functions.targets.postgres.fill import keep_first, keep_newest
from functions.targets.postgres.session import PostgresTables
from functions.targets.postgres.snapshot import digest, missing, others
from functions.targets.postgres.stage import SESSION_PARAMETERS, stage_of
from functions.targets.postgres.tables import PostgresLayout, inspect
from functions.targets.standing import loaded_batch, newest_marked


@contextmanager
def comparer(place: Place, feed: Feed, seconds: float) -> Iterator["PostgresComparer"]:
    """Connect to a warehouse, and hold one snapshot of it."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = required(place.settings, place.setting("SCHEMA"))
    with connection(database, seconds, **SESSION_PARAMETERS) as opened:
        layout = inspect(opened, schema, place.target, [each.target for each in feed.mappings])
        batch = loaded_batch(PostgresTables(opened, layout), feed.markers)
        with _snapshot(opened):
            latest = max(batch, newest_marked(feed.markers))
            yield PostgresComparer(opened, layout, batch, latest)


@contextmanager
def _snapshot(connection: PostgresConnection) -> Iterator[None]:
    """Hold one snapshot of the warehouse; temporary tables are rolled back."""
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    try:
        connection.run("SELECT FROM pg_class LIMIT 0")  # the first query takes the snapshot
        yield
    finally:
        if connection.has_transaction:
            connection.run("ROLLBACK")


class PostgresComparer(WarehouseComparer):
    """A snapshot of the tables that one source feeds."""

    def __init__(
        self, connection: PostgresConnection, layout: PostgresLayout, batch: int, latest: int
    ) -> None:
        super().__init__(layout, batch, latest)
        self._connection = connection
        self._layout = layout

    @contextmanager
    def _compared(
        self, table: str, rows: Iterable[pa.Table], unfit: Sequence[Key], keep: Keep
    ) -> Iterator[Disagreements]:
        stage = stage_of(self._connection, self._layout, table)
        stage.fill(rows)
        if keep != "all":
            (keep_first if keep == "first" else keep_newest)(stage)
            [[stage.rows]] = self._connection.run(f"SELECT count(*) FROM {stage.source}")
        with Disagreements(stage, unfit) as found:
            yield found
        stage.drop()

    def lines(self, mapping: Mapping, rows: Iterable[pa.Table]) -> Counted:
        """Compare a table without a key with the rows that it should have."""
        stage = stage_of(self._connection, self._layout, mapping.target.id)
        stage.fill(rows)
        self._connection.run("SET LOCAL enable_nestloop = off")
        [[lacking]] = self._connection.run(f"SELECT count(*) {missing(stage)}")
        [[extra]] = self._connection.run(f"SELECT count(*) FROM ({others(stage)}) AS found")
        sides = (stage.source, stage.table.target)
        here, there = (text(sums_of(*self._connection.run(digest(stage, at)))) for at in sides)
        counted = Counted(
            stage.rows,
            stage.rows - lacking + extra,
            missing=lacking,
            extra=extra,
            source_digest=here,
            warehouse_digest=there,
        )
        stage.drop()
        return counted
