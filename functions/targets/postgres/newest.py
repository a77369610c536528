"""Classify rows of a batch, before any is written: new to a history, unchanged, or doubtful.

Most rows of a large batch are all new or all unchanged, and a prepared warehouse has no index on
the key. So the records of the batch's keys are read in one scan and compared here: new rows are
copied straight in, and unchanged ones are dropped. For keys of one integer column.

A scan returns records in any order, and only the newest of each key counts. Both, which record that
is and whether it differs from the row, are in one number, `2 * record + differs`, so that a maximum
finds them. Rows at their places 0 to 2, and the records with their keys:

    0: key 7, amount 5    record 11: 7, 5 -> 22    record 12: 7, 4 -> 25
    1: key 8, amount 9    record 10: 8, 3 -> 21    record 13: 8, 9 -> 26
    2: key 9, amount 1    none

The maximum of row 0 is 25, which is odd: its newest record, 12, differs, so the row is doubtful.
That of row 1 is 26, which is even: record 13 is the same, so the row is dropped. Row 2 is new.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pg8000.native import identifier

from functions.common.copy import array, copy_out, set_values, value
from functions.targets.numbered import Extent, Places
from functions.targets.postgres.stage import Stage
from functions.targets.postgres.tables import PostgresTable

# Types of the warehouse whose every value the Arrow type of our rows can hold.
_INTEGERS = re.compile(r"smallint|integer|bigint")
_READABLE = {
    pa.int16(): re.compile(r"smallint"),
    pa.int64(): _INTEGERS,
    pa.int32(): re.compile(r"integer|smallint"),
    pa.string(): re.compile(r"text|character varying(\(\d+\))?"),
    pa.bool_(): re.compile(r"boolean"),
    pa.date32(): re.compile(r"date"),
    pa.time64("us"): re.compile(r"time(\(\d\))? without time zone"),
}
_RECORD = "_record"


@dataclass(frozen=True)
class Classified:
    """Rows of a batch by what the table has of them.

    `new` have no record; `doubtful` may differ from the newest record, which the warehouse decides,
    by its types. Rows that equal their newest record are in neither.
    """

    new: pa.Table
    doubtful: pa.Table


def extent_of(stage: Stage) -> Extent:
    """Return the extent of the keys of a stage's table."""
    [key] = map(identifier, stage.table.keys)
    [span] = stage.connection.run(f"SELECT min({key}), max({key}) FROM {stage.table.target}")
    return Extent(*span)


def are_apart(table: PostgresTable, rows: pa.Table, extent: Extent) -> bool:
    """Return whether rows have numbered keys that are all outside of an extent; count them in."""
    if not is_numbered(table, rows):
        return False
    [key] = table.key
    lowest, highest = pc.min_max(rows[key]).as_py().values()
    return extent.is_beyond(int(lowest), int(highest))


def are_distinct(table: PostgresTable, rows: pa.Table) -> bool:
    """Return whether no two of some rows with numbered keys have the same."""
    [key] = table.key
    return bool(Places(rows[key].chunk(0)).are_unique)


def classify(stage: Stage, rows: pa.Table, extent: Extent | None = None) -> Classified:
    """Compare rows (one at least), whose keys are numbered, with the newest records of these.

    Each column of `rows` is one chunk; rows beyond `extent`, if it is known, are new, and no record
    is read for them.
    """
    table = stage.table
    [key] = table.key
    places = Places(rows[key].chunk(0))
    if extent and extent.is_beyond(places.lowest, places.highest) and places.are_unique:
        return Classified(rows, rows.slice(0, 0))
    if not places.are_unique:
        return Classified(rows.slice(0, 0), rows)  # one may be the newest record of another
    compared = rows.select(rows.column_names if _readable(table, rows.schema) else [key])
    versions = [
        _versions(
            compared,
            places.of(records[key]),
            records,
            whole=compared.num_columns == rows.num_columns,
        )
        for records in _records(stage, compared, places)
    ]
    if not versions:
        return Classified(rows, rows.slice(0, 0))
    newest = pa.concat_tables(versions).group_by("place").aggregate([("version", "max")])
    found = newest["place"].combine_chunks()
    is_known = pc.inverse_permutation(found, max_index=rows.num_rows - 1).is_valid()
    has_changed = pc.equal(pc.bit_wise_and(newest["version_max"], 1), 1)
    return Classified(rows.filter(pc.invert(is_known)), rows.take(found.filter(has_changed)))


def is_numbered(table: PostgresTable, rows: pa.Table) -> bool:
    """Return whether rows have a key of one integer column, here and in the warehouse."""
    if len(table.key) != 1:
        return False
    [column] = table.keys
    is_integer = pa.types.is_integer(rows[table.key[0]].type)
    return is_integer and _INTEGERS.fullmatch(table.types[column]) is not None


def _readable(table: PostgresTable, schema: pa.Schema) -> bool:
    """Return whether every value of the table's columns can be read as the type of our rows."""
    return all(_fits(field.type, table.types[table.column(field.name)]) for field in schema)


def _fits(mine: pa.DataType, theirs: str) -> bool:
    if not pa.types.is_decimal(mine):
        return mine in _READABLE and _READABLE[mine].fullmatch(theirs) is not None
    numeric = re.fullmatch(r"numeric\((\d+),(\d+)\)", theirs)
    if numeric is None:
        return False
    precision, scale = int(numeric[1]), int(numeric[2])
    return bool(scale <= mine.scale and precision - scale <= mine.precision - mine.scale)


def _records(stage: Stage, rows: pa.Table, places: Places) -> Iterator[pa.RecordBatch]:
    """Yield the records of the keys, and of keys between them, as the rows' columns."""
    connection, table = stage.connection, stage.table
    columns = ", ".join(identifier(table.column(name)) for name in rows.column_names)
    [key] = map(identifier, table.keys)
    if places.are_dense:
        condition = f"{key} BETWEEN {places.lowest} AND {places.highest}"
    else:
        set_values(connection, {"keys": array(places.keys.to_pylist())})
        condition = f"{key} IN (SELECT unnest({value('keys', 'bigint[]')}))"
    query = f"SELECT {columns}, {identifier(str(table.record_id))} FROM {table.target}"
    schema = rows.schema.append(pa.field(_RECORD, pa.int64()))
    return copy_out(connection, f"{query} WHERE {condition}", schema)


def _versions(
    rows: pa.Table, places: pa.Array, records: pa.RecordBatch, *, whole: bool
) -> pa.Table:
    """Return the place of each record's row, and its version, `2 * record + differs`.

    A record also counts as different where it is not known to be the `whole` row.
    """
    mine, theirs = rows.take(places.drop_null()), records.filter(places.is_valid())
    differs = pa.repeat(not whole, len(theirs))
    for name in rows.column_names:
        differs = pc.or_(differs, _differ(mine[name].combine_chunks(), theirs[name]))
    version = pc.add(pc.multiply(theirs[_RECORD], 2), differs.cast(pa.int64()))
    return pa.table({"place": places.drop_null(), "version": version})


def _differ(mine: pa.Array, theirs: pa.Array) -> pa.Array:
    """Return, value by value, whether two columns differ; NULL is like NULL and nothing else."""
    one_is_null = pc.xor(mine.is_null(), theirs.is_null())
    return pc.or_(one_is_null, pc.fill_null(pc.not_equal(mine, theirs), False))
