"""Which rows may go in by COPY's binary format, and that no amount is cut on the way."""

from typing import Any

import pyarrow as pa
import pytest

from functions.targets.postgres import binary
from functions.targets.postgres.binary import is_exact

SAME = [
    (pa.int16(), "smallint"),
    (pa.int32(), "integer"),
    (pa.int64(), "bigint"),
    (pa.bool_(), "boolean"),
    (pa.date32(), "date"),
    (pa.time64("us"), "time without time zone"),
    (pa.time64("us"), "time(6) without time zone"),
    (pa.float64(), "double precision"),
    (pa.timestamp("us"), "timestamp without time zone"),
    (pa.timestamp("us"), "timestamp(6) without time zone"),
    (pa.timestamp("us", "UTC"), "timestamp with time zone"),
    (pa.timestamp("us", "UTC"), "timestamp(6) with time zone"),
    (pa.decimal128(10, 2), "numeric(10,2)"),
    (pa.decimal128(10, 2), "numeric"),
    (pa.decimal128(10, 2), "numeric(6,1)"),
    (pa.decimal128(18, 4), "numeric"),
    (pa.decimal128(17, 3), "numeric(17,3)"),
]
OTHER = [
    (pa.int32(), "smallint"),
    (pa.int32(), "bigint"),
    (pa.int32(), "numeric"),
    (pa.int32(), "public.amount"),
    (pa.int32(), "text"),
    (pa.int64(), "integer"),
    (pa.bool_(), "integer"),
    (pa.date32(), "timestamp without time zone"),
    (pa.date64(), "date"),
    (pa.time64("us"), "time(3) without time zone"),
    (pa.time64("us"), "time(5) without time zone"),
    (pa.time64("us"), "time with time zone"),
    (pa.time32("ms"), "time without time zone"),
    (pa.timestamp("us"), "timestamp with time zone"),
    (pa.timestamp("us"), "timestamp(3) without time zone"),
    (pa.timestamp("us"), "timestamp(5) without time zone"),
    (pa.timestamp("us", "UTC"), "timestamp(5) with time zone"),
    (pa.timestamp("ms"), "timestamp without time zone"),
    (pa.timestamp("us", "UTC"), "timestamp without time zone"),
    (pa.string(), "text"),
    (pa.string(), "numeric"),
    (pa.float64(), "real"),
    (pa.decimal128(10, 2), "money"),
    (pa.decimal128(10, 2), "integer"),
    (pa.decimal128(18, 2), "numeric(18,2)"),
    (pa.decimal128(18, 3), "numeric(18,3)"),
    (pa.decimal128(17, 2), "numeric(17,2)"),
    (pa.decimal128(38, 4), "numeric"),
    (pa.decimal128(10, -2), "numeric"),
    (pa.decimal256(10, 2), "numeric"),
]


def column(of: pa.DataType, *values: Any) -> pa.Table:
    return pa.table({"a": pa.array(values, of)})


@pytest.mark.parametrize(("mine", "theirs"), SAME, ids=str)
def test_columns_of_the_same_type_are_exact(mine: pa.DataType, theirs: str) -> None:
    """Rows whose bytes are the very value of the warehouse's type need not be text."""
    assert is_exact(column(mine), [theirs])


@pytest.mark.parametrize(("mine", "theirs"), OTHER, ids=str)
def test_other_types_are_left_to_text(mine: pa.DataType, theirs: str) -> None:
    """The server decides how another type reads a value, from text."""
    assert not is_exact(column(mine), [theirs])


def test_one_null_or_one_other_column_makes_all_text() -> None:
    """A COPY has one format for all of its columns."""
    whole = pa.table({"a": pa.array([1, 2], pa.int32()), "b": pa.array([True, False])})
    assert is_exact(whole, ["integer", "boolean"])
    assert not is_exact(whole, ["integer", "text"])

    with_null = pa.table({"a": pa.array([1, 2], pa.int32()), "b": pa.array([True, None])})
    assert not is_exact(with_null, ["integer", "boolean"])
    assert is_exact(with_null.slice(0, 1), ["integer", "boolean"])


@pytest.mark.parametrize("unscaled", [10**10, -(10**17), 2**62])
def test_an_amount_beyond_its_type_is_refused(unscaled: int) -> None:
    """Damage that Arrow did not notice is an error, and not another amount."""
    held = pa.array([unscaled], pa.decimal128(38, 0))
    damaged = pa.Array.from_buffers(pa.decimal128(6, 2), 1, held.buffers())

    with pytest.raises(pa.ArrowInvalid):
        list(binary._messages([pa.record_batch({"a": damaged})]))
