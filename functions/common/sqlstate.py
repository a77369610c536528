"""The meanings of PostgreSQL's errors, whose own messages may quote a row's values.

The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Mapping

# Errors caused by a row's values; P0 are those that functions and triggers raise.
DATA_CLASSES = ("22", "23", "44", "P0")
_CANNOT_COERCE = "42846"

_CONDITIONS = {
    "22001": "a text is longer than its column allows",
    "22003": "a number is out of its column's range",
    "22007": "a date or time cannot be read",
    "22008": "a date or time is out of range",
    "22012": "division by zero",
    "22021": "bytes are not text in the database's encoding",
    "22P02": "a value cannot be read as its column's type",
    "22P05": "a character does not exist in the database's encoding",
    "23502": "a value is NULL where that is not allowed",
    "23503": "a row that it refers to is not there",
    "23505": "another row has the same unique values",
    "23514": "a check constraint does not hold",
    "23P01": "an exclusion constraint does not hold",
    "P0001": "a trigger or function of the database raised an error",
    "22": "a value does not fit its column",
    "23": "a constraint does not hold",
    "44": "the check option of a view does not hold",
    "P0": "a trigger or function of the database raised an error",
    "XX": "an internal error of the server",
}

# The code of an error, and where in the server's source it was raised. There are also fields for
# table, column, type and constraint; all others (message, detail, hint, context) may quote a value.
_HARMLESS = frozenset("SVCFLR")


def is_data_error(code: str) -> bool:
    """Return whether an SQLSTATE says that a row's values were rejected."""
    return code[:2] in DATA_CLASSES or code == _CANNOT_COERCE


def condition(code: str) -> str:
    """Return the meaning of an SQLSTATE."""
    return _CONDITIONS.get(code) or _CONDITIONS.get(code[:2]) or "the statement was refused"


def may_quote(fields: Mapping[str, str]) -> bool:
    """Return whether the message of a server's error may quote a value.

    Functions may raise any code with any message.
    """
    code = fields.get("C", "")
    return is_data_error(code) or code[:2] == "XX" or fields.get("R") == "exec_stmt_raise"


def without_values(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a server's error that cannot quote a value."""
    named = (
        set() if fields.get("R") == "exec_stmt_raise" else set("stcdn")
    )  # the function chose them
    return {part: text for part, text in fields.items() if part in _HARMLESS | named}


def described(fields: Mapping[str, str]) -> str:
    """Return a server's error without values, as in `relation "x" does not exist [42P01]`."""
    message = condition(fields.get("C", "")) if may_quote(fields) else fields.get("M", "")
    names = () if fields.get("R") == "exec_stmt_raise" else ("s", "t", "c", "n")
    where = ".".join(fields[part] for part in names if part in fields)
    return f"{message} [{fields.get('C', '')}]" + (f" at {where}" if where else "")
