"""Turn single values of the source into values of the warehouse, exactly or not at all.

What has no exact warehouse value becomes NULL here; saying so to a person is the business of
`checks`. Dates are Arrow's, not pandas' timestamps, which end in 2262.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from iso4217 import Currency

INT32 = pa.int32()
NUMERIC_10_2 = pa.decimal128(10, 2)
_NUMERIC_10_2_LIMIT = 10**8

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def dates(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the dates that texts of the form yyyy-mm-dd name, NULL for any other text."""
    return _by_distinct_value(texts, _iso_date, pa.date32())


def prices(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return decimals or their texts as numeric(10,2), NULL where that would round or overflow."""
    if numbers.dtype == pd.ArrowDtype(NUMERIC_10_2):
        return numbers
    return _by_distinct_value(numbers, _numeric_10_2, NUMERIC_10_2)


def amounts(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return decimals, or the texts of finite ones, as they are, NULL for NaN and infinity.

    A column without a fixed scale comes as text and stays text: no Arrow type holds every numeric
    of PostgreSQL, and its text does so exactly, without zeros that the source does not show.
    """
    if pa.types.is_decimal(arrow_type(numbers)):
        return numbers
    return _by_distinct_value(numbers, _finite, pa.string())


def currency_names(codes: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the names that ISO 4217 gives to its codes, NULL for a code it does not have."""
    return _by_distinct_value(codes, _currency_name, pa.string())


def integers(numbers: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return whole numbers as PostgreSQL's integer has them, NULL where they overflow it."""
    if numbers.dtype == pd.ArrowDtype(INT32):
        return numbers
    fitting = numbers.where(numbers.between(-(2**31), 2**31 - 1))
    return fitting.astype(pd.ArrowDtype(INT32))


def arrow_type(values: "pd.Series[Any]") -> pa.DataType:
    """Return the Arrow type that values are held in."""
    return pa.chunked_array(values).type


def _by_distinct_value(
    values: "pd.Series[Any]", convert: Callable[[Any], object], to: pa.DataType
) -> "pd.Series[Any]":
    """Convert each distinct value once: a slice of 65,536 orders has a few hundred dates."""
    codes, distinct = values.factorize()
    converted = pd.Series([convert(value) for value in distinct], dtype=pd.ArrowDtype(to)).array
    return pd.Series(converted.take(codes, allow_fill=True), index=values.index)


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


def _currency_name(code: str) -> str | None:
    try:
        return str(Currency(code).currency_name)
    except ValueError:
        return None
