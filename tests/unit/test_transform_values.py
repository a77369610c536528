"""Single values: exactly the warehouse's, or NULL."""

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.transform.values import (
    amounts,
    currency_codes,
    currency_name,
    dates,
    integers,
    prices,
)

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


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_fit_or_are_null(numbers: list[int | None]) -> None:
    """A whole number is kept when PostgreSQL's integer holds it, and never changed."""
    expected = [n if n is not None and -(2**31) <= n < 2**31 else None for n in numbers]
    assert integers(column(numbers, pa.int64())).to_pylist() == expected


@given(st.lists(st.decimals(-(10**8), 10**8, places=4)))
def test_prices_are_never_rounded(numbers: list[Decimal]) -> None:
    """A price is numeric(10,2) with the same value, or nothing."""
    expected = [n if n == round(n, 2) and abs(n) < 10**8 else None for n in numbers]
    assert prices(column(numbers, pa.decimal128(20, 4))).to_pylist() == expected
    assert prices(column([str(n) for n in numbers], TEXT)).to_pylist() == expected


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_null(text: str) -> None:
    """NaN and the infinities, which numeric has, are no amounts."""
    assert amounts(column(["1.0", text], TEXT)).to_pylist() == ["1.0", None]
    assert prices(column(["1.0", text], TEXT)).to_pylist() == [Decimal("1.00"), None]


def test_an_unknown_currency_has_no_name() -> None:
    """A currency's name is that of ISO 4217, for its codes as they are written there."""
    codes = ["GBP", "gbp", "XXQ", "", None, "GBP"]
    expected = ["GBP", None, None, None, None, "GBP"]
    assert currency_codes(column(codes, TEXT)).to_pylist() == expected
    assert [code and currency_name(code) for code in ("GBP", "gbp")] == ["Pound Sterling", None]
