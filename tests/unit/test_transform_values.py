"""Single values: exactly the warehouse's, or NULL."""

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.transform.values import amounts, currency_names, dates, integers, prices

TEXT = pa.string()


def series(values: list[Any], kind: pa.DataType) -> "pd.Series[Any]":
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


def back(values: "pd.Series[Any]") -> list[Any]:
    return list(pa.chunked_array(values).to_pylist())


@given(st.lists(st.none() | st.dates()))
def test_every_date_is_read(days: list[date | None]) -> None:
    """Every date from the year 1 to 9999 is read as itself, and NULL stays NULL."""
    texts = [day and day.isoformat() for day in days]
    assert back(dates(series(texts, TEXT))) == days


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
    assert back(dates(series([text], TEXT))) == [None]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_fit_or_are_null(numbers: list[int | None]) -> None:
    """A whole number is kept when PostgreSQL's integer holds it, and never changed."""
    expected = [n if n is not None and -(2**31) <= n < 2**31 else None for n in numbers]
    assert back(integers(series(numbers, pa.int64()))) == expected


@given(st.lists(st.decimals(-(10**8), 10**8, places=4)))
def test_prices_are_never_rounded(numbers: list[Decimal]) -> None:
    """A price is numeric(10,2) with the same value, or nothing."""
    expected = [n if n == round(n, 2) and abs(n) < 10**8 else None for n in numbers]
    assert back(prices(series(numbers, pa.decimal128(20, 4)))) == expected
    assert back(prices(series([str(n) for n in numbers], TEXT))) == expected


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_null(text: str) -> None:
    """NaN and the infinities, which numeric has, are no amounts."""
    assert back(amounts(series(["1.0", text], TEXT))) == ["1.0", None]
    assert back(prices(series(["1.0", text], TEXT))) == [Decimal("1.00"), None]


def test_an_unknown_currency_has_no_name() -> None:
    """A currency's name is that of ISO 4217, for its codes as they are written there."""
    codes = series(["GBP", "gbp", "XXQ", "", None, "GBP"], TEXT)
    expected = ["Pound Sterling", None, None, None, None, "Pound Sterling"]
    assert back(currency_names(codes)) == expected
