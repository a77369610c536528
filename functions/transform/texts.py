"""Convert cells of files, which are text, to values of the target, exactly or not at all.

Most cells have the plain format of their type: Arrow converts those, a column at a time. Every
other distinct text takes a Python call: it has another format of the type, such as blanks around
it, or it is wrong and becomes NULL. `wording` has the reasons.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

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
    Table,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
)
from functions.transform.values import (
    by_distinct_value,
    checked,
    exactly,
    form,
    integers,
    iso_date,
    moments,
    reals,
)

Values: TypeAlias = "pa.Array | pa.ChunkedArray"

BLANKS = " \t"
_INT64 = range(-(2**63), 2**63)
# PostgreSQL's limits of a numeric without precision.
# https://www.postgresql.org/docs/current/datatype-numeric.html
DIGITS_BEFORE, DIGITS_AFTER = 131_072, 16_383

NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?"
_NO_NUMBER = r"[+-]?(?i:nan|inf|infinity)"
_YEAR = r"([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DAY = (  # days of every year
    r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
)
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET = r"(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
_HEX_PARTS = [f"([0-9a-f]{{{digits}}})" for digits in (8, 4, 4, 4, 12)]
_UNIT = "(microsecond|millisecond|second|sec|minute|min|hour|day|week|month|mon|year)s?"
_AMOUNT = r"[+-]?[0-9]{1,8}(\.[0-9]{1,6})?"
_PARTS = f"{_AMOUNT} {_UNIT}( {_AMOUNT} {_UNIT})*"
_HOURS = r"[+-]?[0-9]{1,8}:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_DURATION = rf"P({_AMOUNT}[YMWD])*({_AMOUNT}[YMWD]|T({_AMOUNT}[HMS])*{_AMOUNT}[HMS])"
_JSON_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "1"), True),
    **dict.fromkeys(("false", "f", "no", "0"), False),
}


@dataclass(frozen=True)
class _Reading:
    """How texts are converted: those that match `plain` by Arrow, others one by one by `other`.

    All that match can be cast to `kind`. If `plain` is None, all are converted by `other`, which
    returns None for a text that is not a value of the type.
    """

    kind: pa.DataType
    other: Callable[[str], object]
    plain: str | None = None

    def __call__(self, texts: Values) -> Values:
        if self.plain is None:
            return by_distinct_value(texts, self._stripped, self.kind)
        is_plain = pc.match_substring_regex(texts, f"^{self.plain}$")
        if pc.all(is_plain, min_count=0).as_py():
            values: Values = texts.cast(self.kind)
            return values
        rest = by_distinct_value(pc.if_else(is_plain, None, texts), self._stripped, self.kind)
        return pc.coalesce(pc.if_else(is_plain, texts, None).cast(self.kind), rest)

    def _stripped(self, text: str) -> object:
        return self.other(text.strip(BLANKS))


def convert(table: Table, rows: pa.Table) -> pa.Table:
    """Return the declared columns of rows whose cells are text, as the target has them.

    Rows keep their number and order; a cell that is not a value is NULL. Raises PipelineCodeError
    if a column's `check` raises an error.
    """
    return pa.table(
        {
            name: checked(table, name, reading(column)(rows[name]))
            for name, column in table.columns.items()
        }
    )


def reading(column: Column) -> Callable[[Values], Values]:
    """Return the conversion of texts to values of a type; `Text.check` is not called."""
    match column:
        case Numeric(precision=int(precision)):
            return _decimals(precision, column.scale or 0, form(column))
        case Timestamp(timezone=timezone):
            return _stamps(form(column), timezone=timezone)
        case Time(timezone=timezone):
            return _of_form(_CLOCK + (_OFFSET if timezone else ""))
        case Json(binary=binary):
            return _Reading(pa.string(), partial(_json, binary=binary))
    return _READINGS.get(type(column), _texts)


def _texts(texts: Values) -> Values:
    """Return texts as they are; NULL for those with a NUL, which PostgreSQL cannot store."""
    has_nul = pc.match_substring(texts, "\0")
    return pc.if_else(has_nul, None, texts) if pc.any(has_nul).as_py() else texts


def _of_form(pattern: str, ignore_case: bool = False) -> _Reading:
    """Return the conversion for texts that stay text and must match a pattern."""
    flags = "(?i)" if ignore_case else ""
    compiled = re.compile(flags + pattern)
    return _Reading(
        pa.string(), lambda text: text if compiled.fullmatch(text) else None, f"{flags}({pattern})"
    )


def _integer(text: str) -> int | None:
    """Return a 64-bit integer, or None."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    digits = text.lstrip("+-0") or "0"
    if len(digits) > len(str(_INT64.stop)):  # Python converts some thousands at most
        return None
    value = -int(digits) if text.startswith("-") else int(digits)
    return value if value in _INT64 else None


