"""The faults of a cell of a file in words, for the people who wrote the file."""

import re
from decimal import Decimal

from etl import (
    BigInteger,
    Boolean,
    Bytes,
    Column,
    Date,
    Double,
    Integer,
    Interval,
    IsoDate,
    Json,
    Numeric,
    Real,
    SmallInteger,
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
)
from functions.transform.texts import BLANKS, DIGITS_AFTER, DIGITS_BEFORE, NUMBER

_SHOWN = 100  # characters of a cell in a reason, next to which is the whole row


def words_for(name: str, column: Column, text: str) -> str:
    """Return why a cell is not a value of its column, in words."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"{name} {_words(column, text.strip(BLANKS))}: '{shown}'"


def _words(column: Column, text: str) -> str:
    match column:
        case SmallInteger() | Integer() | BigInteger() if re.fullmatch(r"[+-]?[0-9]+", text):
            return f"is out of the range of {_RANGES[type(column)]}"
        case Numeric() if re.fullmatch(NUMBER, text):
            return _words_for_digits(column, Decimal(text))
        case Real() | Double() if re.fullmatch(NUMBER, text):
            kind = "32 bits" if isinstance(column, Real) else "64 bits"
            return f"has no exact form as a floating-point number of {kind}"
        case Time(timezone=True) | Timestamp(timezone=True):
            return f"{_WORDS[type(column)]} with its offset (+00:00)"
        case Text(reason=reason) if "\0" not in text:
            return reason
    return _WORDS.get(type(column), "has a NUL character in it")


def _words_for_digits(column: Numeric, value: Decimal) -> str:
    whole, after = DIGITS_BEFORE, DIGITS_AFTER
    if column.precision is not None:
        after = column.scale or 0
        whole = column.precision - after
    if value.adjusted() >= whole:
        return f"has more than {whole:,} digits before the point"
    return f"has more than {after:,} digits after the point"


_RANGES: dict[type[Column], str] = {
    SmallInteger: "smallint, -32768 to 32767",
    Integer: "integer, -2147483648 to 2147483647",
    BigInteger: "bigint, -9223372036854775808 to 9223372036854775807",
}

_WORDS: dict[type[Column], str] = {
    SmallInteger: "is not a whole number",
    Integer: "is not a whole number",
    BigInteger: "is not a whole number",
    Numeric: "is not a number",
    Real: "is not a number",
    Double: "is not a number",
    Boolean: "is neither true nor false",
    Date: "is not a date (yyyy-mm-dd)",
    IsoDate: "is not a date (yyyy-mm-dd)",
    Time: "is not a time of day (hh:mm:ss)",
    Timestamp: "is not a time stamp (yyyy-mm-dd hh:mm:ss)",
    UnixTime: "is not a time stamp in whole seconds since 1970",
    Interval: "is not an interval (P1DT2H or 1 day 02:00:00)",
    Uuid: "is not a UUID",
    Json: "is not valid JSON",
    Bytes: r"is not made of bytes in hexadecimal (\x00ff)",
}
