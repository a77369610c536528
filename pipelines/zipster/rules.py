"""What is valid in a file of zip codes, value by value, and how valid values are padded.

A text is as long as its column of the table at most. Digits and letters are those of ASCII, and
nothing stands before or after them, no blank and no line break.
"""

import re
from decimal import Decimal

_ZIPCODE = re.compile(r"[0-9]{1,5}")
_CITY = re.compile(r"[A-Z ]{1,32}")
_COORDINATE = re.compile(r"-?[0-9]{1,3}\.[0-9]{0,2}")
_LOCATION = re.compile(r"[A-Z -]{1,64}")

ZIPCODE_TYPES = frozenset({"STANDARD", "PO BOX", "UNIQUE"})
LOCATION_TYPES = frozenset({"PRIMARY"})
DECOMMISSIONED = frozenset({"TRUE", "FALSE"})
# The 50 states, the federal district, Puerto Rico, and the armed forces abroad.
STATES = frozenset({
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA",
    "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ",
    "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT",
    "VA", "WA", "WV", "WI", "WY", "DC", "PR", "AA", "AE", "AP",
})  # fmt: skip


def is_zipcode(text: str) -> bool:
    """Tell whether a text is 1 to 5 digits."""
    return bool(_ZIPCODE.fullmatch(text))


def padded_zipcode(text: str) -> str:
    """Return a valid zip code with 5 digits."""
    return text.zfill(5)


def is_city(text: str) -> bool:
    """Tell whether a text is made of capital letters and spaces."""
    return bool(_CITY.fullmatch(text))


def is_latitude(text: str) -> bool:
    """Tell whether a text is a coordinate from -90 to 90."""
    return _is_coordinate(text, 90)


def is_longitude(text: str) -> bool:
    """Tell whether a text is a coordinate from -180 to 180."""
    return _is_coordinate(text, 180)


def padded_coordinate(text: str) -> str:
    """Return a valid coordinate with 2 decimals."""
    whole, decimals = text.split(".")
    return f"{whole}.{decimals:0<2}"


def is_location(text: str) -> bool:
    """Tell whether a text is made of capital letters, hyphens and spaces."""
    return bool(_LOCATION.fullmatch(text))


def _is_coordinate(text: str, limit: int) -> bool:
    return bool(_COORDINATE.fullmatch(text)) and abs(Decimal(text)) <= limit
