"""Single values: exactly the warehouse's, or NULL."""

from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import (
    Array,
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
    Other,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
)
from functions.common.errors import PipelineCodeError
from functions.transform.values import amounts, convert, dates, form
from pipelines.totesys.currencies import currency_name
from pipelines.totesys.pipeline import currency

EXACT = Context(prec=100)
TEXT = pa.string()


def column(values: list[Any], kind: pa.DataType) -> pa.ChunkedArray:
    """Return values in two chunks, which are to come out as one column."""
    middle = len(values) // 2
    return pa.chunked_array([values[:middle], values[middle:]], kind)


@given(st.lists(st.none() | st.dates()))
def test_every_date_is_read(days: list[date | None]) -> None:
    """Every date from the year 1 to 9999 is read as itself, and NULL stays NULL."""
    texts = [day and day.isoformat() for day in days]
    assert dates(column(texts, TEXT)).to_pylist() == days


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-30",
        "2023-2-3",
        "0000-01-01",
        "10000-01-01",
        "-2023-04-30",
        "20230430",
        "2023-W17-7",
        "2023-04-30T00:00:00",
        "30/04/2023",
        "2023-04-30 ",
        "2023-04-30\n",
        "٢٠٢٣-٠٤-٣٠",
        "",
    ],
)
def test_no_other_text_is_a_date(text: str) -> None:
    """A text that is not exactly yyyy-mm-dd of a day that exists is no date."""
    assert dates(column([text], TEXT)).to_pylist() == [None]


def converted(column_type: Column, values: pa.ChunkedArray) -> Any:
    """Return values as those of a declared column, after asking that they have its form."""
    table = Table("t", "k", {"k": Integer(), "c": column_type})
    keys = pa.array(range(len(values)), pa.int32())
    made = convert(table, pa.table({"k": keys, "c": values}))["c"]
    assert made.type == form(column_type)
    return made.to_pylist()


INT64 = st.integers(-(2**63), 2**63 - 1)
WHOLE = [(SmallInteger(), 16), (Integer(), 32), (BigInteger(), 64)]


@pytest.mark.parametrize(("kind", "bits"), WHOLE)
@given(st.lists(st.none() | INT64 | st.integers(-40_000, 40_000)))
def test_integers_fit_or_are_null(kind: Column, bits: int, numbers: list[int | None]) -> None:
    """A whole number is kept when an integer of the size holds it, and never changed."""
    limit = 2 ** (bits - 1)
    expected = [n if n is not None and -limit <= n < limit else None for n in numbers]
    assert converted(kind, column(numbers, pa.int64())) == expected


@given(st.lists(st.decimals(-(10**8), 10**8, places=4)))
def test_prices_are_never_rounded(numbers: list[Decimal]) -> None:
    """A price is numeric(10,2) with the same value, or nothing."""
    expected = [n if n == round(n, 2) and abs(n) < 10**8 else None for n in numbers]
    assert converted(Numeric(10, 2), column(numbers, pa.decimal128(20, 4))) == expected
    assert converted(Numeric(10, 2), column([str(n) for n in numbers], TEXT)) == expected


@given(st.integers(1, 45), st.integers(0, 45), st.data())
def test_decimals_of_any_precision_are_exact(
    precision: int, scale: int, data: st.DataObject
) -> None:
    """Each number that a numeric(p,s) holds is kept digit by digit, also with 45 of them."""
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    numbers = [
        Decimal(number).scaleb(-scale, context=EXACT) for number in data.draw(st.lists(digits))
    ]
    texts = [f"{number:f}" for number in numbers]
    made = converted(Numeric(precision, scale), column(texts, TEXT))
    assert [Decimal(number) for number in made] == numbers


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False) | st.none()))
def test_numbers_without_a_scale_keep_their_text(numbers: list[Decimal | None]) -> None:
    """A numeric without limits shows the digits that the source shows."""
    texts = [None if number is None else str(number) for number in numbers]
    assert converted(Numeric(), column(texts, TEXT)) == texts


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)))
def test_whole_numbers_are_decimals_too(numbers: list[int | None]) -> None:
    """A numeric column may be an integer in the source."""
    expected = [n if n is not None and abs(n) < 10**6 else None for n in numbers]
    assert converted(Numeric(6, 0), column(numbers, pa.int32())) == expected
    texts = [None if n is None else str(n) for n in numbers]
    assert converted(Numeric(), column(numbers, pa.int32())) == texts


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_null(text: str) -> None:
    """NaN and the infinities, which numeric has, are no amounts."""
    assert amounts(column(["1.0", text], TEXT)).to_pylist() == ["1.0", None]
    assert converted(Numeric(10, 2), column(["1.0", text], TEXT)) == [Decimal("1.00"), None]


@given(st.lists(st.floats() | st.none()))
def test_doubles_stay_as_they_are(numbers: list[float | None]) -> None:
    """Every float of 64 bits is itself, also NaN, the infinities and minus nought."""
    made = converted(Double(), column(numbers, pa.float64()))
    assert [repr(number) for number in made] == [repr(number) for number in numbers]


@given(st.lists(st.floats(width=32)))
def test_reals_of_the_source_are_reals(numbers: list[float]) -> None:
    """A real, which is carried as the double of its text, becomes the same real again."""
    texts = pa.chunked_array([numbers], pa.float32()).cast(TEXT)
    made = converted(Real(), texts.cast(pa.float64()))
    assert [repr(number) for number in made] == [repr(number) for number in numbers]


