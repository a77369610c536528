"""The columns of a table and their types in DuckDB, by the SQL that creates the table.

A manifest names objects and no types: a number that Arrow has no type for is a text in them. Where
the pipeline has the SQL that creates its tables, that says what the warehouse makes of a text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER = "NUMBER"
"""Any finite number: see `number_type`."""

DIGITS = 38  # of DuckDB's decimals
_FAST_DIGITS = 18  # of those that are 64-bit integers

_NAME = re.compile(r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|\w+')
_CONSTRAINT = re.compile(
    r"(?i)(primary|foreign|unique|constraint|check|key|index|exclude|like|fulltext|spatial)\b"
)
_NUMERIC = re.compile(r"(?i)(?:numeric|decimal)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")
_NUMBERED = re.compile(r"(?i)\b(?:big|small)?serial\b|\bas identity\b|\bauto_increment\b")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

# The first that begins the SQL of a type. A type that is not here is text in the objects too.
_TYPES = (
    (r"tinyint\(1\)|bool", "BOOLEAN"),
    (r"smallint|int2|tinyint", "SMALLINT"),
    (r"bigint|int8", "BIGINT"),
    (r"int\b|integer|int4|mediumint", "INTEGER"),
    (r"real|float4|float\b", "FLOAT"),
    (r"double|float8", "DOUBLE"),
    (r"timestamptz|timestamp(\(\d\))?\s+with\s+time\s+zone", "TIMESTAMP WITH TIME ZONE"),
    (r"timestamp|datetime", "TIMESTAMP"),
    (r"date\b", "DATE"),
    (r"time\b(?!(\(\d\))?\s+with\s+time)", "TIME"),
)


@dataclass(frozen=True)
class Columns:
    """The columns of a table in its order, {name: type}, and that which numbers its records."""

    types: dict[str, str]
    record_id: str | None = None


def columns_of(statement: str) -> Columns:
    """Return the columns of a CREATE TABLE statement of PostgreSQL or MySQL."""
    types: dict[str, str] = {}
    record_id = None
    for line in _definitions(_COMMENT.sub("", statement)):
        name = _NAME.match(line)
        if name is None or _CONSTRAINT.match(line):
            continue
        plain, sql = _unquoted(name[0]), line[name.end() :].strip()
        if _NUMBERED.search(sql):
            record_id = plain
        else:
            types[plain] = type_of(sql)
    return Columns(types, record_id)


def type_of(sql: str) -> str:
    """Return the type of DuckDB that holds the values of one of PostgreSQL or MySQL, or NUMBER."""
    if number := _NUMERIC.match(sql):
        if number[1] is None:
            return NUMBER
        precision, scale = int(number[1]), int(number[2] or 0)
        return f"DECIMAL({precision}, {scale})" if precision <= DIGITS else NUMBER
    is_array = re.match(r"[^,]*\[\]", sql)
    for pattern, name in _TYPES:
        if re.match(pattern, sql, re.IGNORECASE) and not is_array:
            return name
    return "VARCHAR"


def number_type(whole: int, places: int) -> str:
    """Return the type of numbers with so many digits before and after the point.

    Text, where there is no decimal that holds them all exactly.
    """
    if whole + places > DIGITS:
        return "VARCHAR"
    return f"DECIMAL({max(whole + places, _FAST_DIGITS)}, {places})"


def _definitions(statement: str) -> Iterator[str]:
    """Yield what is between the commas of the outermost parentheses."""
    depth, start, quote = 0, 0, ""
    for at, char in enumerate(statement):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'`":
            quote = char
        elif char == "(":
            depth += 1
            start = at + 1 if depth == 1 else start
        elif (char == "," and depth == 1) or (char == ")" and depth == 1):
            yield statement[start:at].strip()
            start, depth = at + 1, depth - (char == ")")
            if not depth:
                return
        elif char == ")":
            depth -= 1


def _unquoted(name: str) -> str:
    quote = name[0]
    return name[1:-1].replace(2 * quote, quote) if quote in '"`' else name
