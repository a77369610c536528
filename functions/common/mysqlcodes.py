"""The meanings of errors of MySQL and MariaDB, whose own messages may quote a row's values.

The codes are those of https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and
https://mariadb.com/kb/en/mariadb-error-codes/
"""

import re
from dataclasses import dataclass

# Errors caused by a row's values, and warnings that a value was changed.
_CONDITIONS = {
    1048: "a value is NULL where that is not allowed",
    1062: "another row has the same unique values",
    1118: "a row is larger than a page of the table allows",
    1136: "a trigger or function of the database raised an error",
    1169: "another row has the same unique values",
    1216: "a row that it refers to is not there",
    1217: "other rows refer to it",
    1242: "a trigger or function of the database raised an error",
    1263: "a value is NULL where that is not allowed",
    1264: "a number is out of its column's range",
    1265: "a value would not be stored exactly as it is",
    1292: "a date, time or number cannot be read or is out of range",
    1364: "a value is missing for a column without a default",
    1365: "division by zero",
    1366: "a value cannot be stored in its column's type",
    1367: "a value cannot be read as its column's type",
    1406: "a text is longer than its column allows",
    1411: "a date or time cannot be read",
    1416: "a value is not a geometry",
    1425: "a number is out of its column's range",
    1426: "a number is out of its column's range",
    1441: "a date or time is out of range",
    1451: "other rows refer to it",
    1452: "a row that it refers to is not there",
    1526: "the table has no partition for a value",
    1557: "a row that it refers to would collide with another one",
    1644: "a trigger or function of the database raised an error",
    1690: "a number is out of its column's range",
    1761: "a row that it refers to would collide with another one",
    1762: "a row that it refers to would collide with another one",
    1977: "a character does not exist in the column's character set",
    3140: "a text is not JSON",
    3819: "a check constraint does not hold",
    4025: "a check constraint does not hold",
    4078: "a value cannot be stored in its column's type",
}
_CLASSES = {
    "22": "a value does not fit its column",
    "23": "a constraint does not hold",
    "44": "the check option of a view does not hold",
    "45": "a trigger or function of the database raised an error",
}

# Errors whose messages name objects and accounts, never a value; 2003 to 2055 are the driver's own.
_HARMLESS = frozenset({
    1005, 1021, 1026, 1028, 1030, 1037, 1038, 1040, 1041, 1044, 1045, 1046, 1049, 1050, 1052,
    1053, 1054, 1059, 1060, 1061,
    1067, 1068, 1069, 1070, 1071, 1072, 1074, 1075, 1101, 1103, 1114, 1115, 1129, 1130, 1135, 1142,
    1143, 1146, 1153, 1158, 1159, 1160, 1161, 1170, 1171, 1193, 1203, 1205, 1213, 1214, 1226,
    1227, 1231, 1232, 1238, 1251, 1290, 1317, 1347, 1356, 1370, 1418, 1419, 1665, 1698, 1787,
    1792, 1820, 1836, 1862, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2026, 2055, 2059, 2061,
    3024, 3098, 3118, 3159, 3750, 3780, 4031, 4151,
})  # fmt: skip

# Most messages name a constraint or a column beside the value, always at the end.
_NAMES = (
    (r" for key '(?:[^'.]+\.)?([^'.]+)'$", "key"),
    (r"[ `.](?:for )?column '([^'`]+)' at row \d+$", "column"),
    (r" for column `[^`]+`\.`[^`]+`\.`([^`]+)` at row \d+$", "column"),
    (r"^Column '([^'`]+)' cannot be null$", "column"),
    (r"^Field '([^'`]+)' doesn't have a default value$", "column"),
    (r"^Check constraint '([^'`]+)' is violated\.$", "constraint"),
    (r"^CONSTRAINT `([^`]+)` failed for ", "constraint"),
    (r"^Cannot .* fails \(`[^`]+`\.`[^`]+`, CONSTRAINT `([^`]+)` FOREIGN KEY", "constraint"),
)


@dataclass(frozen=True)
class Condition:
    """An error of the server without values: its number, SQLSTATE and meaning.

    The message ends in both, and in the name of a key, column or constraint, as in `… [23000/1062],
    key PRIMARY`. It `is_about_data` if a row's values were rejected.
    """

    code: int
    state: str
    message: str
    is_about_data: bool = False

    def __str__(self) -> str:
        return self.message


def described(code: int, state: str, text: str) -> Condition:
    """Return an error or warning of the server, without values that its text may quote."""
    if code in _HARMLESS:  # 1052, an ambiguous column, is of class 23
        return Condition(code, state, f"{text} [{state}/{code}]")
    said = _CONDITIONS.get(code) or _CLASSES.get(state[:2]) or "the statement was refused"
    is_about_data = code in _CONDITIONS or state[:2] in _CLASSES
    return Condition(code, state, f"{said} [{state}/{code}]{_named(code, text)}", is_about_data)


def _named(code: int, text: str) -> str:
    """Return the key, column or constraint that an error names."""
    if code == 1644 or code not in _CONDITIONS:  # whoever raised it chose the text
        return ""
    for pattern, what in _NAMES:
        if found := re.search(pattern, text, re.DOTALL):
            return f", {what} {found[1]}"
    return ""
