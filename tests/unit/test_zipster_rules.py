"""The rules of zip codes, with their edges, against rules that are written another way."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import Text
from pipelines.zipster import rules
from pipelines.zipster.pipeline import zipcodes

CAPITALS = set(string.ascii_uppercase)
DIGITS = set(string.digits)
# What slips through rules that are not exact: line breaks, other digits, blanks, signs, full width.
ODD = "0123456789 .-+eE\n\r\t\0٣４²½ÄßA−．,_'\"\u200b\xa0"


def is_coordinate(text: str, limit: int) -> bool:
    """Tell by counting characters whether a text is a coordinate."""
    digits = text[1:] if text[:1] == "-" else text
    whole, point, decimals = digits.partition(".")
    return (
        point == "."
        and len(whole) in (1, 2, 3)
        and len(decimals) in (0, 1, 2)
        and set(whole + decimals) <= DIGITS
        and int(whole) * 100 + int(f"{decimals}00"[:2]) <= limit * 100
    )


ORACLE: dict[str, Callable[[str], bool]] = {
    "Zipcode": lambda text: 0 < len(text) < 6 and set(text) <= DIGITS,
    "ZipCodeType": lambda text: text in ("STANDARD", "PO BOX", "UNIQUE"),
    "City": lambda text: 0 < len(text) <= 32 and set(text) <= CAPITALS | {" "},
    "State": lambda text: len(text) == 2 and f" {text} " in f" {STATES} ",
    "LocationType": lambda text: text == "PRIMARY",
    "Lat": lambda text: is_coordinate(text, 90),
    "Long": lambda text: is_coordinate(text, 180),
    "Location": lambda text: 0 < len(text) <= 64 and set(text) <= CAPITALS | set(" -"),
    "Decommisioned": lambda text: text in ("TRUE", "FALSE"),
}
STATES = (
    "AK AL AR AZ CA CO CT DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ "
    "NM NV NY OH OK OR PA RI SC SD TN TX UT VA VT WA WI WV WY DC PR AA AE AP"
)
VALID = {
    "Zipcode": st.text(string.digits, min_size=1, max_size=5),
    "ZipCodeType": st.sampled_from(["STANDARD", "PO BOX", "UNIQUE"]),
    "City": st.text(string.ascii_uppercase + " ", min_size=1, max_size=33),
    "State": st.sampled_from(STATES.split()),
    "LocationType": st.just("PRIMARY"),
    "Lat": st.from_regex(r"-?[0-9]{1,3}\.[0-9]{0,2}", fullmatch=True),
    "Long": st.from_regex(r"-?[0-9]{1,3}\.[0-9]{0,2}", fullmatch=True),
    "Location": st.text(string.ascii_uppercase + " -", min_size=1, max_size=65),
    "Decommisioned": st.sampled_from(["TRUE", "FALSE"]),
}
"""Values that are valid or almost so: coordinates may be out of range, texts too long by one."""


def is_valid(name: str, text: str) -> bool:
    """Tell what the pipeline says of a value."""
    column = zipcodes.columns[name]
    assert isinstance(column, Text)
    assert column.check is not None
    return bool(column.check(text))


def spoiled(text: str, place: int, odd: str) -> str:
    place %= len(text) + 1
    return text[:place] + odd + text[place:]


@pytest.mark.parametrize("name", VALID)
@given(data=st.data())
def test_a_value_is_valid_by_its_rule_alone(name: str, data: st.DataObject) -> None:
    """Whatever the value is, and with anything odd anywhere in it."""
    text = data.draw(VALID[name])
    odd = data.draw(st.text(ODD, max_size=2))
    values = [text, spoiled(text, data.draw(st.integers(0, 70)), odd), data.draw(st.text(ODD))]
    for value in [*values, text.lower(), f"{text}\n", f" {text}", f"{text}\r\n", ""]:
        assert is_valid(name, value) == ORACLE[name](value), repr(value)


@pytest.mark.parametrize(
    ("name", "valid", "wrong"),
    [
        ("Zipcode", ["0", "601", "00601", "99999"],
         ["", "006010", "601A", "-601", "6 01", "601\n", "٣٤٥", "６０１", "²", "1e1", "00601-12"]),
        ("ZipCodeType", ["STANDARD", "PO BOX", "UNIQUE"],
         ["", "standard", "MILITARY", "PO  BOX", "POBOX", "STANDARD ", "STANDARD\n"]),
        ("City", ["ADJUNTAS", "ST MARY OF THE WOODS", " ", "A" * 32],
         ["", "Adjuntas", "O'FALLON", "WINSTON-SALEM", "CAÑON CITY", "A\n", "A\tB", "A" * 33]),
        ("State", ["NY", "DC", "PR", "AA", "AE", "AP"],
         ["", "ny", "GU", "VI", "NYC", "N", "NY ", "NY\n", "XX", "NJ|NM"]),
        ("LocationType", ["PRIMARY"], ["", "primary", "ACCEPTABLE", "PRIMARY\n"]),
        ("Lat", ["0.", "-0.", "1.5", "090.00", "-90.00", "40.70", "000.0"],
         ["", "40", ".5", "+1.5", "1e1", " 40.5", "40.5 ", "40.705", "90.01", "-90.01", "100.0",
          "0090.0", "--1.0", "-", ".", "-.", "40.5\n", "40,5", "４０.5", "nan", "1_0.0", "−1.0"]),
        ("Long", ["-180.00", "180.", "90.01", "-179.99", "-0.0"],
         ["", "180.01", "-180.01", "999.99", "1000.0", "-66", "-66.7222", "-66.72\n", "- 66.72"]),
        ("Location", ["NA-US-PR-ADJUNTAS", "-", " ", "A" * 64],
         ["", "Na-Us", "NA_US", "NA-US\n", "NA/US", "A" * 65]),
        ("Decommisioned", ["TRUE", "FALSE"], ["", "true", "False", "T", "1", "0", "TRUE\n"]),
    ],
)  # fmt: skip
def test_the_edges_of_each_rule(name: str, valid: list[str], wrong: list[str]) -> None:
    """Case, signs, blanks, line breaks, digits of other scripts, lengths and limits."""
    assert [value for value in valid if not is_valid(name, value)] == []
    assert [value for value in wrong if is_valid(name, value)] == []


def test_states_are_those_of_the_post() -> None:
    """Fifty, the federal district, Puerto Rico, and three for the armed forces."""
    assert len(rules.STATES) == 50 + 5
    assert sorted(rules.STATES) == sorted(STATES.split())


@given(st.text(string.digits, min_size=1, max_size=5))
def test_a_zip_code_is_padded_to_five_digits(text: str) -> None:
    """It stays the same number."""
    padded = rules.padded_zipcode(text)
    assert (len(padded), int(padded)) == (5, int(text))


@pytest.mark.parametrize(
    ("text", "padded"),
    [
        ("40.", "40.00"),
        ("40.7", "40.70"),
        ("40.07", "40.07"),
        ("-0.", "-0.00"),
        ("007.1", "007.10"),
    ],
)
def test_a_coordinate_is_padded_to_two_decimals(text: str, padded: str) -> None:
    """Nothing before the point changes."""
    assert rules.padded_coordinate(text) == padded