@pytest.mark.parametrize("number", [0.1234567890123, 1e300, -1e39, 2**24 + 1.0])
def test_a_double_that_no_real_shows_is_null(number: float) -> None:
    """A real that would show other digits than the source does is none."""
    assert converted(Real(), column([0.1, number], pa.float64())) == [pytest.approx(0.1), None]


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("timezone", [False, True])
@given(st.data())
def test_stamps_keep_every_digit(unit: str, timezone: bool, data: st.DataObject) -> None:
    """A stamp is the same moment in microseconds, with or without a time zone."""
    zone = UTC if timezone else None
    stamps = data.draw(st.lists(st.none() | st.datetimes(timezones=st.just(zone))))
    if unit == "ms":
        stamps = [at and at.replace(microsecond=at.microsecond // 1000 * 1000) for at in stamps]
    values = column(stamps, pa.timestamp(unit, "UTC" if timezone else None))
    assert converted(Timestamp(timezone=timezone), values) == stamps


def test_seconds_since_1970_are_moments() -> None:
    """Whole seconds of the years 1 to 9999 are moments in UTC, and any others are none."""
    first, last = -62_135_596_800, 253_402_300_799
    assert converted(UnixTime(), column([0, first, last, None], pa.int64())) == [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        None,
    ]
    assert converted(UnixTime(), column([first - 1, last + 1], pa.int64())) == [None, None]
    assert converted(UnixTime(), column([-1], pa.int32())) == [
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    ]


@pytest.mark.parametrize("kind", [Date(), IsoDate()])
@given(st.lists(st.datetimes() | st.dates()))
def test_a_stamp_is_a_date_at_midnight_only(kind: Column, moments: list[datetime | date]) -> None:
    """A day that the source keeps as a stamp is that day, and any other stamp is none."""
    stamps = [at if isinstance(at, datetime) else datetime.combine(at, time.min) for at in moments]
    expected = [at.date() if at.time() == time.min else None for at in stamps]
    assert converted(kind, column(stamps, pa.timestamp("us"))) == expected


@given(st.lists(st.none() | st.booleans()))
def test_booleans_stay_as_they_are(values: list[bool | None]) -> None:
    """True, false and NULL are three."""
    assert converted(Boolean(), column(values, pa.bool_())) == values


AS_TEXT = [
    Text(), Time(), Time(timezone=True), Interval(), Uuid(), Json(), Json(binary=True), Bytes(),
    Array(Integer()), Other("tsvector"),
]  # fmt: skip


@pytest.mark.parametrize("kind", AS_TEXT, ids=repr)
@given(st.lists(st.none() | st.text()))
def test_everything_else_keeps_its_text(kind: Column, texts: list[str | None]) -> None:
    """A value that is carried as text reaches the target unchanged; '' and NULL stay distinct."""
    assert converted(kind, column(texts, TEXT)) == texts


@given(st.lists(st.none() | st.text(max_size=3)))
def test_a_text_that_its_check_refuses_is_null(texts: list[str | None]) -> None:
    """Whatever a check makes of a text, the text is there unchanged or not at all."""
    expected = [text if text and text.isupper() else None for text in texts]
    assert converted(Text(check=str.isupper), column(texts, TEXT)) == expected


def fails(text: str) -> str:
    raise ValueError(text)


@pytest.mark.parametrize(
    ("what", "kind"), [("check", Text(check=fails)), ("normalize", Text(normalize=fails))]
)
def test_a_function_of_a_column_that_fails_is_named(what: str, kind: Text) -> None:
    """A mistake in a check says where it is, and no value of a row."""
    table = Table("colour", "name", {"name": kind})
    with pytest.raises(PipelineCodeError) as failure:
        convert(table, pa.table({"name": ["s3cret"]}))
    assert str(failure.value) == (
        f"table colour: the {what} of column name raised ValueError: correct it in the "
        "pipeline, and try it with etl.testing"
    )


def test_an_unknown_currency_has_no_name() -> None:
    """A currency's name is that of ISO 4217, for its codes as they are written there."""
    codes = ["GBP", "gbp", "XXQ", "", None, "GBP"]
    expected = ["GBP", None, None, None, None, "GBP"]
    assert converted(currency.columns["currency_code"], column(codes, TEXT)) == expected
    assert [currency_name(code) for code in ("GBP", "gbp")] == ["Pound Sterling", None]


@pytest.mark.parametrize(("kind", "bits"), [(SmallInteger(), 16), (Integer(), 32)])
def test_the_ends_of_a_type_are_in_it(kind: Column, bits: int) -> None:
    """The lowest and the highest number fit, and their neighbours outside do not."""
    lowest, highest = -(1 << bits - 1), (1 << bits - 1) - 1
    numbers = pa.array([lowest, highest, lowest - 1, highest + 1], pa.int64())

    assert converted(kind, pa.chunked_array([numbers])) == [lowest, highest, None, None]


def test_numbers_that_arrow_cannot_hold_are_exact_texts_or_null() -> None:
    """One that its column would round, or has no room for, is none."""
    texts = ["1.50", "1.505", "9" * 38, "9" * 39, "-0.01", None]

    assert converted(Numeric(40, 2), column(texts, TEXT)) == [
        "1.50", None, "9" * 38, None, "-0.01", None
    ]  # fmt: skip


def test_a_date_is_a_date() -> None:
    """What is one already stays as it is."""
    days = pa.chunked_array([pa.array([date(2024, 3, 1), None], pa.date32())])

    assert dates(days) == days
