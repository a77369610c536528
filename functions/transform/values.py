"""Turn columns of the source into columns of the warehouse, exactly or not at all.

What has no exact warehouse value becomes NULL here; saying so to a person is the business of
`checks`. Dates are Arrow's, not pandas' timestamps, which end in 2262.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from iso4217 import Currency

from functions.common.totesys import JOINS, Family, Table

INT32 = pa.int32()
NUMERIC_10_2 = pa.decimal128(10, 2)
_NUMERIC_10_2_LIMIT = 10**8

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_JOIN_COLUMNS = {join.column for join in JOINS}  # not in the star, so of any size

Convert = Callable[[pa.ChunkedArray], pa.Array | pa.ChunkedArray]


def convert(table: Table, rows: pa.Table) -> pa.Table:
    """Return the columns that the star needs, in the order of `table`, as the warehouse has them.

    The rows are as many and in the same order; a value that cannot be exact is NULL.
    """
    return pa.table(
        {
            column: conversion(column, family)(rows[column])
            for column, family in table.columns.items()
        }
    )


def conversion(column: str, family: Family) -> Convert:
    """Return what turns a column of the source into the warehouse's."""
    if family == "date":
        return dates
    if family == "integer" and column not in _JOIN_COLUMNS:
        return integers
    return _CONVERSIONS.get(column, as_they_are)


def as_they_are(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values that the warehouse holds as the source does."""
    return values


def dates(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return the dates that texts of the form yyyy-mm-dd or stamps at midnight are, else NULL."""
    if pa.types.is_timestamp(values.type):
        days = values.cast(pa.date32())
        return pc.if_else(pc.equal(days.cast(values.type), values), days, None)
    return _by_distinct_value(values, _iso_date, pa.date32())


def prices(numbers: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return decimals or their texts as numeric(10,2), NULL where that would round or overflow."""
    if numbers.type == NUMERIC_10_2:
        return numbers
    return _by_distinct_value(numbers, _numeric_10_2, NUMERIC_10_2)


def amounts(numbers: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return decimals, or the texts of finite ones, as they are, NULL for NaN and infinity.

    A column without a fixed scale comes as text and stays text: no Arrow type holds every numeric
    of PostgreSQL, and its text does so exactly, without zeros that the source does not show.
    """
    if pa.types.is_decimal(numbers.type):
        return numbers
    return _by_distinct_value(numbers, _finite, pa.string())


def currency_codes(codes: pa.ChunkedArray) -> pa.Array:
    """Return the codes that ISO 4217 has a name for, NULL for any other."""
    return _by_distinct_value(codes, lambda code: currency_name(code) and code, pa.string())


def integers(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whole numbers as PostgreSQL's integer has them, NULL where they overflow it."""
    if numbers.type == INT32:
        return numbers
    fits = pc.and_(pc.greater_equal(numbers, -(2**31)), pc.less(numbers, 2**31))
    return pc.if_else(fits, numbers, None).cast(INT32)


_CONVERSIONS: dict[str, Convert] = {
    "currency_code": currency_codes,
    "unit_price": prices,
    "item_unit_price": amounts,
    "payment_amount": amounts,
}


def currency_name(code: str) -> str | None:
    """Return the name that ISO 4217 gives to a code, None for a code it does not have."""
    try:
        return str(Currency(code).currency_name)
    except ValueError:
        return None


def _by_distinct_value(
    values: pa.ChunkedArray, exact: Callable[[Any], object], to: pa.DataType
) -> pa.Array:
    """Convert each distinct value once: a slice of 65,536 orders has a few hundred dates."""
    encoded = values.combine_chunks().dictionary_encode()
    converted = pa.array([exact(value) for value in encoded.dictionary.to_pylist()], to)
    return converted.take(encoded.indices)


def _iso_date(text: str) -> date | None:
    if not _ISO_DATE.fullmatch(text):
        return None  # fromisoformat also takes 20230430 and 2023-W17-7
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _numeric_10_2(number: Decimal | str) -> Decimal | None:
    exact = _decimal(number)
    if exact is None or not -_NUMERIC_10_2_LIMIT < exact < _NUMERIC_10_2_LIMIT:
        return None
    cents = exact.quantize(Decimal("0.01"))
    return cents if cents == exact else None


def _finite(text: str) -> str | None:
    return None if _decimal(text) is None else text


def _decimal(number: Decimal | str) -> Decimal | None:
    exact = Decimal(number)
    return exact if exact.is_finite() else None
