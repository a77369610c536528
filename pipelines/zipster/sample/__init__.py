"""The files that `deploy.py local` drops: zip codes that might be, in the form of real ones."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from random import Random
from typing import NamedTuple

from pipelines.zipster.pipeline import zipcodes

FILES = ("zipcodes-east.csv", "zipcodes-west.csv")


class State(NamedTuple):
    """A state, about where it is in degrees, and the range of its zip codes."""

    code: str
    longitude: float
    latitude: float
    zipcodes: range


_STATES = (
    State("PR", -66.4, 18.2, range(600, 1_000)),
    State("MA", -71.8, 42.3, range(1_000, 2_000)),
    State("NJ", -74.5, 40.2, range(7_000, 8_000)),
    State("NY", -75.5, 42.9, range(10_000, 11_000)),
    State("DC", -77.0, 38.9, range(20_000, 20_100)),
    State("GA", -83.4, 32.7, range(30_000, 31_000)),
    State("OH", -82.8, 40.3, range(43_000, 44_000)),
    State("IL", -89.2, 40.1, range(60_000, 61_000)),
    State("MN", -94.3, 46.3, range(55_000, 56_000)),
    State("TX", -99.3, 31.5, range(75_000, 76_000)),
    State("CO", -105.5, 39.0, range(80_000, 81_000)),
    State("CA", -119.3, 37.2, range(90_000, 91_000)),
    State("WA", -120.4, 47.4, range(98_000, 99_000)),
    State("AK", -152.2, 64.1, range(99_500, 100_000)),
)
_EAST = 8  # states
_FIRST = ("ASH", "BEAR", "CEDAR", "DEER", "EAGLE", "FALL", "GRAND", "HOLLY", "IRON", "MAPLE",
          "NORTH", "OAK", "PINE", "ROCK", "SAND", "WEST")  # fmt: skip
_LAST = ("BROOK", "CREEK", "DALE", "FALLS", "FIELD", "GROVE", "HILL", "LAKE", "PARK", "RIDGE",
         "SPRINGS", "VALLEY", "VILLE", "WOOD")  # fmt: skip

_NEAR = """
SELECT ZIPCODE, CITY, STATE, CAST(MILES AS DECIMAL(4, 1)) FROM ZIPCODE_DISTANCES
WHERE FROM_ZIPCODE = '10000' AND MILES <= 10 ORDER BY MILES LIMIT 5
"""

Row = Sequence[str]


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the files of a drop, by key: the same each time."""
    rng = Random(1)  # noqa: S311  # nosec B311  a sample is no secret
    rows = [list(_rows(rng, state)) for state in _STATES]
    east, west = rows[:_EAST], rows[_EAST:]
    return {key: _csv(chain(*half)) for key, half in zip(FILES, (east, west), strict=True)}


def bad_files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return a later drop: two zip codes that are new or moved, and rows that are refused."""
    good = ["7440", "STANDARD", "POMPTON VALLEY", "NJ", "PRIMARY", "40.98", "-74.3"]
    more = ["NA-US-NJ-POMPTON VALLEY", "FALSE"]
    return {
        "zipcodes-corrected.csv": _csv(
            [
                [*good, *more],
                [
                    "600",
                    "PO BOX",
                    "ASHBROOK",
                    "PR",
                    "PRIMARY",
                    "18.2",
                    "-66.",
                    "NA-US-PR-A",
                    "TRUE",
                ],
                ["744A", "standard", *good[2:], *more],
                [],
                [*good[:5], "98.40", "-74.3000", "NA_US_NJ", "no"],
                good,
            ]
        )
    }


def questions() -> Sequence[tuple[str, Sequence[str], str]]:
    """Return what its users ask: a title, the columns of the answer, and the SELECT."""
    return [("Zip codes within 10 miles of 10000", ("zip code", "city", "state", "miles"), _NEAR)]


def _rows(rng: Random, state: State) -> Iterable[Row]:
    first, *others = state.zipcodes
    for zipcode in [first, *sorted(rng.sample(others, len(others) * 7 // 8))]:
        city = f"{rng.choice(_FIRST)}{rng.choice((' ', ''))}{rng.choice(_LAST)}"
        yield (
            str(zipcode),
            rng.choice(("STANDARD", "STANDARD", "STANDARD", "PO BOX", "UNIQUE")),
            city,
            state.code,
            "PRIMARY",
            _degrees(rng.gauss(state.latitude, 0.7)),
            _degrees(rng.gauss(state.longitude, 0.7)),
            f"NA-US-{state.code}-{city}",
            "TRUE" if rng.random() < 0.02 else "FALSE",
        )


def _degrees(value: float) -> str:
    """Return degrees as the files have them: two decimals without zeros at the end."""
    return f"{value:.2f}".rstrip("0")


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(zipcodes.columns)
    writer.writerows(rows)
    return text.getvalue().encode()
