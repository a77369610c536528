"""Cells of files become values as Python itself reads them, or are refused in words."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
)
from functions.transform.texts import convert, reading
from functions.transform.wording import words_for

EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)
POSTGRES_HAS = 10_000  # digits on either side of a point, and more


def read(column: Column, *texts: str | None) -> list[Any]:
    """Return what cells are, as Python values."""
    made = reading(column)(pa.chunked_array([pa.array(texts, pa.string())]))
    return list(made.to_pylist())


def written(*alphabet: str) -> st.SearchStrategy[str]:
    """Return texts that are almost values: made of what values are made of."""
    return st.lists(st.sampled_from(alphabet), max_size=12).map("".join)


def as_number(text: str) -> Decimal | None:
    plain = text.strip(" \t")
    # Decimal also takes 1_000, NaN, the digits of any script, and exponents of any length.
    if not re.fullmatch(r"[-+0-9.]+([eE][-+]?[0-9]{1,9})?", plain):
        return None
    try:
        return EXACT.create_decimal(plain)
    except InvalidOperation:
        return None


def places(number: Decimal) -> int:
    """Return how many digits a number has after the point, without zeros at the end."""
    return -int(number.normalize(EXACT).as_tuple().exponent)


@given(st.one_of(written("-", "+", "0", "7", "9999999999", " ", "x"), st.integers().map(str)))
def test_whole_numbers_are_python_s(text: str) -> None:
    """Leading zeros, signs and blanks are no matter; what does not fit its size is NULL."""
    plain = text.strip(" \t")
    value = int(plain) if re.fullmatch(r"[-+]?[0-9]+", plain) else None
    for column, bits in ((SmallInteger(), 16), (Integer(), 32), (BigInteger(), 64)):
        fits = value is not None and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
        assert read(column, text, "1") == [value if fits else None, 1]


@given(
    st.one_of(
        written("-", "+", "0", "12", "9999", ".", "e", "E-", " ", "_"), st.decimals().map(str)
    )
)
def test_decimals_are_exact_or_refused(text: str) -> None:
    """No digit is rounded away, and neither NaN nor infinity is a number."""
    value = as_number(text)
    for precision, scale in ((8, 2), (2, 2), (38, 10), (45, 3)):
        fits = (
            value is not None
            and value.copy_abs() < Decimal(10) ** (precision - scale)
            and places(value) <= scale
        )
        [made] = read(Numeric(precision, scale), text)
        assert (made is not None) == fits
        assert made is None or Decimal(made) == value
    [made] = read(Numeric(), text)
    assert made is None or Decimal(made) == value
    if value is not None and abs(value.adjusted()) + places(value) < POSTGRES_HAS:
        assert made is not None


def test_a_zero_may_have_a_sign_and_any_digits() -> None:
    """As in any number, the zeros in front are no matter."""
    assert read(Integer(), "+0", "-0", "+000", "0" * 30, "-" + "0" * 30) == [0] * 5


def test_a_precision_without_a_scale_is_of_whole_numbers() -> None:
    """As in SQL: numeric(3) has no digits after the point."""
    assert read(Numeric(3), "120", "-7.0", "1.5", "1000") == [Decimal(120), Decimal(-7), None, None]


@given(st.one_of(written("-", "+", "0", "17", ".", "e", "nan", "inf", " "), st.floats().map(repr)))
def test_floating_point_numbers_are_python_s(text: str) -> None:
    """The nearest number of 64 bits; one that is too large for them is refused, not infinite."""
    try:
        value = None if "_" in text else float(text.strip(" \t"))
    except ValueError:
        value = None
    if value is not None and abs(value) == float("inf") and "inf" not in text:
        value = None
    assert [repr(made) for made in read(Double(), text)] == [repr(value)]


@given(st.one_of(st.dates().map(str), written("2024", "0000", "1900", "-", "02", "13", "29", " ")))
def test_dates_are_python_s(text: str) -> None:
    """A day is yyyy-mm-dd, and is in the calendar."""
    plain = text.strip(" \t")
    try:
        value = date.fromisoformat(plain) if len(plain) == 10 and plain[4] == "-" else None
    except ValueError:
        value = None
    assert read(Date(), text) == read(IsoDate(), text) == [value]


@given(
    st.one_of(
        st.datetimes().map(lambda stamp: stamp.isoformat(" ")),
        st.datetimes().map(lambda stamp: stamp.isoformat("T", "minutes")),
        st.builds(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format,
            *(st.integers(0, most) for most in (9999, 13, 32, 25, 60, 60)),
        ),
    ),
    st.sampled_from(["", "Z", "+01:00", "-0530", "+15", " "]),
)
def test_stamps_are_python_s(text: str, offset: str) -> None:
    """An offset is there exactly where the column has a time zone; days are days that there are."""
    try:
        stamp = datetime.fromisoformat(text + offset.strip())
        moment = stamp.astimezone(UTC) if stamp.tzinfo else None
    except (ValueError, OverflowError):
        stamp = moment = None  # type: ignore[assignment]
    local = stamp if stamp and not offset.strip() else None
    assert read(Timestamp(), text + offset) == [local]
    assert read(Timestamp(timezone=True), text + offset) == [moment]


@given(st.times().map(str))
def test_times_of_day_are_carried_as_they_are_written(text: str) -> None:
    """All six digits after the second stay, and an offset is where it is declared."""
    assert read(Time(), text, f" {text}", f"{text}Z") == [text, text, None]
    assert read(Time(timezone=True), text, f"{text}+01:00") == [None, f"{text}+01:00"]
    assert time.fromisoformat(text)


@given(st.uuids())
def test_a_uuid_has_one_form(value: UUID) -> None:
    """However it was written, the target and the keys have it in one way."""
    assert read(Uuid(), str(value).upper(), value.hex, str(value)[1:]) == [str(value)] * 2 + [None]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_json_stays_as_it_is_written(value: Any) -> None:
    """A document is not written again, so that its numbers stay what they are."""
    text = json.dumps(value, indent=1)
    assert read(Json(), text) == [text]


@given(st.text())
def test_text_is_never_touched(text: str) -> None:
    """Blanks, leading zeros and line breaks belong to it; only a NUL has no place in the target."""
    assert read(Text(), text, "01234", None) == [None if "\0" in text else text, "01234", None]


@pytest.mark.parametrize(
    ("column", "texts", "values"),
    [
        (Integer(), ["0x1F", "1e3", "5\n", "", "٥", "0" * 50 + "5"], [None] * 5 + [5]),
        (Boolean(), ["TRUE", "t", "Yes", "1", " no", "F", "false", "0", "2", ""],
         [True] * 4 + [False] * 4 + [None] * 2),
        (Real(), ["0.1", "0.123456789", "1e39"], [pytest.approx(0.1), None, None]),
        (Numeric(), ["1e200000", "0.50", "1E+3", "NaN", "9" * 200], [
            None, "0.50", "1000", None, "9" * 200]),
        (Interval(), ["P1DT2H", "1 day 02:00:00", "-02:00", "P", "PT", "soon"], [
            "P1DT2H", "1 day 02:00:00", "-02:00", None, None, None]),
        (Bytes(), [r"\x00fF", r"\x", r"\x0", "00"], [r"\x00fF", r"\x", None, None]),
        (Json(), ['{"a":1,"a":2}', "NaN", "[1", "[" * 100_000, ""], [None] * 5),
        (Json(), [r'"\u0000"', r'"\ud800"'], [r'"\u0000"', r'"\ud800"']),
        (Json(binary=True), [r'"\u0000"', r'"\\u0000"', r'"\ud800"'], [None, r'"\\u0000"', None]),
        (Timestamp(timezone=True), ["0001-01-01 00:00+01", "9999-12-31 23:59-01"], [None] * 2),
        (UnixTime(), ["1326853478", "-62135596800", "253402300800", "1.5", "1e9", ""], [
            datetime(2012, 1, 18, 2, 24, 38, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC),
            *[None] * 4]),
    ],
)  # fmt: skip
def test_a_cell_is_a_value_or_none(column: Column, texts: list[str], values: list[Any]) -> None:
    """A text that PostgreSQL would refuse or misread is refused before it gets there."""
    assert read(column, *texts) == values


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        (Integer(), "ten", "n is not a whole number: 'ten'"),
        (SmallInteger(), "40000", "n is out of the range of smallint, -32768 to 32767: '40000'"),
        (Numeric(8, 2), "1.505", "n has more than 2 digits after the point: '1.505'"),
        (Numeric(8, 2), "1234567", "n has more than 6 digits before the point: '1234567'"),
        (Numeric(), "1e-20000", "n has more than 16,383 digits after the point: '1e-20000'"),
        (Numeric(), "NaN", "n is not a number: 'NaN'"),
        (Real(), "0.123456789",
         "n has no exact form as a floating-point number of 32 bits: '0.123456789'"),
        (Boolean(), "x", "n is neither true nor false: 'x'"),
        (Date(), "30/02/2024", "n is not a date (yyyy-mm-dd): '30/02/2024'"),
        (Time(), "24:00", "n is not a time of day (hh:mm:ss): '24:00'"),
        (Timestamp(timezone=True), "1 May",
         "n is not a time stamp (yyyy-mm-dd hh:mm:ss) with its offset (+00:00): '1 May'"),
        (UnixTime(), "today", "n is not a time stamp in whole seconds since 1970: 'today'"),
        (Uuid(), "x", "n is not a UUID: 'x'"),
        (Json(), "{", "n is not valid JSON: '{'"),
        (Text(), "a\0", "n has a NUL character in it: 'a\0'"),
        (Text(check=str.isupper, reason="is not in capitals"), "a", "n is not in capitals: 'a'"),
        (Date(), "x" * 101, f"n is not a date (yyyy-mm-dd): '{'x' * 100}…'"),
    ],
)  # fmt: skip
def test_a_refusal_is_in_people_s_words(column: Column, text: str, words: str) -> None:
    """It says the column, what a value of it looks like, and what was there."""
    assert read(column, text) == [None] or isinstance(column, Text)
    assert words_for("n", column, text) == words


def refuses(_text: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("check", "kept"), [(str.isupper, ["A", None, None]), (refuses, [None] * 3)]
)
def test_the_check_of_a_column_is_asked(check: Callable[[str], bool], kept: list[Any]) -> None:
    """A text that it does not accept is NULL, like one that is no value at all."""
    table = Table("t", (), {"code": Text(check=check)})
    made = convert(table, pa.table({"code": pa.array(["A", "b", "\0"])}))
    assert made["code"].to_pylist() == kept


def test_a_text_that_will_do_is_normalized() -> None:
    """The check is asked about the text as it came, and what it refuses is not normalized."""
    table = Table("t", (), {"code": Text(check=str.isdecimal, normalize=lambda text: text[::-1])})
    made = convert(table, pa.table({"code": pa.array(["12", "b", None, "12"])}))
    assert made["code"].to_pylist() == ["21", None, None, "21"]


def test_numbers_at_the_ends_of_their_type_are_exact() -> None:
    """With a sign or with space around them too; what is beyond is no other number."""
    lowest, highest = -(2**63), 2**63 - 1

    assert read(BigInteger(), " -7", "+5", f"{lowest} ", f" {highest}") == [-7, 5, lowest, highest]
    assert read(BigInteger(), f"{lowest - 1}", f"{highest + 1}", "9" * 5000) == [None] * 3
    assert read(Double(), "1e308", "1e309", "-1e309") == [1e308, None, None]
