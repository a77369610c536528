"""Convert columns of the source to values of the target, exactly or not at all.

A value without an exact equivalent becomes NULL here, and `checks` reports it. Dates are Arrow's,
not pandas' timestamps, which end in 2262.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Integer,
    IsoDate,
    Numeric,
    Real,
    SmallInteger,
    Table,
    Text,
    Timestamp,
    UnixTime,
)
from functions.common.errors import PipelineCodeError

Convert = Callable[[pa.ChunkedArray], pa.Array | pa.ChunkedArray]

DECIMAL_DIGITS = 38  # of Arrow's decimal128; a longer number is carried as its text

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# The years of Python, 1 to 9999; PostgreSQL has more.
_UNIX_SECONDS = range(-62_135_596_800, 253_402_300_800)
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)  # the default one has 28 digits


def convert(table: Table, rows: pa.Table, columns: Iterable[str] | None = None) -> pa.Table:
    """Return the declared columns of rows, or some of them, as the target has them.

    Rows keep their number and order; a value that cannot be exact is NULL. Raises PipelineCodeError
    if a column's `check` raises an error.
    """
    names = table.columns if columns is None else columns
    return pa.table(
        {name: checked(table, name, conversion(table.columns[name])(rows[name])) for name in names}
    )


def checked(
    table: Table, name: str, values: pa.Array | pa.ChunkedArray
) -> pa.Array | pa.ChunkedArray:
    """Return the values of a column that its `check` accepts, normalized, NULL for the others."""
    column = table.columns[name]
    if isinstance(column, Text):
        for what, function in (
            ("check", column.check and _accepting(column.check)),
            ("normalize", column.normalize),
        ):
            if function is not None:
                values = _called(table, f"the {what} of column {name}", function, values)
    return values


def _called(
    table: Table,
    what: str,
    function: Callable[[str], str | None],
    texts: pa.Array | pa.ChunkedArray,
) -> pa.Array:
    """Return a pipeline function's results for texts; raise PipelineCodeError if it raises."""
    try:
        return by_distinct_value(texts, function, pa.string())
    except Exception as error:  # a function of the pipeline may raise anything
        raise PipelineCodeError(
            f"{table}: {what} raised {type(error).__name__}: correct it in the "
            "pipeline, and try it with etl.testing"
        ) from error


def _accepting(check: Callable[[str], object]) -> Callable[[str], str | None]:
    return lambda text: text if check(text) else None


def conversion(column: Column) -> Convert:
    """Return the conversion of the source's values to a type; `Text.check` is not called."""
    if isinstance(column, Numeric) and column.precision is not None:
        return partial(decimals, precision=column.precision, scale=column.scale or 0)
    return _CONVERSIONS.get(type(column), as_they_are)


def form(column: Column) -> pa.DataType:
    """Return the type of converted values; numbers may also be decimals, where theirs is text."""
    match column:
        case Numeric(precision=int(precision)):
            return _decimal_form(precision, column.scale or 0)
        case Timestamp(timezone=True):
            return pa.timestamp("us", "UTC")
    return _FORMS.get(type(column), pa.string())


