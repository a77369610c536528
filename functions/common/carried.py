"""The form in which extract writes rows, and transform reads them."""

from collections.abc import Callable

import pyarrow as pa

import etl

UNFIT = "_unfit"
"""The column for values that their columns cannot hold: a JSON object {column: text}.

A value that is too large to carry has, instead of its text, the number of bytes that it exceeds.
"""

KNOWN = "_known"
"""The column that says, of a row that others may refer to, whether the batch before had its key."""

RECORD_BYTES = 8 << 20
"""More than this is no record of a file: a quote was not closed, or a line not broken."""

LINE, WRONG, ROW = "_line", "_wrong", "_row"
"""The columns of a file's rows: the line of the file on which a record begins, why it cannot be
separated into values, NULL for one that can, and the record as it came, where that is needed."""

_IS_CARRIED: dict[type[etl.Column], Callable[[pa.DataType], bool]] = {
    etl.SmallInteger: pa.types.is_integer,
    etl.Integer: pa.types.is_integer,
    etl.BigInteger: pa.types.is_integer,
    etl.Numeric: lambda kind: (
        pa.types.is_decimal(kind) or pa.types.is_string(kind) or pa.types.is_integer(kind)
    ),
    etl.Real: pa.types.is_floating,
    etl.Double: pa.types.is_floating,
    etl.Boolean: pa.types.is_boolean,
    etl.Timestamp: pa.types.is_timestamp,
    etl.UnixTime: pa.types.is_integer,
    etl.Date: lambda kind: pa.types.is_string(kind) or pa.types.is_timestamp(kind),
    etl.IsoDate: lambda kind: pa.types.is_string(kind) or pa.types.is_timestamp(kind),
}
"""How extract writes columns; one that is not here is written as its text."""


def is_carried(column: etl.Column, kind: pa.DataType) -> bool:
    """Return whether extract writes a declared column as an Arrow type."""
    if isinstance(column, etl.Timestamp) and (getattr(kind, "tz", None) is None) == column.timezone:
        return False
    return bool(_IS_CARRIED.get(type(column), pa.types.is_string)(kind))


def missing(schema: pa.Schema, table: etl.Table) -> str | None:
    """Return the first declared column, as `name of type kind`, that rows of a table lack.

    Returns None when they have all of them, in a form in which extract writes them.
    """
    for name, column in {**table.columns, UNFIT: etl.Text()}.items():
        place = schema.get_field_index(name)
        if place < 0 or not is_carried(column, schema.field(place).type):
            return f"{name} of type {type(column).__name__}"
    return None
