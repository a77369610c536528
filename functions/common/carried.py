"""The form in which extract writes rows, and transform reads them."""

from collections.abc import Callable

import pyarrow as pa

from functions.common.totesys import PARENTS, Family, Table

UNFIT = "_unfit"
"""The column for values that their columns cannot hold: a JSON object {column: text}.

A value that is too large to carry has, instead of its text, the number of bytes that it exceeds.
"""

KNOWN = "_known"
"""The column that says, of a row that others may refer to, whether the batch before had its key."""

_IS: dict[Family, Callable[[pa.DataType], bool]] = {
    "integer": pa.types.is_integer,
    "numeric": lambda kind: pa.types.is_decimal(kind) or pa.types.is_string(kind),
    "text": pa.types.is_string,
    "boolean": pa.types.is_boolean,
    "timestamp": pa.types.is_timestamp,
    "date": lambda kind: pa.types.is_string(kind) or pa.types.is_timestamp(kind),
}
"""How extract writes the families of types."""


def lacking(schema: pa.Schema, table: Table) -> str | None:
    """Return the first column, as `name of type family`, that transform needs and rows lack.

    `schema` is that of rows of `table`. Returns None when they have all of them.
    """
    families: dict[str, Family] = {**table.columns, UNFIT: "text"}
    if table.name in PARENTS:
        families[KNOWN] = "boolean"
    for column, family in families.items():
        place = schema.get_field_index(column)
        if place < 0 or not _IS[family](schema.field(place).type):
            return f"{column} of type {family}"
    return None