def as_they_are(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values unchanged, as they have the type that load expects."""
    return values


def integers(numbers: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Return integers in a smaller type, NULL where they overflow it."""
    if numbers.type.bit_width <= to.bit_width:
        return numbers.cast(to)
    limit = 1 << (to.bit_width - 1)
    fits = pc.and_(pc.greater_equal(numbers, -limit), pc.less(numbers, limit))
    return pc.if_else(fits, numbers, None).cast(to)


def decimals(numbers: pa.ChunkedArray, precision: int, scale: int) -> pa.Array | pa.ChunkedArray:
    """Return numbers or their texts as numeric(precision,scale), NULL where that would differ.

    They are decimals where Arrow has such a type, else texts.
    """
    exact, to = exactly(precision, scale), _decimal_form(precision, scale)
    if to == pa.string():
        return by_distinct_value(
            numbers, lambda number: None if exact(number) is None else str(number), to
        )
    return numbers if numbers.type == to else by_distinct_value(numbers, exact, to)


def exactly(precision: int, scale: int) -> Callable[[Decimal | int | str], Decimal | None]:
    """Return a function that makes a number, or its text, a numeric(precision,scale), or None."""
    unit, limit = Decimal(1).scaleb(-scale), Decimal(1).scaleb(precision - scale)

    def exact(number: Decimal | int | str) -> Decimal | None:
        value = Decimal(number)
        if not (value.is_finite() and -limit < value < limit):
            return None
        rounded = value.quantize(unit, context=_EXACT)
        return rounded if rounded == value else None

    return exact


def _decimal_form(precision: int, scale: int) -> pa.DataType:
    is_arrow_s = 0 <= scale <= precision <= DECIMAL_DIGITS
    return pa.decimal128(precision, scale) if is_arrow_s else pa.string()


def amounts(numbers: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return decimals, or the texts of finite ones, as they are, NULL for NaN and infinity.

    A column without a fixed scale comes as text and stays text: no Arrow type holds every numeric
    of PostgreSQL, and its text does so exactly, without zeros that the source does not show.
    """
    if pa.types.is_decimal(numbers.type):
        return numbers
    if pa.types.is_integer(numbers.type):
        return numbers.cast(pa.string())
    return by_distinct_value(
        numbers, lambda text: text if Decimal(text).is_finite() else None, pa.string()
    )


def reals(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return 64-bit floats as the 32-bit ones with the same text, else NULL.

    0.1 is "0.1" in either, although the 32-bit one is 0.100000001490… in 64 bits.
    """
    short = numbers.cast(pa.float32(), safe=False)
    again = short.cast(pa.string()).cast(pa.float64())
    same = pc.or_(pc.equal(again, numbers), pc.is_nan(numbers))
    return pc.if_else(same, short, None)


def dates(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return the dates of texts yyyy-mm-dd or of timestamps at midnight, else NULL."""
    if values.type == pa.date32():
        return values
    if pa.types.is_timestamp(values.type):
        days = values.cast(pa.date32())
        return pc.if_else(pc.equal(days.cast(values.type), values), days, None)
    return by_distinct_value(values, iso_date, pa.date32())


def stamps(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return timestamps in microseconds, the resolution of PostgreSQL."""
    return values.cast(pa.timestamp("us", values.type.tz))


def moments(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the timestamps of Unix times in seconds, NULL before year 1 and after 9999.

    Timestamps stay as they are.
    """
    if pa.types.is_timestamp(seconds.type):
        return seconds
    is_one = pc.and_(
        pc.greater_equal(seconds, _UNIX_SECONDS.start), pc.less(seconds, _UNIX_SECONDS.stop)
    )
    whole = pc.if_else(is_one, seconds, None).cast(pa.int64())
    return whole.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("us", "UTC"))


_CONVERSIONS: dict[type[Column], Convert] = {
    SmallInteger: partial(integers, to=pa.int16()),
    Integer: partial(integers, to=pa.int32()),
    BigInteger: partial(integers, to=pa.int64()),
    Numeric: amounts,
    Real: reals,
    Date: dates,
    IsoDate: dates,
    Timestamp: stamps,
    UnixTime: moments,
}
"""Values of other types stay as they are, in the type that load expects."""

_FORMS: dict[type[Column], pa.DataType] = {
    SmallInteger: pa.int16(),
    Integer: pa.int32(),
    BigInteger: pa.int64(),
    Real: pa.float32(),
    Double: pa.float64(),
    Boolean: pa.bool_(),
    Date: pa.date32(),
    IsoDate: pa.date32(),
    Timestamp: pa.timestamp("us"),
    UnixTime: pa.timestamp("us", "UTC"),
}


def by_distinct_value(
    values: pa.Array | pa.ChunkedArray, exact: Callable[[Any], object], to: pa.DataType
) -> pa.Array:
    """Convert each distinct value once: a slice of 65,536 orders has a few hundred dates."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = whole.dictionary_encode()
    converted = pa.array([exact(value) for value in encoded.dictionary.to_pylist()], to)
    return converted.take(encoded.indices)


def iso_date(text: str) -> date | None:
    """Return the date of a text yyyy-mm-dd; None if there is no such date."""
    if not _ISO_DATE.fullmatch(text):
        return None  # fromisoformat also takes 20230430 and 2023-W17-7
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
