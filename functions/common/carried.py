"""The form of rows in the ingestion bucket: extract writes it, and transform reads it."""

from collections.abc import Callable

import pyarrow as pa

import etl

UNFIT = "_unfit"
"""The column for values that their own columns cannot hold: a JSON object {column: text}.

For a value that is too large it has, instead of the text, the limit in bytes.
"""

KNOWN = "_known"
"""The column that says whether the previous batch had the key of a row that others may refer to."""

RECORD_BYTES = 8 << 20
"""The limit of a record of a file. A larger one is an unclosed quote, or a missing line break."""

LINE, WRONG, ROW = "_line", "_wrong", "_row"
"""The columns of a file's rows: the line on which a record begins, why it cannot be parsed (NULL if
it can), and the record as it came, where that is needed."""

EVENT, RECEIVED, SIGNED = "_event", "_received", "_signed"
"""The columns of an event's row beside these: its id, the time at which it was received, and
whether its signature was checked (`true`; `false` for one from the provider's list)."""

TRANSACTION = "_transaction"
"""The column with the lower 32 bits of the id of the transaction that wrote a row of a database,
where the row was read because it is recent."""

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
"""The Arrow types in which extract writes columns; others are written as text."""


def is_carried(column: etl.Column, kind: pa.DataType) -> bool:
    """Return whether an Arrow type is the one in which extract writes a declared column."""
    if isinstance(column, etl.Timestamp) and (getattr(kind, "tz", None) is None) == column.timezone:
        return False
    return bool(_IS_CARRIED.get(type(column), pa.types.is_string)(kind))


def missing(schema: pa.Schema, table: etl.Table) -> str | None:
    """Return the first declared column that rows lack, as `name of type kind`, or None."""
    for name, column in {**table.columns, UNFIT: etl.Text()}.items():
        place = schema.get_field_index(name)
        if place < 0 or not is_carried(column, schema.field(place).type):
            return f"{name} of type {type(column).__name__}"
    return None
