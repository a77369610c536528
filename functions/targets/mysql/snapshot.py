"""Make a table equal to a snapshot, or delete the rows of some keys.

Rows need no key, and duplicates count. Rows that others refer to cannot be deleted; new rows are
matched with those by a digest of all values.
"""

import re
from collections.abc import Iterable
from itertools import chain

import pyarrow as pa
from msgspec import structs

from functions.common.keys import columns_of
from functions.common.loaded import Loaded
from functions.common.mysql import quoted
from functions.common.telemetry import logger
from functions.targets.digests import HALVES
from functions.targets.mysql import careful
from functions.targets.mysql.stage import Stage, insert
from functions.targets.session import Outcome

# Types with short values, where a digest of each would take most of the time.
_SHORT = re.compile(r"\w*int|decimal|float|double|date|time|year|char|varchar")
_LINES = ("line binary(32) NOT NULL PRIMARY KEY", "copies bigint NOT NULL")


def replace_all(stage: Stage, parts: Iterable[pa.Table]) -> Loaded:
    """Make a table equal to some rows: delete all, and insert these."""
    rows, deleted = 0, delete_all(stage)
    for part in parts:
        insert(stage.connection, stage.table.target, stage.table, part)
        rows += part.num_rows
    updated = min(rows, deleted)  # rows that replaced others
    return Loaded(rows, rows - updated, updated, deleted=deleted - updated)


def delete_all(stage: Stage) -> int:
    """Delete all rows of a table; return how many there were."""
    stage.connection.run(f"DELETE FROM {stage.table.target}")
    return stage.connection.row_count


def replace_each(stage: Stage, parts: Iterable[pa.Table]) -> Outcome:
    """Make a table equal to those rows that it accepts; rows that others refer to stay."""
    deleted = delete_unused(stage)
    outcome = insert_each(stage, parts)
    loaded = structs.replace(outcome.loaded, deleted=deleted)
    return Outcome(loaded, outcome.places, outcome.reasons)


def insert_each(stage: Stage, parts: Iterable[pa.Table]) -> Outcome:
    """Insert those rows that a table lacks, or has less often, and that it accepts."""
    stage.drop()
    parts = iter(parts)
    first = next(parts, None)
    if first is None:
        return Outcome(Loaded(0, 0, 0), pa.array([], pa.int64()), [])
    stage.open(first.column_names)
    # Before any savepoint: what is rolled back to one also loses what was inserted here.
    there = _lines_there(stage)

    def apply(rows: pa.Table) -> Loaded:
        stage.empty()
        stage.fill(rows)
        return Loaded(stage.rows, _insert_missing(stage, there), 0)

    return careful.each(stage.connection, chain([first], parts), apply)


def delete_unused(stage: Stage) -> int:
    """Delete the rows of a table that no other row refers to; return how many."""
    connection, target = stage.connection, stage.table.target
    connection.run(f"DELETE IGNORE FROM {target}")
    deleted = connection.row_count
    [[kept]] = connection.run(f"SELECT count(*) FROM {target}")
    _report_kept(stage.table.name, kept)
    return deleted


def delete_keys(stage: Stage, keys: Iterable[pa.Array], *, is_careful: bool) -> int:
    """Delete the rows of some keys; return how many.

    A text that is not valid for the key's types has no row.
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
        _report_kept(stage.table.name, kept)
    return deleted


def _report_kept(table: str, rows: int) -> None:
    """Log how many rows of a table could not be deleted, if any."""
    if rows:
        extra = {"table": table, "reasons": {"other rows refer to it": rows}}
        logger.warning("rows cannot be deleted, and are kept", extra=extra)


def _insert_missing(stage: Stage, there: str) -> int:
    """Insert the staged rows, except those that the table had before; return how many.

    A row that was `there` accounts for one new row, across all parts.
    """
    connection, place = stage.connection, stage.place
    same = stage.places("same", "line binary(32) NOT NULL")
    connection.run(
        f"INSERT INTO {same} SELECT n.place, n.line FROM (SELECT m.*, row_number() OVER"
        f" (PARTITION BY m.line ORDER BY m.place) AS number FROM (SELECT s.{place} AS place,"
        f" {line(stage, 's')} AS line FROM {stage.source} AS s) AS m) AS n"
        f" JOIN {there} AS t ON t.line = n.line WHERE n.number <= t.copies"
    )
    connection.run(
        f"UPDATE (SELECT line, count(*) AS copies FROM {same} GROUP BY line) AS n"
        f" JOIN {there} AS t ON t.line = n.line SET t.copies = t.copies - n.copies"
    )
    connection.run(
        f"INSERT INTO {stage.table.target} ({stage.list_of()}) SELECT {stage.list_of('s')}"
        f" FROM {stage.source} AS s LEFT JOIN {stage.at(same, 'n')} WHERE n.{place} IS NULL"
        f" ORDER BY s.{place}"
    )
    return connection.row_count


def _lines_there(stage: Stage) -> str:
    """Create a table of the rows that exist, as digests, and how often; return its name."""
    there = stage.create("there", _LINES)
    stage.connection.run(
        f"INSERT INTO {there} SELECT {line(stage, 't')} AS line, count(*)"
        f" FROM {stage.table.target} AS t GROUP BY line"
    )
    return there


def digest(stage: Stage, table: str, alias: str) -> str:
    """Return the query of the sums of a table's rows, for a digest of all of them."""
    lines = f"SELECT {line(stage, alias)} AS line FROM {table} AS {alias}"
    return f"SELECT {halves('line')} FROM ({lines}) AS digests"


def halves(digest: str) -> str:
    """Return the SQL of the sums of both halves of digests."""
    return ", ".join(f"sum({half(digest, start)})" for start in HALVES)


def half(digest: str, start: int) -> str:
    """Return the SQL of the eight bytes of a digest from a place on, as a number."""
    return f"CAST(CONV(HEX(SUBSTR({digest}, {start}, 8)), 16, 10) AS UNSIGNED)"


def line(stage: Stage, alias: str) -> str:
    """Return the SQL of a digest of a row's values."""
    values = ", ".join(_digest(stage, column, alias) for column in stage.columns)
    return f"unhex(sha2(concat({values}), 256))"


def _digest(stage: Stage, column: str, alias: str) -> str:
    """Return the SQL of a value as text preceded by its length, or of a digest of a long one."""
    kind, value = stage.table.types[column], f"{alias}.{quoted(column)}"
    if kind.startswith("float"):
        value = f"({value} + 0e0)"  # its text has six digits
    value = f"CAST({value} AS BINARY)"
    if _SHORT.match(kind):
        return f"coalesce(concat(octet_length({value}), ':', {value}), '-')"
    return f"coalesce(sha2({value}, 256), '-')"