_WHOLE = _Reading(pa.int64(), _integer, r"-?[0-9]{1,18}")


def _decimals(precision: int, scale: int, kind: pa.DataType) -> _Reading:
    exact = exactly(precision, scale)

    def other(text: str) -> Decimal | str | None:
        value = exact(text) if re.fullmatch(NUMBER, text) else None
        return f"{value:f}" if value is not None and kind == pa.string() else value

    if kind == pa.string():
        return _Reading(kind, other)
    before = f"[0-9]{{1,{precision - scale}}}" if precision > scale else "0?"
    after = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    return _Reading(kind, other, f"-?{before}{after}" if precision > scale else rf"-?0{after}")


def _amount(text: str) -> str | None:
    """Return a number as text without an exponent, or None outside PostgreSQL's limits."""
    if not re.fullmatch(NUMBER, text):
        return None
    value = Decimal(text)
    exponent = int(value.as_tuple().exponent)
    fits = value.adjusted() < DIGITS_BEFORE and -exponent <= DIGITS_AFTER
    return f"{value:f}" if fits else None


def _double(text: str) -> float | None:
    """Return a 64-bit float, or None, also for a number that would become infinite."""
    if re.fullmatch(_NO_NUMBER, text):
        return float(text)
    value = float(text) if re.fullmatch(NUMBER, text) else None
    return value if value is not None and isfinite(value) else None


_DOUBLE = _Reading(pa.float64(), _double, r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


def _stamps(kind: pa.DataType, *, timezone: bool) -> _Reading:
    clock = _CLOCK + (_OFFSET if timezone else "")
    form_of_stamps = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{clock}")

    def other(text: str) -> datetime | None:
        if not form_of_stamps.fullmatch(text):
            return None
        try:
            stamp = datetime.fromisoformat(text)
            return stamp.astimezone(UTC) if timezone else stamp
        except (ValueError, OverflowError):
            return None

    # With an offset a timestamp may leave the supported years, but not from these.
    year = r"(1[0-9]|2[0-9])[0-9]{2}" if timezone else _YEAR
    return _Reading(kind, other, rf"{year}-{_DAY}[T ]{clock}")


def _uuid(text: str) -> str | None:
    found = re.fullmatch("-?".join(_HEX_PARTS), text.lower())
    return "-".join(found.groups()) if found else None


def _json(text: str, *, binary: bool) -> str | None:
    """Return a text that is JSON; None for one with a duplicate key or unsupported by PostgreSQL.

    https://www.postgresql.org/docs/current/datatype-json.html
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
        return found

    def never(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(text, object_pairs_hook=distinct, parse_constant=never)
        written = json.dumps(value, ensure_ascii=False) if binary else ""
        written.encode()  # raises for an unpaired surrogate
    except (ValueError, RecursionError):
        return None
    return None if _JSON_NUL.search(written) else text


_READINGS: dict[type[Column], Callable[[Values], Values]] = {
    SmallInteger: lambda texts: integers(_WHOLE(texts), pa.int16()),
    Integer: lambda texts: integers(_WHOLE(texts), pa.int32()),
    BigInteger: _WHOLE,
    Real: lambda texts: reals(_DOUBLE(texts)),
    Double: _DOUBLE,
    UnixTime: lambda texts: moments(_WHOLE(texts)),
    Numeric: _Reading(pa.string(), _amount, r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?"),
    Boolean: _Reading(pa.bool_(), lambda text: _BOOLEANS.get(text.lower())),
    Date: _Reading(pa.date32(), iso_date, rf"{_YEAR}-{_DAY}"),
    IsoDate: _Reading(pa.date32(), iso_date, rf"{_YEAR}-{_DAY}"),
    Interval: _of_form(f"({_DURATION}|{_PARTS}( {_HOURS})?|{_HOURS})", ignore_case=True),
    Uuid: _Reading(pa.string(), _uuid, "-".join(_HEX_PARTS)),
    Bytes: _of_form(r"\\x([0-9a-fA-F]{2})*"),
}
"""Values of other types stay text, which PostgreSQL parses when they are loaded."""
