"""Reconcile's part of a MySQL target alone: a scene's warehouse beside rows that it should have."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from etl.mapping import Mapping
from functions.common.logs import MarkerLog
from functions.targets import Counted, Disagreements, Feed
from functions.targets.mysql.comparer import MysqlComparer, comparer
from tests.pipeline.mysql_scene import MysqlScene


@contextmanager
def comparing(scene: MysqlScene) -> Iterator[tuple[MysqlComparer, Mapping]]:
    """Hold a moment of the warehouse."""
    [table] = scene.tables
    assert table.copy_of is not None
    mapping = Mapping(table, table.copy_of, ())
    feed = Feed((mapping,), scene.log, MarkerLog(scene.bucket, "source"))
    with comparer(scene.place, feed, 600) as target:
        yield target, mapping


def compared(
    scene: MysqlScene,
    wanted: Sequence[pa.Table],
    unfit: Sequence[Any] = (),
    explain: Callable[[Disagreements], None] | None = None,
    **options: bool,
) -> Counted:
    """Compare the table with the rows that it should have."""
    with (
        comparing(scene) as (target, mapping),
        target.disagreements(mapping, wanted, list(unfit), **options) as found,
    ):
        if explain:
            explain(found)
        return found.counted()
