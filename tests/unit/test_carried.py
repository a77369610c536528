"""The form in which extract writes each kind of column, which transform insists on."""

import pyarrow as pa
import pytest

import etl
from functions.common.carried import UNFIT, is_carried, missing

KINDS = {
    "integer": pa.int32(),
    "decimal": pa.decimal128(9, 2),
    "text": pa.string(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "moment": pa.timestamp("us", "UTC"),
    "stamp": pa.timestamp("us"),
}


@pytest.mark.parametrize(
    ("column", "carried"),
    [
        (etl.SmallInteger(), {"integer"}),
        (etl.Integer(), {"integer"}),
        (etl.BigInteger(), {"integer"}),
        (etl.Numeric(9, 2), {"integer", "decimal", "text"}),
        (etl.Real(), {"float"}),
        (etl.Double(), {"float"}),
        (etl.Boolean(), {"boolean"}),
        (etl.Timestamp(), {"stamp"}),
        (etl.Timestamp(timezone=True), {"moment"}),
        (etl.UnixTime(), {"integer"}),
        (etl.Date(), {"text", "moment", "stamp"}),
        (etl.IsoDate(), {"text", "moment", "stamp"}),
        (etl.Text(), {"text"}),
        (etl.Json(), {"text"}),
        (etl.Uuid(), {"text"}),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_column_is_carried_as_what_it_is(column: etl.Column, carried: set[str]) -> None:
    """A column of another type in the lake was another one when the batch was written."""
    assert {name for name, kind in KINDS.items() if is_carried(column, kind)} == carried


def test_the_first_column_that_rows_lack_is_named() -> None:
    """By its declared type; the column of unfit values is one of them."""
    table = etl.Table("staff", key="id", columns={"id": etl.Integer(), "name": etl.Text()})
    whole = pa.schema(
        {"id": pa.int64(), "name": pa.string(), "more": pa.int8(), UNFIT: pa.string()}
    )

    assert missing(whole, table) is None
    assert missing(whole.remove(0), table) == "id of type Integer"
    assert missing(whole.set(1, pa.field("name", pa.int8())), table) == "name of type Text"
    assert missing(whole.remove(3), table) == "_unfit of type Text"
