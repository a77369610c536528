"""Values that Arrow cannot hold travel as text, and their rows with them."""

import json
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.sources.postgres import unfit

SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("price", pa.decimal128(10, 2)),
        ("at", pa.timestamp("ms")),
        ("name", pa.string()),
        ("_unfit", pa.string()),
        ("_xid", pa.int64()),
    ]
)
FIT = b'1,-12345.10,9999-12-31 23:59:59.999,"",7\n'
ROW = {"id": 1, "price": Decimal("-12345.10"), "at": datetime(9999, 12, 31, 23, 59, 59, 999_000)}
NAMES = {"name": "", "_unfit": None, "_xid": 7}

PRICES = st.decimals("-99999999.99", "99999999.99", places=2).map(str)
STAMPS = st.datetimes().map(lambda at: at.isoformat(" ", "milliseconds"))


def parsed(block: bytes) -> list[dict[str, object]]:
    return [row for rows in unfit.parse(block, SCHEMA) for row in rows.to_pylist()]


def test_a_row_that_fits_is_what_it_is() -> None:
    """It has nothing in `_unfit`, beside a row that has as well as alone."""
    nan = b"2,NaN,,,\n"

    assert parsed(FIT) == [ROW | NAMES]
    assert parsed(nan + FIT)[1] == ROW | NAMES
    assert [rows.schema for rows in unfit.parse(nan + FIT, SCHEMA)] == [SCHEMA]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("price", "NaN"),
        ("at", "infinity"),
        ("at", "-infinity"),
        ("at", "0044-03-15 12:00:00 BC"),
        ("at", "10000-01-01 00:00:00"),
        ("at", "294276-12-31 23:59:59.999"),
    ],
)
def test_a_value_that_fits_no_type_travels_as_text(column: str, text: str) -> None:
    """The column is NULL, and the value as PostgreSQL writes it stands in `_unfit`."""
    values = {"price": "2.50", "at": "2024-11-16 08:00:00"} | {column: text}
    [row] = parsed(f"1,{values['price']},{values['at']},x,\n".encode())

    assert row[column] is None
    assert json.loads(str(row["_unfit"])) == {column: text}
    assert {name for name, value in row.items() if value is None} == {column, "_xid"}


def test_a_note_of_the_server_stands_beside_what_fits_no_type() -> None:
    """A value that is too large is NULL and noted, in a block with unfit values as in one without.

    A row without either has nothing in `_unfit`.
    """
    noted = b'1,2.50,2024-11-16 08:00:00,,"{""name"":1048576}",7\n'
    both = b'2,NaN,,,"{""name"":1048576}",\n'
    fit = b"3,,,x,,\n"

    def notes(block: bytes) -> list[object]:
        parsed = unfit.parse(block, SCHEMA, has_notes=True)
        assert {rows.schema for rows in parsed} == {SCHEMA}
        texts = [row["_unfit"] for rows in parsed for row in rows.to_pylist()]
        return [json.loads(text) if text else text for text in texts]

    assert notes(noted + fit) == [{"name": 1048576}, None]
    assert notes(noted + both + fit) == [
        {"name": 1048576},
        {"price": "NaN", "name": 1048576},
        None,
    ]


def test_all_values_of_a_row_that_fit_no_type_are_kept() -> None:
    """They stand together, and NULL is not one of them."""
    rows = parsed(b"1,NaN,infinity,x,\n2,,-infinity,NaN,\n3,,,,\n")

    assert [row["_unfit"] and json.loads(str(row["_unfit"])) for row in rows] == [
        {"price": "NaN", "at": "infinity"},
        {"at": "-infinity"},
        None,
    ]
    assert rows[1]["name"] == "NaN"


def test_text_that_is_not_utf_8_travels_in_readable_form() -> None:
    """Its bytes can be distinguished from a literal backslash, and other rows keep their text."""
    rows = parsed(b'1,,,caf\xe9 \\xe9,\n2,NaN,,"caf\xc3\xa9",\n3,1.50,,"",\n')

    assert [row["name"] for row in rows] == [None, "caf\u00e9", ""]
    assert [row["_unfit"] and json.loads(str(row["_unfit"])) for row in rows] == [
        {"name": "caf\\xe9 \\\\xe9"},
        {"price": "NaN"},
        None,
    ]


@given(st.lists(st.tuples(PRICES, STAMPS), min_size=1, max_size=20))
def test_fit_values_are_the_same_beside_unfit_ones(values: list[tuple[str, str]]) -> None:
    """A block is looked at in two ways, which agree."""
    block = "".join(f"1,{price},{at},,\n" for price, at in values).encode()

    assert parsed(block + b"1,NaN,infinity,,\n")[:-1] == parsed(block)


@pytest.mark.parametrize("row", [b"x,,,,\n", b"1,two,,,\n", b"1,,today,,\n", b"1,NaN,today,,\n"])
def test_a_value_of_another_type_is_an_error(row: bytes) -> None:
    """A value that PostgreSQL cannot have sent is not put aside as unfit."""
    with pytest.raises(pa.ArrowInvalid):
        parsed(row)
