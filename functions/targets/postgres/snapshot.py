"""Make a table equal to a snapshot.

Row by row, those that are not in the snapshot are deleted and missing ones inserted. Rows need no
key, and duplicates count. They are compared by their text, which is the same for equal values and
can be joined by a hash, NULL equal to NULL.
"""

from collections.abc import Iterable

import pyarrow as pa
from pg8000.native import identifier

from functions.common.loaded import Loaded
from functions.targets.digests import HALVES
from functions.targets.postgres.binary import append_rows
from functions.targets.postgres.stage import Stage


def replace_all(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Make the stage's table equal to some rows: delete all that are there, and copy these in.

    To find out which of them are the same takes longer than to copy them: 3 to 10 seconds for a
    million, against 1.
    """
    rows, deleted = 0, _delete_all(stage)
    for part in parts:
        append_rows(stage, part)
        rows += part.num_rows
    return _replaced(rows, deleted)


def replace_by(stage: Stage) -> Loaded:
    """Make a table equal to the staged rows."""
    deleted = _delete_all(stage)
    stage.connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()})"
        f" SELECT {stage.list_of()} FROM {stage.source}"
    )
    return _replaced(stage.rows, deleted)


def _replaced(rows: int, deleted: int) -> Loaded:
    """Return the counts; rows that replace others count as updated."""
    updated = min(rows, deleted)
    return Loaded(rows, rows - updated, updated, deleted=deleted - updated)


def _delete_all(stage: Stage) -> int:
    stage.connection.run(f"DELETE FROM {stage.table.target}")
    return int(stage.connection.row_count)


def delete_rows(stage: Stage, where: str) -> int:
    """Delete the rows of the stage's table whose places, `at` in a `relation`, a query returns."""
    connection = stage.connection
    connection.run("SET LOCAL enable_nestloop = off")
    connection.run(
        f"DELETE FROM {stage.table.target} AS t USING ({where}) AS gone"
        " WHERE t.ctid = gone.at AND t.tableoid = gone.relation"
    )
    deleted = int(connection.row_count)
    connection.run("SET LOCAL enable_nestloop = on")
    return deleted


def others(stage: Stage) -> str:
    """Return the query of the rows that are not staged, or not as often."""
    if not stage.columns:
        return f"SELECT n.ctid AS at, n.tableoid AS relation FROM {stage.table.target} AS n"
    return (
        f"SELECT here.at, here.relation FROM {_numbered(stage, stage.table.target)} AS here"
        f" LEFT JOIN {_counted(stage, stage.source)} AS wanted ON wanted.line = here.line"
        " WHERE here.place > coalesce(wanted.copies, 0)"
    )


def missing(stage: Stage) -> str:
    """Return SQL from FROM on: the staged rows `s` that the table lacks, or has less often."""
    return (
        f"FROM {stage.source} AS s JOIN {_numbered(stage, stage.source)} AS mine"
        " ON mine.at = s.ctid"
        f" LEFT JOIN {_counted(stage, stage.table.target)} AS here ON here.line = mine.line"
        " WHERE mine.place > coalesce(here.copies, 0)"
    )


def _numbered(stage: Stage, table: str) -> str:
    """Return SQL of each row's place, its text, and its number among equal rows."""
    line = _line(stage, "n")
    return (
        f"(SELECT n.ctid AS at, n.tableoid AS relation, {line} AS line, row_number() OVER"
        f" (PARTITION BY {line}) AS place FROM {table} AS n)"
    )


def _counted(stage: Stage, table: str) -> str:
    line = _line(stage, "c")
    return f"(SELECT {line} AS line, count(*) AS copies FROM {table} AS c GROUP BY 1)"


def digest(stage: Stage, table: str) -> str:
    """Return the query of the sums of a table's rows, for a digest of all of them."""
    lines = f"SELECT sha256(convert_to({_line(stage, 'n')}, 'UTF8')) AS digest FROM {table} AS n"
    return f"SELECT {halves('digest')} FROM ({lines}) AS digests"


def halves(digest: str) -> str:
    """Return the SQL of the sums of both halves of digests, each as a number of 64 bits."""
    return ", ".join(
        f"sum(('x' || encode(substring({digest} FROM {start} FOR 8), 'hex'))::bit(64)::bigint"
        "::numeric)"
        for start in HALVES
    )


def _line(stage: Stage, alias: str) -> str:
    """Return the SQL of all values of a row as one text."""
    return f"ROW({', '.join(f'{alias}.{identifier(column)}' for column in stage.columns)})::text"
