"""Exchange rates of the sample, made up, in the form of the European Central Bank's."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from random import Random

# The columns of its CSV that have a value here; there are 24 more of them.
COLUMNS = (
    "KEY", "FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "EXR_SUFFIX", "TIME_PERIOD",
    "OBS_VALUE", "OBS_STATUS", "OBS_CONF", "DECIMALS", "UNIT",
)  # fmt: skip
AROUND = {"USD": (1.08, 4), "GBP": (0.86, 5)}  # a euro, and the decimals that are published
FIRST = date(2022, 1, 3)
PUBLISHED_HOUR = 15  # UTC: at 16:00 in Frankfurt, or at 17:00 in summer
HOLIDAYS = {(1, 1), (5, 1), (12, 25), (12, 26)}


def answer(source: str, query: Mapping[str, str], now: datetime) -> tuple[str, bytes]:
    """Return the content type and the body of an answer; `now` is in UTC. The same each time.

    From `startPeriod` on, each working day has a rate of each currency, today from the afternoon
    on. Without one the body is empty.
    """
    start = date.fromisoformat(query.get("startPeriod", FIRST.isoformat()))
    last = (now - timedelta(hours=PUBLISHED_HOUR)).date()
    rows = list(_rows(max(start, FIRST), last))
    text = io.StringIO(newline="")
    if rows:
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return "text/csv", text.getvalue().encode()


def _rows(first: date, last: date) -> Iterator[tuple[str, ...]]:
    for currency, (about, decimals) in AROUND.items():
        for later in range((last - first).days + 1):
            day = first + timedelta(days=later)
            if day.weekday() < 5 and (day.month, day.day) not in HOLIDAYS:
                rate = f"{_rate(currency, about, day):.{decimals}f}"
                yield (
                    f"EXR.D.{currency}.EUR.SP00.A", "D", currency, "EUR", "SP00", "A",
                    day.isoformat(), rate, "A", "F", str(decimals), currency,
                )  # fmt: skip


def _rate(currency: str, about: float, day: date) -> float:
    """Return a rate that rises and falls over months, and a little from day to day."""
    chance = Random(f"{currency} {day}").uniform(-0.004, 0.004)  # noqa: S311  # nosec B311
    return about * (1 + 0.04 * math.sin(day.toordinal() / 97) + chance)
