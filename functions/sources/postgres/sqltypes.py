"""The types of PostgreSQL: which of them a declared type accepts, and the Arrow type of each.

Their names are those of `format_type`, and `enum <name> (<labels>)` for an enumeration; a domain
stands for its base type, also as the element of an array.
"""

import re

import pyarrow as pa

from etl import columns as etl

_INTEGER = r"smallint|integer|bigint"
_STRING = r"text|character( varying)?(\(\d+\))?|bpchar|name|(.*\.)?citext"
_STAMP = r"timestamp(\(\d\))? without time zone"

ACCEPTED: dict[type[etl.Column], tuple[str, str]] = {
    etl.SmallInteger: ("integer", _INTEGER),
    etl.Integer: ("integer", _INTEGER),
    etl.BigInteger: ("integer", _INTEGER),
    etl.Numeric: ("numeric", r"numeric(\(\d+,-?\d+\))?"),
    etl.Real: ("double precision", r"real|double precision"),
    etl.Double: ("double precision", r"real|double precision"),
    etl.Text: ("text", rf"{_STRING}|enum .*"),
    etl.Boolean: ("boolean", r"boolean"),
    etl.Date: ("date", r"date"),
    etl.IsoDate: ("date", rf"date|{_STRING}|{_STAMP}"),
    etl.UnixTime: ("integer", _INTEGER),
    etl.Interval: ("interval", r"interval.*"),
    etl.Uuid: ("uuid", r"uuid"),
    etl.Json: ("json", r"jsonb?"),
    etl.Bytes: ("bytea", r"bytea"),
    etl.Point: ("point", r"point"),
}
"""The name of a declared type in a message, and the pattern of the types that it accepts.

A wider type is accepted: transform refuses the values that do not fit, row by row.
"""

_EXACT = {
    "smallint": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "real": pa.float64(),
    "double precision": pa.float64(),
}


def needed(column: etl.Column) -> tuple[str, str]:
    """Return the name of a declared type and the pattern of the types that it accepts."""
    match column:
        case etl.Time() | etl.Timestamp():
            name = type(column).__name__.lower()
            zone = "with" if column.timezone else "without"
            return f"{name} {zone} time zone", rf"{name}(\(\d\))? {zone} time zone"
        case etl.Array():
            name, pattern = needed(column.of)
            return f"{name}[]", rf"({pattern})(\[\])+"
        case etl.Other():
            return column.sql, rf"(.*\.)?{re.escape(column.sql)}(\(.*\))?"
    return ACCEPTED[type(column)]


def is_accepted(column: etl.Column, sql_type: str) -> bool:
    """Return whether a column of the source has a type that the declaration accepts."""
    return re.fullmatch(needed(column)[1], sql_type, re.DOTALL) is not None


def arrow_type(sql_type: str) -> pa.DataType:
    """Return the exact Arrow type for a column; text if there is none."""
    if sql_type in _EXACT:
        return _EXACT[sql_type]
    if numeric := re.fullmatch(r"numeric\((\d+),(\d+)\)", sql_type):
        precision, scale = int(numeric[1]), int(numeric[2])
        if scale <= precision <= 38:
            return pa.decimal128(precision, scale)
    if stamp := re.fullmatch(r"timestamp(?:\((\d)\))? (with|without) time zone", sql_type):
        unit = "ms" if stamp[1] and int(stamp[1]) <= 3 else "us"
        return pa.timestamp(unit, "UTC" if stamp[2] == "with" else None)
    return pa.string()
