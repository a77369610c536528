"""Errors of a database in our words: what they mean, and no value of a row."""

import traceback
from typing import Any

import pytest
from pg8000.native import DatabaseError

from functions.common.database import Database
from functions.common.errors import DatabaseAccessError, DatabaseStatementError
from functions.common.postgres import translated_errors
from functions.common.sqlstate import condition, is_data_error

DATABASE = Database("127.0.0.1", 5432, "loader", "password", "warehouse", "disable")
SECRET = "0123 secret"


def raised(**fields: str) -> Any:
    """Return the error of ours that a server's error becomes."""
    with pytest.raises(Exception) as failed, translated_errors(DATABASE):  # noqa: PT011
        raise DatabaseError({"S": "ERROR", **fields})
    return failed.value


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"C": "22P02", "M": f'invalid input syntax for type integer: "{SECRET}"'},
            "a value cannot be read as its column's type [22P02]",
        ),
        (
            {
                "C": "23505",
                "M": "duplicate key",
                "D": f"Key (phone)=({SECRET}) already exists.",
                "t": "staff",
                "n": "staff_pkey",
            },
            "another row has the same unique values [23505] at staff.staff_pkey",
        ),
        (
            {"C": "55000", "M": SECRET, "n": SECRET, "R": "exec_stmt_raise"},
            "the statement was refused [55000]",
        ),
        ({"C": "XX000", "M": SECRET, "W": SECRET}, "an internal error of the server [XX000]"),
    ],
)
def test_an_error_and_its_trace_quote_no_value(fields: dict[str, str], said: str) -> None:
    """The condition, table and constraint are shown; the server's own words are not."""
    error = raised(**fields)

    assert isinstance(error, DatabaseStatementError)
    assert str(error) == f"{DATABASE}: {said}"
    assert SECRET not in "".join(traceback.format_exception(error))


def test_a_message_that_names_things_only_is_shown() -> None:
    """A fault of a table or a right is reported in the server's words."""
    error = raised(C="42P01", M='relation "dim_staff" does not exist')

    assert str(error).endswith('relation "dim_staff" does not exist [42P01]')


def test_a_pooler_that_refuses_our_settings_is_named() -> None:
    """An error caused by a pooler before the warehouse says what to do."""
    error = raised(C="08P01", M="unsupported startup parameter: jit")

    assert isinstance(error, DatabaseAccessError)
    assert "a pooler refuses the session's settings: connect to the server itself" in str(error)


def test_only_errors_about_values_cost_a_row() -> None:
    """A lost connection or a missing table is no reason to put rows aside."""
    codes = ("22001", "23503", "44000", "P0001", "42846", "40P01", "42P01", "53100", "57014", "")

    assert [code for code in codes if is_data_error(code)] == list(codes[:5])
    assert condition("22999") == "a value does not fit its column"
