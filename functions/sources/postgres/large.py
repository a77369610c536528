"""Values that are too large to carry: the server omits them, and a note in `_unfit` says so.

The server measures them, so that it never sends a row of much more than `ROW_BYTES`. Text and bytea
can be large only in a table that stores values outside its rows (TOAST): a row takes at most a
page, of 8 kB, and some 2 MB when its compressed values are expanded. All other tables are read
without measuring these types. Values of other types may be much longer as text than in storage: a
numeric of eight bytes can have 131,072 digits, and an array or a jsonb many of these.
https://www.postgresql.org/docs/current/storage-toast.html
"""

import re
from collections.abc import Collection

import msgspec
from pg8000.native import identifier, literal

from etl import Table
from etl.tables import table_id
from functions.common.pgconnection import PostgresConnection
from functions.sources.postgres.columns import NAMED, Columns, carried_name, named

VALUE_BYTES = 1 << 20
ROW_BYTES = 32 << 20  # of the columns that are measured

# octet_length() gets their size from the header, without reading the value.
_AS_STORED = re.compile(r"(text|bytea|character( varying)?)(\(\d+\))?")

# A partition may be a foreign table, which can send anything.
_STORING_APART = f"""
    WITH RECURSIVE tree (schema, name, part) AS (
        SELECT n.nspname::text, c.relname::text, c.oid
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND {NAMED}
        UNION SELECT schema, name, inhrelid FROM tree JOIN pg_inherits ON inhparent = part)
    SELECT DISTINCT schema, name FROM tree JOIN pg_class ON oid = part
    WHERE relkind = 'f' OR pg_relation_size(reltoastrelid) > 0"""


def storing_apart(connection: PostgresConnection, tables: Collection[Table]) -> set[str]:
    """Return the ids of the tables that, or partitions of which, store values outside their rows.

    The tables must be locked: the size of a file follows no snapshot, so only a lock ensures that
    what the snapshot shows is still in the file.
    """
    rows = connection.run(_STORING_APART, **named(tables))
    return {table_id(schema, name) for schema, name in rows}


def columns_to_measure(columns: Columns, *, apart: bool) -> list[str]:
    """Return the columns whose values may be too large to carry.

    `apart` says whether the table stores values outside its rows.
    """
    return [
        name
        for name, sql_type in columns.types
        if name in columns.variable and (apart or not _AS_STORED.fullmatch(sql_type))
    ]


def select_list(columns: Columns, measured: list[str]) -> str:
    """Return the SQL that selects a row: NULL for a value that is too large, then `_unfit`.

    `measured` are the columns to measure; without any it is the list of all columns alone.
    """
    if not measured:
        return ", ".join(identifier(name) for name, _ in columns.types)
    at_most = min(VALUE_BYTES, ROW_BYTES // len(measured))
    is_large = {
        name: _is_larger(name, sql_type, at_most)
        for name, sql_type in columns.types
        if name in measured
    }
    values = [
        f"CASE WHEN {is_large[name]} THEN NULL ELSE {identifier(name)} END"
        if name in is_large
        else identifier(name)
        for name, _ in columns.types
    ]
    notes = [
        f"CASE WHEN {condition} THEN {_note(name, at_most)} END"
        for name, condition in is_large.items()
    ]
    # Built only for rows that need it: an array for every row would double the cost.
    noted = f"'{{' || concat_ws(',', VARIADIC ARRAY[{', '.join(notes)}]) || '}}'"
    return ", ".join([*values, f"CASE WHEN {' OR '.join(is_large.values())} THEN {noted} END"])


def _is_larger(name: str, sql_type: str, at_most: int) -> str:
    """Return the SQL condition that a value has more bytes than `at_most`, as text if need be."""
    column = identifier(name)
    if _AS_STORED.fullmatch(sql_type):
        return f"octet_length({column}) > {at_most}"
    # Not a cast, which would call a function of the type's author. A value that is too large
    # as it is stored is not converted: its text may be over 1 GB, which the server refuses.
    return f"(pg_column_size({column}) > {at_most} OR octet_length(concat({column})) > {at_most})"


def size(column: str, sql_type: str) -> str:
    """Return the SQL of the bytes of a value, or of what it takes as it is stored.

    The value itself is not read.
    """
    measure = "octet_length" if _AS_STORED.fullmatch(sql_type) else "pg_column_size"
    return f"{measure}({column})"


def _note(name: str, at_most: int) -> str:
    """Return the content of a JSON object, without its braces, as a literal of SQL."""
    note: str = literal(msgspec.json.encode({carried_name(name): at_most}).decode()[1:-1])
    return note
