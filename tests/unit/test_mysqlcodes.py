"""What is said of an error of MySQL or MariaDB: its meaning, code and names, and no value."""

import pytest

from functions.common.mysqlcodes import described

SECRET = "Tr0ub4dor"
REFERENCE = (
    "a foreign key constraint fails (`d`.`t`, CONSTRAINT `t_ibfk_1` FOREIGN KEY (`n`) REFERENCES"
    " `u` (`n`))"
)

# An error of MySQL or MariaDB, and what is said of it.
QUOTING = [
    (1062, "23000", f"Duplicate entry '{SECRET}' for key 't.PRIMARY'",
     "another row has the same unique values [23000/1062], key PRIMARY"),
    (1062, "23000", f"Duplicate entry ' for key '{SECRET}'-x' for key 'unique word'",
     "another row has the same unique values [23000/1062], key unique word"),
    (1366, "HY000", f"Incorrect integer value: '{SECRET}' for column 'n' at row 1",
     "a value cannot be stored in its column's type [HY000/1366], column n"),
    (1366, "22007", f"Incorrect integer value: '{SECRET}' for column `d`.`t`.`n` at row 7",
     "a value cannot be stored in its column's type [22007/1366], column n"),
    (1406, "22001", "Data too long for column 'word' at row 3",
     "a text is longer than its column allows [22001/1406], column word"),
    (1048, "23000", "Column 'word' cannot be null",
     "a value is NULL where that is not allowed [23000/1048], column word"),
    (1364, "HY000", "Field 'word' doesn't have a default value",
     "a value is missing for a column without a default [HY000/1364], column word"),
    (3819, "HY000", "Check constraint 'positive' is violated.",
     "a check constraint does not hold [HY000/3819], constraint positive"),
    (4025, "23000", "CONSTRAINT `positive` failed for `d`.`t`",
     "a check constraint does not hold [23000/4025], constraint positive"),
    (1452, "23000", f"Cannot add or update a child row: {REFERENCE}",
     "a row that it refers to is not there [23000/1452], constraint t_ibfk_1"),
    (1644, "45000", f"no {SECRET} for key 'x'",
     "a trigger or function of the database raised an error [45000/1644]"),
    (5001, "45001", SECRET,
     "a trigger or function of the database raised an error [45001/5001]"),
    (4711, "22034", SECRET, "a value does not fit its column [22034/4711]"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "state", "text", "said"), QUOTING)
def test_an_error_about_a_row_names_no_value(code: int, state: str, text: str, said: str) -> None:
    """Key, column and constraint are named where the server names them; it is about the row."""
    condition = described(code, state, text)
    assert (str(condition), condition.is_about_data) == (said, True)


@pytest.mark.parametrize(
    ("code", "state", "text", "said"),
    [
        (1142, "42000", "INSERT command denied to user 'u'@'h' for table `d`.`t`",
         "INSERT command denied to user 'u'@'h' for table `d`.`t` [42000/1142]"),
        (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction",
         "Deadlock found when trying to get lock; try restarting transaction [40001/1213]"),
        (1064, "42000", f"You have an error in your SQL syntax; … near '{SECRET}' at line 1",
         "the statement was refused [42000/1064]"),
        (1052, "23000", "Column 'a' in field list is ambiguous",
         "Column 'a' in field list is ambiguous [23000/1052]"),
    ],
)  # fmt: skip
def test_an_error_about_anything_else_is_not_about_a_row(
    code: int, state: str, text: str, said: str
) -> None:
    """It is shown in the server's words only where these can name nothing but objects."""
    condition = described(code, state, text)
    assert (str(condition), condition.is_about_data) == (said, False)
