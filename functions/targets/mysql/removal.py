"""Delete the rows of some keys, which are texts."""

from collections.abc import Iterable

import pyarrow as pa

from functions.common.keys import columns_of
from functions.common.loaded import Loaded
from functions.targets.mysql import careful
from functions.targets.mysql.snapshot import report_kept
from functions.targets.mysql.stage import Stage


def delete_keys(stage: Stage, keys: Iterable[pa.Array], *, is_careful: bool) -> int:
    """Delete the rows of some keys; return how many.

    A text that is no key in the table's types has no row there.
    """
    schema = pa.schema([(name, pa.string()) for name in stage.table.key])

    def fill(rows: pa.Table) -> Loaded:
        stage.fill(rows)
        return Loaded(rows.num_rows, 0, 0)

    parts = (pa.Table.from_batches([columns_of(some, schema)]) for some in keys)
    careful.each(stage.connection, parts, fill)
    if not stage.columns:
        return 0
    ignore = " IGNORE" if is_careful else ""
    stage.connection.run(f"DELETE{ignore} d FROM {stage.joined('d')}")
    deleted = stage.connection.row_count
    if is_careful:
        [[kept]] = stage.connection.run(f"SELECT count(*) FROM {stage.joined('d')}")
        report_kept(stage.table.name, kept)
    return deleted
